// The model chip: shows what the next turn uses, and changes it in two presses.

import { setModel } from "./api.js";
import { Problem, useAction } from "./actions.js";
import { html, useLayoutEffect, useRef, useState } from "./page.js";
import { Inline } from "./text.js";

/** Short names that claude knows by itself; any other name can be typed. */
export const MODELS = ["haiku", "sonnet", "opus", "fable"];

export function ModelPicker({ agent, session }) {
  const [open, setOpen] = useState(false);
  const [run, pending, error, forget] = useAction();
  const box = useRef(null);
  const { name, model } = agent;
  useLayoutEffect(() => {
    if (open) (box.current.querySelector("[aria-checked=true]") ?? box.current.querySelector("[role=menuitemradio]")).focus();
  }, [open]);
  const close = () => {
    setOpen(false);
    box.current.querySelector("button").focus();
  };
  const pick = (choice) => {
    close();
    if (choice && choice !== model) run(choice, () => session.do(() => setModel(name, choice)));
  };
  const keys = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") close();
    else if (!step) return;
    else {
      const choices = [...box.current.querySelectorAll("[role=menuitemradio], input")];
      choices[(choices.indexOf(document.activeElement) + step + choices.length) % choices.length].focus();
    }
    event.preventDefault();
  };
  const left = (event) => box.current.contains(event.relatedTarget) || setOpen(false);
  return html`<span class="picker" ref=${box} onFocusOut=${left}>
    <button
      type="button"
      class="chip model"
      aria-haspopup="true"
      aria-expanded=${String(open)}
      onClick=${() => (open ? close() : setOpen(true))}
    >
      <span class="muted">model</span> <${Inline} text=${pending ?? model ?? "?"} /><span class="unseen"> of ${name}, change</span>
      ${pending ? html`<span class="spinner" aria-hidden="true"></span>` : html`<span aria-hidden="true" class="muted">▾</span>`}
    </button>
    ${open &&
    html`<div class="menu" onKeyDown=${keys}>
      <div role="menu" aria-label="Models">
        ${[...new Set([...MODELS, model])].filter(Boolean).map(
          (choice) =>
            html`<button key=${choice} type="button" role="menuitemradio" aria-checked=${String(choice === model)} tabindex="-1" onClick=${() => pick(choice)}>
              <span class="tick" aria-hidden="true">${choice === model ? "✓" : ""}</span><${Inline} text=${choice} />
            </button>`,
        )}
      </div>
      <form onSubmit=${(event) => (event.preventDefault(), pick(event.target.elements.model.value.trim()))}>
        <input name="model" aria-label="Another model" placeholder="another model" autocomplete="off" spellcheck=${false} />
      </form>
      <p class="muted small">From the next turn on.</p>
    </div>`}
    <${Problem} error=${error} onForget=${forget} />
  </span>`;
}
