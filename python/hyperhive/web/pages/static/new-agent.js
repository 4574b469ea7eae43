// A new agent on the operator's own decision: a name, and what it is for. What is left empty is the hive's default.

import { Problem, useAction } from "./actions.js";
import { spawn } from "./api-detail.js";
import { MODELS } from "./model-picker.js";
import { html, useLayoutEffect, useRef, useState } from "./page.js";

/** Properties: `onMade` is called with the name of what was made, `session`. */
export function NewAgent({ onMade, session }) {
  const [run, pending, error, forget] = useAction();
  const [given, setGiven] = useState({ name: "" });
  const first = useRef(null);
  useLayoutEffect(() => first.current.focus(), []);
  const submit = (event) => {
    event.preventDefault();
    const body = Object.fromEntries(Object.entries(given).flatMap(([key, text]) => (text.trim() ? [[key, text.trim()]] : [])));
    if (!body.name) first.current.focus();
    else run("spawn", async () => (await session.do(() => spawn(body)), onMade(body.name)));
  };
  const field = (key, rest) => ({ "aria-label": key, value: given[key] ?? "", onInput: (event) => setGiven({ ...given, [key]: event.target.value }), ...rest });
  return html`<form class="new-agent" aria-label="New agent" onSubmit=${submit}>
    <div class="answer-row">
      <input ref=${first} ...${field("name", { maxlength: 64, placeholder: "name", autocapitalize: "off", autocomplete: "off", spellcheck: false })} />
      <input ...${field("model", { maxlength: 128, placeholder: "model", list: "models", autocapitalize: "off", spellcheck: false })} />
      <datalist id="models">${MODELS.map((model) => html`<option key=${model} value=${model} />`)}</datalist>
    </div>
    <input ...${field("description", { placeholder: "what it is for, for the other agents", dir: "auto" })} />
    <textarea ...${field("prompt", { rows: 3, placeholder: "what it is told before all else", dir: "auto" })}></textarea>
    <div class="buttons"><button class="primary" aria-disabled=${String(Boolean(pending))}>${pending ? "Making it…" : "Make it"}</button></div>
    <${Problem} error=${error} onForget=${forget} />
  </form>`;
}
