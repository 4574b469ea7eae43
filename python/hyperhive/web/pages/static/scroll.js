// A box whose newest line is at the bottom. Who reads the end keeps reading the end; who reads further up stays there,
// whatever is added or dropped above or below.

import { Component, html } from "./page.js";

const NEAR = 48;

/**
 * Properties: `last`, which changes with the newest line; `newer(last)`, how many lines came after one; `jump`, which
 * changes when the end is to be shown anyway; `onTop`, called near the first line; `onEnd(away)`, on leaving and reaching
 * the end. The lines are the children of the box's list.
 */
export class Scroll extends Component {
  state = { away: false, left: null };
  #box = null;
  #atEnd = true;
  #sizes = null;

  componentDidMount() {
    this.#toEnd();
    // The compose box grows while somebody types, and takes the room from here.
    this.#sizes = new ResizeObserver(() => this.#atEnd && this.#toEnd());
    this.#sizes.observe(this.#box);
  }

  componentWillUnmount() {
    this.#sizes.disconnect();
  }

  getSnapshotBeforeUpdate() {
    if (this.#distance() < NEAR) return { end: true };
    return { seen: this.#firstSeen().map((row) => [row, row.offsetTop - this.#box.scrollTop]) };
  }

  componentDidUpdate(before, _state, { end, seen = [] }) {
    if (end || before.jump !== this.props.jump) {
      this.#toEnd();
      return;
    }
    const [row, offset] = seen.find(([each]) => each.isConnected) ?? [];
    if (row && row.offsetTop - offset !== this.#box.scrollTop) this.#box.scrollTop = row.offsetTop - offset;
  }

  /** The first lines of which something is to be seen; not one alone, because the day above a message may move away. */
  #firstSeen() {
    const rows = this.#box.querySelector("ol")?.children ?? [];
    const top = this.#box.scrollTop;
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle].offsetTop + rows[middle].offsetHeight > top) high = middle;
      else low = middle + 1;
    }
    return [...rows].slice(low, low + 3);
  }

  #distance = () => this.#box.scrollHeight - this.#box.scrollTop - this.#box.clientHeight;

  #toEnd = () => {
    this.#box.scrollTop = this.#box.scrollHeight;
  };

  #scrolled = () => {
    const { last, onTop, onEnd } = this.props;
    this.#atEnd = this.#distance() < NEAR;
    if (this.state.away === this.#atEnd) {
      this.setState({ away: !this.#atEnd, left: last });
      onEnd?.(!this.#atEnd);
    }
    if (!this.#atEnd && this.#box.scrollTop < this.#box.clientHeight) onTop?.();
  };

  render({ label, children, newer, class: name = "" }, { away, left }) {
    const fresh = away ? newer(left ?? -1) : 0;
    return html`<div class="scroll ${name}">
      <div class="scroll-box" role="region" aria-label=${label} tabindex="0" ref=${(box) => (this.#box = box ?? this.#box)} onScroll=${this.#scrolled}>
        <div class="scroll-rows">${children}</div>
      </div>
      ${away &&
      html`<button type="button" class="to-end ${fresh ? "fresh" : ""}" onClick=${this.#toEnd}>
        ${fresh ? `${fresh} new` : "To the newest"} <span aria-hidden="true">↓</span>
      </button>`}
    </div>`;
  }
}
