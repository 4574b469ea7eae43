// Agents that are no more, and what is kept of each: they can be had back, or wiped by typing the name.

import { Button, Problem, useAction } from "./actions.js";
import { purge, revive } from "./api-detail.js";
import { Name } from "./names.js";
import { html, still, useLayoutEffect, useRef, useState } from "./page.js";
import { bytes } from "./text.js";
import { Age } from "./time.js";

function Tombstone({ tombstone, session, onChange }) {
  const [run, pending, error, forget] = useAction();
  const [typed, setTyped] = useState(null);
  const field = useRef(null);
  const { name, since, declared, hasLogin, sizeBytes, unread } = tombstone;
  const asked = typed !== null;
  useLayoutEffect(() => {
    if (asked) field.current.focus();
  }, [asked]);
  const act = (key, action) => run(key, () => session.do(action).then(onChange));
  const wipe = (event) => {
    event.preventDefault();
    if (typed.trim() === name) act("purge", () => purge(name, name));
    else field.current.focus();
  };
  const facts = [
    sizeBytes !== null && sizeBytes !== undefined ? bytes(sizeBytes) : "size not known",
    hasLogin ? "has a login" : "no login",
    unread > 0 && `${unread} unread`,
    declared && "still declared",
  ].filter(Boolean);
  return html`<li class="tombstone" data-tombstone=${name}>
    <div class="item-head">
      <${Name} name=${name} />
      <span class="muted small">${facts.join(" · ")}</span>
      <span class="muted small since"><${Age} at=${since} /></span>
    </div>
    <div class="buttons">
      <${Button} off=${pending} onPress=${() => act("revive", () => revive(name))}>${pending === "revive" ? "Reviving…" : "Revive"}<//>
      <${Button} class="quiet" off=${pending} aria-expanded=${String(asked)} onPress=${() => setTyped(asked ? null : "")}>Purge…<//>
    </div>
    ${asked &&
    html`<form class="purge" onSubmit=${wipe}>
      <label class="small">
        Login, notes and history of ${name} are wiped for ever. Type its name:
        <input ref=${field} value=${typed} autocomplete="off" autocapitalize="off" spellcheck=${false} onInput=${(event) => setTyped(event.target.value)} />
      </label>
      <button class="danger" aria-disabled=${String(Boolean(pending) || typed.trim() !== name)}>${pending === "purge" ? "Purging…" : "Purge for good"}</button>
    </form>`}
    <${Problem} error=${error} onForget=${forget} />
  </li>`;
}

export const Tombstones = still(
  ({ tombstones, session, onChange }) =>
    html`${tombstones.map((tombstone) => html`<${Tombstone} key=${tombstone.name} tombstone=${tombstone} session=${session} onChange=${onChange} />`)}`,
);
