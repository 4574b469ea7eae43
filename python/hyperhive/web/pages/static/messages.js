// The flow of messages, newest at the bottom: who to whom, when, what, and what became of it.

import { Button, Problem, useAction } from "./actions.js";
import { MessageRow } from "./message-row.js";
import { html, still, useEffect, useMemo } from "./page.js";
import { Scroll } from "./scroll.js";
import { flowOf } from "./store.js";
import { dayOf } from "./time.js";
import { goTo } from "./view.js";

/** Rows of a filter below which older ones are looked for by themselves. */
const FEW = 20;

/** Messages of one broadcast as one entry, at the place of the first. */
function entriesOf(messages) {
  const byBroadcast = new Map();
  const entries = [];
  for (const message of messages) {
    const group = message.broadcastId ? byBroadcast.get(message.broadcastId) : undefined;
    if (group) group.push(message);
    else {
      const entry = [message];
      if (message.broadcastId) byBroadcast.set(message.broadcastId, entry);
      entries.push(entry);
    }
  }
  return entries;
}

/** Properties: `names` of the agents in one string, and parts of the state, so that nothing else causes a rendering. */
export const Messages = still(({ messages, floors, phase, generation, names: all, filter, session, jump, onReply }) => {
  const [run, pending, error, forget] = useAction();
  const entries = useMemo(() => entriesOf(flowOf({ messages, floors }, filter)), [messages, floors, filter]);
  const more = (floors[filter] ?? floors[""]) > 0;
  const older = () => run("older", () => session.older(filter));
  useEffect(() => {
    if (phase === "ready" && filter && more && entries.length < FEW) older();
  }, [filter, phase, generation]);
  const names = [...new Set([...all.split(" ").filter(Boolean), ...(filter ? [filter] : [])])];
  const newer = (last) => messages.filter(({ id }) => id > last).length;
  let day = null;
  return html`<section class="view messages" aria-labelledby="messages-title">
    <div class="view-head">
      <h2 class="unseen" id="messages-title">Messages</h2>
      <label class="small">
        <span class="muted">Show </span>
        <select value=${filter} onChange=${(event) => goTo("messages", event.target.value)} aria-label="Messages of">
          <option value="">all agents</option>
          ${names.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
        </select>
      </label>
    </div>
    <${Scroll} key=${filter} label="Messages" last=${messages.at(-1)?.id} newer=${newer} jump=${jump}>
      <div class="earlier">
        ${more && html`<${Button} class="quiet" off=${pending} onPress=${older}>${pending ? "Loading…" : "Load older messages"}<//>`}
        ${!more && entries.length === 0 && html`<p class="muted nothing">No messages yet. Write the first one below.</p>`}
        <${Problem} error=${error} onForget=${forget} />
      </div>
      <ol class="plain flow">
        ${entries.flatMap((entry) => {
          const [message] = entry;
          const begins = dayOf(message.sentAt) !== day && dayOf(message.sentAt);
          day = dayOf(message.sentAt);
          return [
            begins && html`<li key=${`day ${message.id}`} class="day muted small">${begins}</li>`,
            html`<${MessageRow}
              key=${message.broadcastId ? `b${message.broadcastId}` : message.id}
              entry=${entry}
              session=${session}
              onReply=${onReply}
            />`,
          ];
        })}
      </ol>
    <//>
  </section>`;
});
