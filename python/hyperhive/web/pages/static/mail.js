// An agent's mail on its own page: closed, with what waits; opened, each message and what became of it.

import { Button, Problem, useAction } from "./actions.js";
import { MessageRow } from "./message-row.js";
import { html, still, useState } from "./page.js";
import { AGENT } from "./place.js";
import { isOpen } from "./store.js";

/** Rows that are drawn at first, and by how many more the list grows. */
const STEP = 30;

export const Mail = still(({ messages, floors, session }) => {
  const [open, setOpen] = useState(false);
  const [shown, setShown] = useState(STEP);
  const [run, pending, error, forget] = useAction();
  const waiting = messages.filter((message) => message.to === AGENT && isOpen(message));
  const newest = messages.slice(-shown).reverse();
  const more = messages.length > shown || floors[""] > 0;
  const older = () =>
    run("older", async () => {
      if (messages.length <= shown) await session.older("");
      setShown(shown + STEP);
    });
  return html`<section class="mail" aria-label="Inbox">
    <button type="button" class="quiet mail-head" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>
      <span class="turner" aria-hidden="true">▸</span> Inbox
      ${waiting.length > 0 ? html` <span class="count">${waiting.length}</span> <span class="muted">waiting</span>` : html` <span class="muted">nothing waits</span>`}
    </button>
    ${open &&
    html`<ol class="plain mail-list" tabindex="0" aria-label="Messages, newest first">
      ${newest.length === 0 && html`<li class="muted nothing">No messages yet.</li>`}
      ${newest.map((message) => html`<${MessageRow} key=${message.id} entry=${[message]} session=${session} />`)}
      ${more && html`<li><${Button} class="quiet" off=${pending} onPress=${older}>${pending ? "Loading…" : "Older messages"}<//></li>`}
      <li><${Problem} error=${error} onForget=${forget} /></li>
    </ol>`}
  </section>`;
});
