// One agent, opened beside the swarm: its state and its events as they happen. Its page has the prompt as well.

import { Context, Cost, LastTurn, Operation, StateBadge } from "./agent-facts.js";
import { Name } from "./names.js";
import { html } from "./page.js";
import { Terminal } from "./terminal.js";
import { Inline } from "./text.js";
import { linkTo, pageOf } from "./view.js";

export function AgentView({ name, agent, log, generation, session, onClose }) {
  return html`<section class="view agent-view" aria-label=${`Agent ${name}`}>
    <div class="view-head">
      <h2><${Name} name=${name} /></h2>
      ${agent
        ? html`<${StateBadge} state=${agent.state} since=${agent.since} /> <span class="chip model"><${Inline} text=${agent.model ?? ""} /></span>
            <${Context} usage=${agent.usage} /> <${Cost} usage=${agent.usage} />`
        : html`<span class="muted">There is no such agent now.</span>`}
      <span class="view-links">
        ${agent && html`<a class="small" href=${pageOf(name)}>Its page</a>`}
        <a class="small" href=${linkTo("messages", name)} aria-label=${`Messages of ${name}`}>Messages</a>
        <button type="button" class="quiet close" aria-label=${`Close ${name}`} onClick=${onClose}>Close</button>
      </span>
    </div>
    ${agent &&
    (agent.problem || agent.lastTurn || agent.operation) &&
    html`<div class="view-sub small">
      ${agent.problem && html`<p class="problem"><${Inline} text=${agent.problem} /></p>`}
      <p class="facts muted"><${LastTurn} turn=${agent.lastTurn} /> <${Operation} agent=${agent} /></p>
    </div>`}
    <${Terminal} key=${name} name=${name} log=${log} generation=${generation} session=${session} />
  </section>`;
}
