// What an agent has open: questions both ways, approvals it asked for, reminders and schedules; fetched when looked at.

import { Button, Problem, SureButton, useAction } from "./actions.js";
import { cancelReminder, getAgent, getOpenEnds, getReminders } from "./api-detail.js";
import { Name } from "./names.js";
import { html, useEffect, useState } from "./page.js";
import { Inline, bytes } from "./text.js";
import { Age, Clock } from "./time.js";

/** One thing: what it is, in its own words, and until when. */
const End = ({ end, children }) =>
  html`<li class="end small" data-kind=${end.kind}>
    <span class="muted">${end.kind.replaceAll("_", " ")} ${end.id}</span>
    ${end.who && html` <${Name} name=${end.who} />`} <${Inline} text=${end.text} />
    <span class="muted"> since <${Age} at=${end.since} />${end.deadline && html`, <${Age} at=${end.deadline} until=${true} /> left`}</span>
    ${children}
  </li>`;

const Schedule = ({ schedule }) =>
  html`<li class="end small" data-kind="schedule">
    <span class="muted">schedule <${Inline} text=${schedule.name} /></span> <code><${Inline} text=${schedule.rule} /></code>
    <span class="muted">${schedule.nextAt ? html` next <${Clock} at=${schedule.nextAt} exact=${true} />` : " never again"}</span>
  </li>`;

export function OpenEnds({ name, session }) {
  const [run, pending, error, forget] = useAction();
  const [known, setKnown] = useState(null);
  const fetched = async () => {
    const [{ ends, unread }, { schedules }, { stateBytes }] = await Promise.all([
      getOpenEnds(name),
      getReminders({ agent: name, limit: 1 }),
      getAgent(name),
    ]);
    setKnown({ ends, unread, schedules: schedules ?? [], stateBytes });
  };
  const look = () => run("look", () => session.do(fetched));
  const cancel = (id) => run(`cancel ${id}`, () => session.do(async () => (await cancelReminder(id), await fetched())));
  useEffect(() => {
    look();
  }, [name]);
  const nothing = known && known.ends.length + known.schedules.length === 0;
  return html`<section class="viewer" aria-label=${`What ${name} has open`}>
    <div class="viewer-head small">
      <span class="muted">${known ? `${known.unread} unread${known.stateBytes > 0 ? ` · its directories take ${bytes(known.stateBytes)}` : ""}` : "Loading…"}</span>
      <${Button} class="quiet" off=${pending} onPress=${look}>Look again<//>
    </div>
    ${nothing && html`<p class="muted nothing">Nothing else is open.</p>`}
    <ul class="plain">
      ${known?.ends.map(
        (end) => html`<${End} key=${`${end.kind} ${end.id}`} end=${end}>
          ${end.kind === "reminder" && html` <${SureButton} class="quiet" off=${pending} question="Really cancel?" onPress=${() => cancel(end.id)}>Cancel<//>`}
        <//>`,
      )}
      ${known?.schedules.map((schedule) => html`<${Schedule} key=${schedule.name} schedule=${schedule} />`)}
    </ul>
    <${Problem} error=${error} onForget=${forget} />
  </section>`;
}
