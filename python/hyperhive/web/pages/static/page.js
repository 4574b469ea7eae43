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
