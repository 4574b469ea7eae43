// The difference of two texts by lines, for Edit and Write: small, bounded, and shown with signs as well as colours.

import { Still, html } from "./page.js";
import { visible } from "./text.js";

/** Products of line counts up to which lines are matched one by one. */
const MOST = 250_000;
const CONTEXT = 2;
const SHOWN = 14;

/**
 * @typedef {{sign: " "|"+"|"-"|"…", text: string}} Line
 * @param {string} before
 * @param {string} after
 * @returns {Line[]} removed, added and kept lines in order
 */
export function diffOf(before, after) {
  const [a, b] = [before, after].map((text) => (text === "" ? [] : text.split("\n")));
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const middle = matched(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  return [
    ...a.slice(Math.max(0, head - CONTEXT), head).map((text) => ({ sign: " ", text })),
    ...middle,
    ...a.slice(a.length - tail, a.length - tail + CONTEXT).map((text) => ({ sign: " ", text })),
  ];
}

function matched(a, b) {
  const plain = [...a.map((text) => ({ sign: "-", text })), ...b.map((text) => ({ sign: "+", text }))];
  if (a.length === 0 || b.length === 0 || a.length * b.length > MOST) return plain;
  const width = b.length + 1;
  const longest = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] =
        a[i] === b[j] ? longest[(i + 1) * width + j + 1] + 1 : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  const lines = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ sign: " ", text: a[i] });
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) {
      lines.push({ sign: "-", text: a[i] });
      i += 1;
    } else {
      lines.push({ sign: "+", text: b[j] });
      j += 1;
    }
  }
  return lines;
}

const LOOKS = { "+": "added", "-": "removed", " ": "same", "…": "same" };

/** Changed lines, the end of many behind a button; `onWhole` fetches what the stream has cut. */
export class Diff extends Still {
  state = { open: false };

  toggle = () => {
    const { truncated, onWhole } = this.props;
    if (truncated && !this.state.open) onWhole?.().catch(() => {}); // what is here is shown
    this.setState(({ open }) => ({ open: !open }));
  };

  render({ before, after, truncated }, { open }) {
    const lines = diffOf(visible(before), visible(after));
    const long = lines.length > SHOWN + 3 || truncated || lines.some(({ text }) => text.length > 1000);
    const shown = open || !long ? lines : lines.slice(0, SHOWN).map((line) => ({ ...line, text: line.text.slice(0, 1000) }));
    return html`<div class="diff">
      <div class="lines mono" role="group" aria-label="Changes">
        ${shown.map(({ sign, text }, index) => html`<div key=${index} class="line ${LOOKS[sign]}" dir="auto">${sign} ${text}</div>`)}
      </div>
      ${long &&
      html`<button type="button" class="quiet" aria-expanded=${String(open)} onClick=${this.toggle}>
        ${open ? "Show less" : `Show all · ${lines.length} lines${truncated ? ", cut" : ""}`}
      </button>`}
    </div>`;
  }
}
