// What agents wrote, as text: nothing in it acts, nothing in it hides, and no length of it can push the page apart.

import { Still, html } from "./page.js";

/** What is shown of a long text before somebody asks for all of it. */
const LINES = 12;
const CHARACTERS = 1200;

// Overrides reorder what is read against what is meant; isolates and embeddings end with their paragraph.
const OVERRIDES = { "\u202d": "⟦LRO⟧", "\u202e": "⟦RLO⟧" };

/**
 * Makes control characters visible, in the notation of terminals: ESC becomes ^[. Line breaks and tabs stay.
 * @param {unknown} value
 * @returns {string}
 */
export function visible(value) {
  const text = typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value);
  return text
    .replace(/\r\n/g, "\n")
    .replace(/[\u0000-\u0008\u000b-\u001f]/g, (char) => `^${String.fromCharCode(0x40 + char.charCodeAt(0))}`)
    .replace(/[\u007f-\u009f]/g, (char) => (char === "\u007f" ? "^?" : `⟦${char.charCodeAt(0).toString(16)}⟧`))
    .replace(/[\u202d\u202e]/g, (char) => OVERRIDES[char]);
}

/** How many lines a text has. */
export const lineCount = (text) => (text === "" ? 0 : text.replace(/\n$/, "").split("\n").length);

/** The first line with something on it, for a row of one line. */
export const firstLine = (value, most = 200) => visible(value).trimStart().split("\n", 1)[0].slice(0, most);

/** A short text within a line. */
export const Inline = ({ text, class: name = "" }) => html`<span class="inline ${name}" dir="auto">${visible(text)}</span>`;

function excerpt(text) {
  const lines = text.split("\n");
  const few = lines.length > LINES + 3 ? lines.slice(0, LINES).join("\n") : text;
  return few.length > CHARACTERS * 1.3 ? few.slice(0, CHARACTERS) : few;
}

/**
 * A text of any length, its end behind a button when it is long. `onWhole` fetches what the hive has cut off.
 * Whether it is open is the component's own, so that no update closes it.
 */
export class Passage extends Still {
  state = { open: false, busy: false, error: null };

  toggle = async () => {
    const { truncated, onWhole } = this.props;
    if (!this.state.open && truncated && onWhole) {
      if (this.state.busy) return;
      this.setState({ busy: true, error: null });
      try {
        await onWhole();
      } catch (error) {
        this.setState({ busy: false, error: error.message });
        return;
      }
    }
    this.setState(({ open }) => ({ open: !open, busy: false }));
  };

  render({ text, truncated, class: name = "" }, { open, busy, error }) {
    const all = visible(text);
    const short = excerpt(all);
    const long = short.length < all.length || truncated;
    return html`<div class="passage ${name}">
      <div class="body ${long && !open ? "cut" : ""}" dir="auto">${open ? all : short}${long && !open ? "…" : ""}</div>
      ${long &&
      html`<button type="button" class="quiet" aria-expanded=${String(open)} aria-disabled=${String(busy)} onClick=${this.toggle}>
        ${open ? "Show less" : busy ? "Loading…" : truncated ? "Show all" : `Show all · ${sizeOf(all)}`}
      </button>`}
      ${open && truncated && html`<span class="muted small"> cut here by the sender's record</span>`}
      ${error && html`<span class="problem small" role="alert"> ${error}</span>`}
    </div>`;
  }
}

function sizeOf(text) {
  const lines = lineCount(text);
  return lines > 1 ? `${lines} lines` : `${Math.ceil(text.length / 1024)} KiB`;
}

/** A size in bytes as people read it. */
export function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, count)) / 10));
  const value = count / 1024 ** power;
  return `${value < 10 && power ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}
