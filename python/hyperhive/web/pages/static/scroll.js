// A box whose newest line is at the bottom. Who reads the end keeps reading the end; who reads further up stays there,
// whatever is added or dropped above or below.

import { Component, html } from "./page.js";

const NEAR = 48;

/** Properties: `last`, which changes with the newest line; `jump`, which changes when the end is to be shown anyway. */
export class Scroll extends Component {
  state = { away: false, fresh: 0 };
  #box = null;
  #atEnd = true;

  componentDidMount() {
    this.#toEnd();
    // The compose box grows while somebody types, and takes the room from here.
    this.#sizes = new ResizeObserver(() => this.#atEnd && this.#toEnd());
    this.#sizes.observe(this.#box);
  }
  #sizes = null;

  componentWillUnmount() {
    this.#sizes.disconnect();
  }

  getSnapshotBeforeUpdate() {
    const box = this.#box;
    const scrolled = box.scrollTop;
    if (this.#distance() < NEAR) return { end: true };
    for (const row of box.firstElementChild.children) {
      if (row.offsetTop + row.offsetHeight > scrolled) return { row, offset: row.offsetTop - scrolled };
    }
    return {};
  }

  componentDidUpdate(before, _state, { end, row, offset }) {
    const jumps = before.jump !== this.props.jump;
    if (end || jumps) this.#toEnd();
    else if (row?.isConnected && row.offsetTop - offset !== this.#box.scrollTop) this.#box.scrollTop = row.offsetTop - offset;
    if (!end && !jumps && before.last !== this.props.last) this.setState(({ fresh }) => ({ fresh: fresh + 1 }));
  }

  #distance = () => this.#box.scrollHeight - this.#box.scrollTop - this.#box.clientHeight;

  #toEnd = () => {
    this.#box.scrollTop = this.#box.scrollHeight;
  };

  #scrolled = () => {
    const distance = this.#distance();
    this.#atEnd = distance < NEAR;
    if (this.state.away === this.#atEnd) this.setState(({ fresh }) => ({ away: !this.#atEnd, fresh: this.#atEnd ? 0 : fresh }));
  };

  render({ label, children, class: name = "" }, { away, fresh }) {
    return html`<div class="scroll ${name}">
      <div class="scroll-box" role="region" aria-label=${label} tabindex="0" ref=${(box) => (this.#box = box ?? this.#box)} onScroll=${this.#scrolled}>
        <div class="scroll-rows">${children}</div>
      </div>
      ${away &&
      html`<button type="button" class="to-end ${fresh ? "fresh" : ""}" onClick=${this.#toEnd}>
        ${fresh ? "New below" : "To the newest"} <span aria-hidden="true">↓</span>
      </button>`}
    </div>`;
  }
}
