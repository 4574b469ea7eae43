// The agents: one dense row each with what the hive observed, since when, and what it does; all else opens below it.

import { act } from "./api.js";
import { Button, Problem, useAction } from "./actions.js";
import { Budget, Operation, StateBadge, Until, operationOf } from "./agent-facts.js";
import { Name } from "./names.js";
import { Still, html, later, still, useState } from "./page.js";
import { summaryOf } from "./summary.js";
import { Inline, firstLine } from "./text.js";
import { Age, took } from "./time.js";
import { linkTo } from "./view.js";

const Drawer = later(() => import("./drawer.js"), "Drawer");
const NewAgent = later(() => import("./new-agent.js"), "NewAgent");

const BUSY = new Set(["thinking", "compacting"]);
/** States in the order in which they are counted: what needs somebody first. */
const ORDER = ["failed", "unreachable", "needs_login", "over_budget", "rate_limited", "paused", "thinking", "compacting", "starting", "idle", "stopped"];

/** The last turn in as few characters as a row has. */
const Turn = ({ turn }) =>
  turn &&
  html`<span class="turn ${turn.ok ? "" : "problem"}" title=${`Last turn ${turn.ok ? "ended well" : "failed"}${turn.note ? `: ${firstLine(turn.note)}` : ""}`}>
    <span aria-hidden="true">${turn.ok ? "✓" : "✗"}</span><span class="unseen">last turn ${turn.ok ? "well" : "failed"}</span> ${turn.durationMs ? took(turn.durationMs) : ""}
    <span class="muted"> · <${Age} at=${turn.endedAt} /></span>
  </span>`;

/** What a row says: what went wrong, else what the agent does, else what it says of itself. */
function Says({ agent, latest, failure }) {
  if (failure) return html`<span class="problem" role="alert"><${Inline} text=${failure} /></span>`;
  if (agent.problem) return html`<span class="problem"><${Inline} text=${firstLine(agent.problem)} /></span>`;
  const doing = BUSY.has(agent.state) ? summaryOf(latest) : null;
  return html`
    ${agent.statusText && html`<span class="status"><${Inline} text=${firstLine(agent.statusText)} /></span>`}
    ${doing && html`<span class="doing"><span class="kind">${doing.word}</span> <${Inline} text=${doing.text} /></span>`}
  `;
}

function CancelButton({ agent, session }) {
  const [run, pending, error, forget] = useAction();
  return html`<${Button} class="quiet cancel" off=${pending || operationOf(agent)} aria-label=${`Cancel the turn of ${agent.name}`} onPress=${() => run("cancel", () => session.do(() => act(agent.name, "cancel")))}>
      <span aria-hidden="true">■</span>
    <//>
    <${Problem} error=${error} onForget=${forget} />`;
}

class AgentRow extends Still {
  state = { open: false };

  toggle = () => this.setState(({ open }) => ({ open: !open }));

  render({ agent, latest, failure, shown, session }, { open }) {
    const { name, role, state, since, model, unread, lastTurn, wanted } = agent;
    return html`<li class="agent ${shown ? "shown-agent" : ""} ${open ? "open" : ""}" data-agent=${name} data-state=${state}>
      <div class="agent-row">
        <${StateBadge} state=${state} since=${since} />
        <span class="who">
          <a class="agent-link" href=${linkTo("agent", name)} aria-current=${shown ? "true" : undefined}><${Name} name=${name} /></a>
          ${role === "manager" && name !== "manager" && html`<span class="muted small">manager</span>`}
        </span>
        <span class="under">
          <span class="model muted" title="model"><${Inline} text=${model ?? ""} /></span>
          <span class="says"><${Says} agent=${agent} latest=${latest} failure=${failure} /></span>
          <span class="marks">
            <${Operation} agent=${agent} />
            <${Until} until=${agent.until} />
            <${Budget} budget=${agent.budget} near=${true} />
            ${wanted && wanted !== "running" && wanted !== state && html`<span class="muted">wanted: ${wanted}</span>`}
            ${unread > 0 && html`<span class="count" title=${`${unread} unread`}>${unread}<span class="unseen"> unread</span></span>`}
            <${Turn} turn=${lastTurn} />
          </span>
        </span>
        ${state === "thinking" && html`<${CancelButton} agent=${agent} session=${session} />`}
        <button type="button" class="quiet more" aria-expanded=${String(open)} aria-label=${`More about ${name}`} onClick=${this.toggle}>
          <span class="turner" aria-hidden="true">▸</span>
        </button>
      </div>
      ${open && html`<${Drawer} agent=${agent} failure=${failure} session=${session} />`}
    </li>`;
  }
}

/** How many agents are in which state. */
function Counts({ agents }) {
  const counts = new Map();
  for (const { state } of agents) counts.set(state, (counts.get(state) ?? 0) + 1);
  const rank = (state) => (ORDER.includes(state) ? ORDER.indexOf(state) : -1);
  const sorted = [...counts].sort(([a], [b]) => rank(a) - rank(b));
  return html`<span class="counts">${sorted.map(([state, count]) => html`<${StateBadge} key=${state} state=${`${count} ${state}`} kind=${state} />`)}</span>`;
}

function Newcomer({ session }) {
  const [open, setOpen] = useState(false);
  return html`<button type="button" class="quiet newcomer" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>+ New agent</button>
    ${open && html`<${NewAgent} onMade=${() => setOpen(false)} session=${session} />`}`;
}

/** Properties: `agents` in their order, `latest` events and `failures` by name, `shown` whose events are open. */
export const Agents = still(({ agents, latest, failures, shown, session }) => {
  return html`<section class="agents" aria-labelledby="agents-title">
    <h2 id="agents-title">Agents <span class="muted">${agents.length}</span> ${agents.length > 1 && html`<${Counts} agents=${agents} />`}</h2>
    ${agents.length === 0 && html`<p class="muted nothing">There is no agent yet. Declare one, in <code>services.hyperhive.agents</code> on NixOS or <code>agents</code> in the file of <code>hyperhive up</code>, or make one here.</p>`}
    <ul class="plain">
      ${agents.map(
        (agent) =>
          html`<${AgentRow} key=${agent.name} agent=${agent} latest=${latest[agent.name]} failure=${failures[agent.name]} shown=${agent.name === shown} session=${session} />`,
      )}
    </ul>
    <${Newcomer} session=${session} />
  </section>`;
});
