// The flow of messages, newest at the bottom: who to whom, when, what, and what became of it.

import { settleDeadLetter } from "./api.js";
import { Button, Problem, SureButton, useAction } from "./actions.js";
import { Name } from "./names.js";
import { Still, html, useEffect, useMemo } from "./page.js";
import { Scroll } from "./scroll.js";
import { EVERYONE, OPERATOR, flowOf, isUnread } from "./store.js";
import { Inline, Passage } from "./text.js";
import { Clock, dayOf } from "./time.js";
import { goTo } from "./view.js";

/** Rows of a filter below which older ones are looked for by themselves. */
const FEW = 20;

/** What became of a message: a word, and a class for its colour. */
export function fateOf(message) {
  const { state, outcome, deadLetter, deliveries, settledAt, to } = message;
  if (state === "discarded" || outcome === "discarded") return ["discarded", "stopped"];
  if (deadLetter || state === "dead") return ["dead letter", "failed"];
  if (outcome === "cancelled") return ["cancelled", "stopped"];
  if (state === "settled" || settledAt) return [to === OPERATOR ? "read" : "done", "done"];
  if (to === OPERATOR) return ["unread", "waiting"];
  if (state === "held") return ["at work", "thinking"];
  return [deliveries > 0 ? "waiting again" : "waiting", "waiting"];
}

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

/** Buttons for a dead letter. */
export function DeadLetter({ message, session }) {
  const [run, pending, error, forget] = useAction();
  const settle = (verb) => run(verb, () => session.do(() => settleDeadLetter(message.id, verb)));
  return html`<div class="letter">
    ${message.reason && html`<p class="problem small"><${Inline} text=${message.reason} /></p>`}
    <div class="buttons">
      <${Button} off=${pending} onPress=${() => settle("requeue")}>${pending === "requeue" ? "Requeueing…" : "Requeue"}<//>
      <${SureButton} off=${pending} question="Discard for good?" onPress=${() => settle("discard")}>Discard<//>
    </div>
    <${Problem} error=${error} onForget=${forget} />
  </div>`;
}

const Fate = ({ message, named }) => {
  const [word, look] = fateOf(message);
  return html`<span class="fate look-${look}">${named && html`<${Name} name=${message.to} />${" "}`}${word}</span>`;
};

/** One message, or one broadcast: `entry` holds at least one message. */
export class MessageRow extends Still {
  shouldComponentUpdate(props, state) {
    const { entry, ...rest } = props;
    const { entry: before, ...restBefore } = this.props;
    return (
      state !== this.state ||
      entry.length !== before.length ||
      entry.some((message, index) => message !== before[index]) ||
      Object.keys(rest).some((name) => rest[name] !== restBefore[name])
    );
  }

  render({ entry, session, onReply, children }) {
    const [message] = entry;
    const { id, from, to, sentAt, body, truncated, inReplyTo } = message;
    const many = entry.length > 1;
    const dead = entry.filter((each) => (each.deadLetter || each.state === "dead") && each.outcome !== "discarded" && each.state !== "discarded");
    const fresh = to === OPERATOR && isUnread(message);
    return html`<li class="message ${from === OPERATOR ? "mine" : ""} ${fresh ? "fresh" : ""}" data-message=${id}>
      <div class="message-head">
        <span class="route">
          <${Name} name=${from} /> <span class="arrow" aria-label="to">→</span> <${Name} name=${many ? EVERYONE : to} />
        </span>
        ${inReplyTo && html`<span class="muted small">re ${inReplyTo}</span>`}
        <span class="fates">
          ${entry.map((each) => html`<${Fate} key=${each.id} message=${each} named=${many} />`)}
        </span>
        <${Clock} at=${sentAt} />
        <${Button} class="quiet reply" aria-label=${`Reply to ${from}, message ${id}`} onPress=${() => onReply(message)}>Reply<//>
      </div>
      <${Passage} text=${body} truncated=${truncated} onWhole=${() => session.whole(id)} />
      ${dead.map((each) => html`<${DeadLetter} key=${each.id} message=${each} session=${session} />`)}
      ${children}
    </li>`;
  }
}

export function Messages({ state, agents, filter, session, jump, onReply }) {
  const [run, pending, error, forget] = useAction();
  const { messages, floors, phase } = state;
  const entries = useMemo(() => entriesOf(flowOf(state, filter)), [messages, floors, filter]);
  const more = (floors[filter] ?? floors[""]) > 0;
  const older = () => run("older", () => session.older(filter));
  useEffect(() => {
    if (phase === "ready" && filter && more && entries.length < FEW) older();
  }, [filter, phase, state.generation]);
  const names = [...new Set([...agents.map(({ name }) => name), ...(filter ? [filter] : [])])];
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
    <${Scroll} key=${filter} label="Messages" last=${messages.at(-1)?.id} jump=${jump}>
      <div class="earlier">
        ${more && html`<${Button} class="quiet" off=${pending} onPress=${older}>${pending ? "Loading…" : "Load older messages"}<//>`}
        ${!more && entries.length === 0 && html`<p class="muted nothing">No messages yet. Write the first one below.</p>`}
        <${Problem} error=${error} onForget=${forget} />
      </div>
      <ol class="plain flow">
        ${entries.map((entry) => {
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
}
