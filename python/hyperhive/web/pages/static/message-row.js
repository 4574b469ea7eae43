// One message, or one broadcast, as a row: who to whom, when, what, and what became of it.

import { settleDeadLetter } from "./api.js";
import { Button, Problem, SureButton, useAction } from "./actions.js";
import { Name } from "./names.js";
import { Still, html } from "./page.js";
import { AGENT } from "./place.js";
import { EVERYONE, OPERATOR, isUnread } from "./store.js";
import { Inline, Passage } from "./text.js";
import { Clock } from "./time.js";

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

/** Buttons for a dead letter. */
export function DeadLetter({ message, session }) {
  const [run, pending, error, forget] = useAction();
  const settle = (verb) => run(verb, () => session.do(() => settleDeadLetter(message.id, verb)));
  return html`<div class="letter">
    ${message.reason && html`<p class="problem small"><${Inline} text=${message.reason} /></p>`}
    ${!AGENT && html`<div class="buttons">
      <${Button} off=${pending} onPress=${() => settle("requeue")}>${pending === "requeue" ? "Requeueing…" : "Requeue"}<//>
      <${SureButton} off=${pending} question="Discard for good?" onPress=${() => settle("discard")}>Discard<//>
    </div>`}
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
        ${onReply && html`<${Button} class="quiet reply" aria-label=${`Reply to ${from}, message ${id}`} onPress=${() => onReply(message)}>Reply<//>`}
      </div>
      <${Passage} text=${body} truncated=${truncated} onWhole=${() => session.whole(id)} />
      ${dead.map((each) => html`<${DeadLetter} key=${each.id} message=${each} session=${session} />`)}
      ${children}
    </li>`;
  }
}
