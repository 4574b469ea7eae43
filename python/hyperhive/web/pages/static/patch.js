// A difference as git writes it, line by line with signs as well as colours; a long one ends behind a button.

import { Still, html } from "./page.js";
import { visible } from "./text.js";

const SHOWN = 24;
const LONGEST = 1000;

/** What a line of a patch is; of one file's header only its name is worth a line. */
function looksOf(line) {
  if (line.startsWith("diff --git ")) return "file";
  if (/^(index|---|\+\+\+) /.test(line)) return null;
  if (line.startsWith("@@")) return "place";
  return { "+": "added", "-": "removed" }[line[0]] ?? "same";
}

/** @param {string} text @returns {{look: string, text: string}[]} the lines that are shown of a patch */
export function linesOf(text) {
  const lines = text.replace(/\n$/, "").split("\n");
  return lines.map((line) => ({ look: looksOf(line), text: line })).filter(({ look }) => look);
}

/** Properties: `text`; `truncated` and `onWhole`, which fetches all there is; `label`. */
export class Patch extends Still {
  state = { open: false };

  toggle = () => {
    const { truncated, onWhole } = this.props;
    if (truncated && !this.state.open) onWhole?.();
    this.setState(({ open }) => ({ open: !open }));
  };

  render({ text, truncated, label }, { open }) {
    const lines = linesOf(visible(text));
    const long = lines.length > SHOWN + 3 || truncated || lines.some((line) => line.text.length > LONGEST);
    const shown = open || !long ? lines : lines.slice(0, SHOWN).map((line) => ({ ...line, text: line.text.slice(0, LONGEST) }));
    return html`<div class="diff">
      <div class="lines mono" role="region" tabindex="0" aria-label=${label}>
        ${shown.map(({ look, text: line }, index) => html`<div key=${index} class="line ${look}" dir="auto">${line}</div>`)}
      </div>
      ${long &&
      html`<button type="button" class="quiet" aria-expanded=${String(open)} onClick=${this.toggle}>
        ${open ? "Show less" : `Show all · ${lines.length} lines${truncated ? " and more" : ""}`}
      </button>`}
    </div>`;
  }
}
