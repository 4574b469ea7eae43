// One agent, opened: its state, its buttons, and its events as they happen, after those that are on record.

import { AgentButtons, LastTurn, StateBadge } from "./agents.js";
import { Button, Problem, useAction } from "./actions.js";
import { EventRow } from "./events.js";
import { Name } from "./names.js";
import { html, useEffect } from "./page.js";
import { Scroll } from "./scroll.js";
import { Inline } from "./text.js";
import { Age } from "./time.js";
import { linkTo } from "./view.js";

export function AgentView({ name, agent, log, generation, session, onClose }) {
  const [run, pending, error, forget] = useAction();
  // A new snapshot may hide a gap, so what was loaded before it is loaded again.
  useEffect(() => {
    run("load", () => session.events(name));
  }, [name, generation]);
  const items = log?.items ?? [];
  return html`<section class="view agent-view" aria-label=${`Agent ${name}`}>
    <div class="view-head">
      <h2><${Name} name=${name} /></h2>
      ${agent
        ? html`<${StateBadge} state=${agent.state} /> <span class="muted small"><${Age} at=${agent.since} /></span>
            <span class="muted small model"><${Inline} text=${agent.model ?? ""} /></span>`
        : html`<span class="muted">There is no such agent now.</span>`}
      <a class="small" href=${linkTo("messages", name)} aria-label=${`Messages of ${name}`}>Messages</a>
      <button type="button" class="quiet close" aria-label=${`Close ${name}`} onClick=${onClose}>Close</button>
    </div>
    ${agent &&
    html`<div class="view-sub">
      ${agent.problem && html`<p class="problem small"><${Inline} text=${agent.problem} /></p>`}
      <p class="facts muted small"><${LastTurn} turn=${agent.lastTurn} /></p>
      <${AgentButtons} key=${name} agent=${agent} session=${session} />
    </div>`}
    <${Scroll} key=${name} label=${`Events of ${name}`} last=${items.at(-1)?.seq}>
      <div class="earlier">
        ${log && !log.complete &&
        html`<${Button} class="quiet" off=${pending} onPress=${() => run("earlier", () => session.events(name, { earlier: true }))}>
          ${pending ? "Loading…" : "Load earlier events"}
        <//>`}
        ${log?.complete && items.length > 0 && html`<span class="muted small">The record begins here.</span>`}
        ${log?.complete && items.length === 0 && html`<p class="muted nothing">No events yet. They appear here as they happen.</p>`}
        <${Problem} error=${error} onForget=${forget} />
      </div>
      <ol class="plain events">
        ${items.map((event) => html`<${EventRow} key=${event.seq} event=${event} session=${session} />`)}
      </ol>
    <//>
  </section>`;
}
