// The one place that knows where the libraries lie; every other module imports them from here.

import { Component, Fragment, createRef, h, render } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export { Component, Fragment, createRef, render };
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/preact-hooks.js";

/** Markup as a template: values become text or properties, never markup. */
export const html = htm.bind(h);

/** A component that is rendered again only when one of its properties is another one. */
export class Still extends Component {
  shouldComponentUpdate(props, state) {
    if (state !== this.state) return true;
    const names = Object.keys(props);
    return names.length !== Object.keys(this.props).length || names.some((name) => props[name] !== this.props[name]);
  }
}

/** A component that is a function, rendered again only when one of its properties is another one. */
export const still = (Inner) =>
  class extends Still {
    render(props) {
      return html`<${Inner} ...${props} />`;
    }
  };

/** Loads a stylesheet that is seldom needed; a module that awaits it is not shown before. */
export const styled = (name) =>
  new Promise((resolve, reject) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", onload: resolve, onerror: reject });
    link.href = new URL(`style/${name}`, import.meta.url).href;
    document.head.append(link);
  });

/** A component whose module is loaded when it is first shown; until then, and where that fails, a word in its place. */
export const later = (load, name) =>
  class extends Component {
    static found = null;

    async #load() {
      try {
        this.constructor.found = (await load())[name];
        this.setState({ failed: false });
      } catch {
        this.setState({ failed: true });
      }
    }

    componentDidMount() {
      if (!this.constructor.found) this.#load();
    }

    render(props, { failed }) {
      const Found = this.constructor.found;
      if (Found) return html`<${Found} ...${props} />`;
      return html`<p class="muted nothing" role="status">
        ${failed ? html`This part did not load. <button type="button" class="quiet" onClick=${() => this.#load()}>Try again</button>` : "Loading…"}
      </p>`;
    }
  };
