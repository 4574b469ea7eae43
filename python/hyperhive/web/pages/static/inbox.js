// What was written to the operator: unread until marked as read. Marking one takes no row away from under the pointer.

import { ackInbox } from "./api.js";
import { Button, Problem, useAction } from "./actions.js";
import { MessageRow } from "./message-row.js";
import { html, still } from "./page.js";
import { Scroll } from "./scroll.js";
import { isUnread } from "./store.js";

export const Inbox = still(({ inbox, session, onReply }) => {
  const [run, pending, error, forget] = useAction();
  const messages = Object.values(inbox).sort((a, b) => a.id - b.id);
  const newer = (last) => messages.filter(({ id }) => id > last).length;
  const unread = messages.filter(isUnread);
  const ack = (key, ids) => run(key, () => session.do(() => ackInbox(ids)));
  return html`<section class="view inbox" aria-labelledby="inbox-title">
    <div class="view-head">
      <h2 class="unseen" id="inbox-title">Your inbox</h2>
      <span class="muted small">${unread.length ? `${unread.length} unread` : "nothing unread"}</span>
      ${unread.length > 1 &&
      html`<${Button} off=${pending} onPress=${() => ack("all", unread.map(({ id }) => id))}>
        ${pending === "all" ? "Marking…" : "Mark all as read"}
      <//>`}
      <${Problem} error=${error} onForget=${forget} />
    </div>
    <${Scroll} label="Your inbox" last=${messages.at(-1)?.id} newer=${newer}>
      ${messages.length === 0 && html`<p class="muted nothing">Nobody has written to you.</p>`}
      <ol class="plain flow">
        ${messages.map(
          (message) => html`<${MessageRow} key=${message.id} entry=${[message]} session=${session} onReply=${onReply} ack=${pending === message.id}>
            ${isUnread(message) &&
            html`<${Button} off=${pending} onPress=${() => ack(message.id, [message.id])}>
              ${pending === message.id ? "Marking…" : "Mark as read"}
            <//>`}
          <//>`,
        )}
      </ol>
    <//>
  </section>`;
});
