// A dead letter among what waits: read it, let it wait for its agent again, or give it up.

import { Button, SureButton } from "./actions.js";
import { getMessage, settleDeadLetter } from "./api.js";
import { html, useState } from "./page.js";
import { Passage } from "./text.js";

export function Letter({ item, run, pending, session }) {
  const [letter, setLetter] = useState(null);
  const id = item.ref;
  const look = () =>
    letter ? setLetter(null) : run("look", () => session.do(async () => setLetter((await getMessage(id)) ?? { body: "" })));
  const settle = (verb) => run(verb, () => session.do(() => settleDeadLetter(id, verb)));
  return html`
    ${letter && html`<${Passage} text=${letter.body} />`}
    <div class="buttons">
      <${Button} off=${pending} onPress=${() => settle("requeue")}>${pending === "requeue" ? "Requeueing…" : "Requeue"}<//>
      <${SureButton} off=${pending} question="Discard for good?" onPress=${() => settle("discard")}>Discard<//>
      <${Button} class="quiet" off=${pending} aria-expanded=${String(Boolean(letter))} onPress=${look}>
        ${letter ? "Hide the message" : "Read the message"}
      <//>
    </div>
  `;
}
