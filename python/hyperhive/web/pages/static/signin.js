// The way in: paste what `hyperhive dashboard-url` prints. No token is no error; a refused one is said.

import { html, useLayoutEffect, useRef, useState } from "./page.js";
import { AGENT, ALONE, ICON } from "./place.js";
import { keepToken, tokenIn } from "./token.js";

const WORDS = {
  401: "That token was not accepted. It may belong to another hive, or have been replaced.",
  429: "Too many wrong tokens. Wait a minute, then try again.",
};

export function SignIn({ refusal, session }) {
  const input = useRef(null);
  const [empty, setEmpty] = useState(false);
  useLayoutEffect(() => input.current.focus(), [refusal]);
  const submit = (event) => {
    event.preventDefault();
    const token = tokenIn(input.current.value);
    setEmpty(!token);
    if (!token) return;
    keepToken(token);
    session.start();
  };
  const problem = empty ? "Paste the token or the link first." : refusal && (WORDS[refusal.status] ?? refusal.message);
  return html`<main class="signin">
    <form class="card" onSubmit=${submit}>
      <h1><img src=${ICON} alt="" width="28" height="28" /> ${AGENT || "hyperhive"}</h1>
      <p>${ALONE ? html`Paste the token of ${AGENT}'s page` : "Paste the operator's token"}, or the whole link. On the hive's host this prints it:</p>
      <pre><code>hyperhive dashboard-url${ALONE ? ` ${AGENT}` : ""}</code></pre>
      <label for="token">Token or link</label>
      <input
        id="token"
        ref=${input}
        type="password"
        autocomplete="off"
        spellcheck=${false}
        aria-invalid=${String(Boolean(problem))}
        aria-describedby="token-problem"
      />
      <p id="token-problem" class="problem" role="alert">${problem}</p>
      <button class="primary">Sign in</button>
      <p class="muted small">This browser keeps the token for this address only. It is sent to nobody but the hive.</p>
    </form>
  </main>`;
}
