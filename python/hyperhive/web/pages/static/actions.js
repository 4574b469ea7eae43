// Buttons that ask the hive for something: pending while it answers, the refusal beside them, never twice at once.

import { html, useEffect, useRef, useState } from "./page.js";

/**
 * @returns {[(key: string, action: () => Promise<unknown>) => Promise<void>, string|null, Error|null, () => void]}
 *   run, the key that is pending, what went wrong last, and how to forget that
 */
export function useAction() {
  const [pending, setPending] = useState(null);
  const [error, setError] = useState(null);
  const busy = useRef(false);
  const alive = useRef(true);
  useEffect(() => () => (alive.current = false), []);
  const run = async (key, action) => {
    if (busy.current) return;
    busy.current = true;
    setPending(key);
    setError(null);
    try {
      await action();
    } catch (failure) {
      if (alive.current) setError(failure);
    } finally {
      busy.current = false;
      if (alive.current) setPending(null);
    }
  };
  return [run, pending, error, () => setError(null)];
}

/** A button that stays where it is and keeps the focus while it is not to be pressed: `aria-disabled`, not `disabled`. */
export const Button = ({ off = false, class: name = "", onPress, children, ...rest }) =>
  html`<button type="button" class=${name} aria-disabled=${String(Boolean(off))} onClick=${() => off || onPress()} ...${rest}>
    ${children}
  </button>`;

/** A button for what cannot be taken back: it asks once more, in its own place. */
export function SureButton({ question, class: name = "", onPress, children, ...rest }) {
  const [asked, setAsked] = useState(false);
  const press = () => {
    setAsked(!asked);
    if (asked) onPress();
  };
  // Not at once: the button gets narrower, and must not pull away the one that is being pressed beside it.
  const left = () => setTimeout(() => setAsked(false), 300);
  return html`<${Button} ...${rest} class=${asked ? "danger" : name} onPress=${press} onBlur=${left}>
    ${asked ? question : children}
  <//>`;
}

/** What the hive refused, and what to do next. */
export const Problem = ({ error, onForget }) =>
  error &&
  html`<p class="problem small" role="alert">
    ${error.message}${error.hint ? `. ${error.hint}` : ""}
    ${onForget && html` <button type="button" class="quiet" aria-label="Dismiss" onClick=${onForget}>✕</button>`}
  </p>`;
