// Signing an agent in to Claude: start, open the link, give the code. What became of it is told by the agent's row, so
// every page that is open shows the same.

import { Button, Problem, useAction } from "./actions.js";
import { login } from "./api-detail.js";
import { isSigningIn, wantsLogin } from "./login.js";
import { html, useEffect, useRef, useState } from "./page.js";
import { Inline } from "./text.js";
import { Age } from "./time.js";

const ENDS = {
  done: ["Signed in.", "well"],
  failed: ["The last sign-in failed", "problem"],
  cancelled: ["The last sign-in was cancelled", "muted"],
  expired: ["The last sign-in took too long and was ended", "problem"],
};

/** The address, where it is one that a browser may be sent to. */
function linkOf(url) {
  try {
    return new URL(url).protocol === "https:" ? url : null;
  } catch {
    return null;
  }
}

function Step({ name, row, act, pending }) {
  const [code, setCode] = useState("");
  const field = useRef(null);
  const { phase, url } = row;
  if (phase !== "link") {
    return html`<p role="status"><span class="spinner" aria-hidden="true"></span> ${phase === "starting" ? "Starting the sign-in…" : "Checking the code…"}</p>`;
  }
  const submit = (event) => {
    event.preventDefault();
    if (code.trim()) act("code", { code: code.trim() });
    else field.current.focus();
  };
  const link = linkOf(url);
  return html`${row.error && html`<p class="problem" role="alert"><${Inline} text=${row.error} /></p>`}
  <ol class="steps">
    <li>
      Open this address and sign in:
      ${link ? html`<a href=${link} target="_blank" rel="noopener noreferrer">${link}</a>` : html`<code><${Inline} text=${url ?? "the address is missing"} /></code>`}
    </li>
    <li>
      <form class="code" onSubmit=${submit}>
        <label for="login-code">Paste the code that it shows:</label>
        <input id="login-code" ref=${field} value=${code} autocomplete="off" spellcheck=${false} onInput=${(event) => setCode(event.target.value)} />
        <button class="primary" aria-disabled=${String(Boolean(pending))}>${pending === "code" ? "Sending…" : `Sign ${name} in`}</button>
      </form>
    </li>
  </ol>`;
}

export function LoginCard({ agent, session }) {
  const [run, pending, error, forget] = useAction();
  const [hidden, hide] = useState(null);
  const { name, state, login: row } = agent;
  const going = isSigningIn(agent);
  const needed = state === "needs_login";
  // What ended long ago is no news to a page that was just opened.
  useEffect(() => {
    if (row && !wantsLogin(agent)) hide(row.since);
  }, []);
  if (!going && !needed && (!row || hidden === row.since)) return null;
  const act = (step, body) => run(step, () => session.do(() => login(name, step, body)));
  const end = !going && row && ENDS[row.phase];
  return html`<section class="card login" aria-labelledby="login-title" data-phase=${row?.phase ?? "none"}>
    <h2 id="login-title">${needed || going ? `${name} needs a login to Claude` : `${name} is signed in to Claude`}</h2>
    ${end &&
    html`<p class=${end[1]} role="status">
      ${end[0]}${row.error && html`: <${Inline} text=${row.error} />`} <span class="muted small">(<${Age} at=${row.since} /> ago)</span>
    </p>`}
    ${going && html`<${Step} name=${name} row=${row} act=${act} pending=${pending} />`}
    <div class="buttons">
      ${!going && needed && html`<${Button} class="primary" off=${pending} onPress=${() => act("start")}>${pending ? "Starting…" : end ? "Try again" : "Start the sign-in"}<//>`}
      ${going && html`<${Button} off=${pending} onPress=${() => act("cancel")}>${pending === "cancel" ? "Cancelling…" : "Cancel the sign-in"}<//>`}
      ${!going && !needed && html`<button type="button" class="quiet" onClick=${() => hide(row.since)}>Dismiss</button>`}
    </div>
    <${Problem} error=${error} onForget=${forget} />
  </section>`;
}
