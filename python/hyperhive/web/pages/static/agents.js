// The agents: one card each with what the hive observed, since when, and what can be asked of it.

import { act } from "./api.js";
import { Button, Problem, useAction } from "./actions.js";
import { summaryOf } from "./events.js";
import { Name } from "./names.js";
import { Still, html } from "./page.js";
import { Inline } from "./text.js";
import { Age, took } from "./time.js";
import { linkTo } from "./view.js";

const BUSY = new Set(["thinking", "compacting"]);
const wordOf = (state) => String(state).replaceAll("_", " ");

/** The observed state: a colour and a word. */
export const StateBadge = ({ state }) =>
  html`<span class="badge state-${String(state).replace(/[^a-z_]/g, "")}"><span class="dot" aria-hidden="true"></span>${wordOf(state)}</span>`;

const operationOf = ({ operation }) => (operation && !operation.endedAt ? operation.kind : null);

/** What may be asked of an agent now, and whether that is under way. */
export function AgentButtons({ agent, session }) {
  const [run, pending, error, forget] = useAction();
  const { name, state } = agent;
  const operation = operationOf(agent);
  const off = Boolean(pending || operation);
  const down = state === "stopped" || state === "failed";
  const button = (verb, word, doing) =>
    html`<${Button} key=${verb} off=${off} aria-label=${`${word} ${name}`} onPress=${() => run(verb, () => session.do(() => act(name, verb)))}>
      ${pending === verb ? `${doing}…` : word}
    <//>`;
  return html`<div class="agent-actions">
    <div class="buttons">
      ${state === "thinking" && button("cancel", "Cancel", "Cancelling")}
      ${down && state === "stopped" ? button("start", "Start", "Starting") : button("restart", "Restart", "Restarting")}
      ${state !== "stopped" && button("stop", "Stop", "Stopping")}
      ${operation && html`<span class="muted small" role="status">${operation} under way</span>`}
    </div>
    <${Problem} error=${error} onForget=${forget} />
  </div>`;
}

/** How the last turn ended. */
export const LastTurn = ({ turn }) =>
  turn &&
  html`<span class=${turn.ok ? "" : "problem"}>
    last turn ${turn.ok ? "well" : "failed"}${turn.durationMs ? html` in ${took(turn.durationMs)}` : ""},${" "}
    <${Age} at=${turn.endedAt} /> ago${turn.note && html`: <${Inline} text=${turn.note} />`}
  </span>`;

class AgentCard extends Still {
  render({ agent, latest, failure, open, session }) {
    const { name, role, state, since, model, unread, statusText, problem, lastTurn, wanted } = agent;
    const doing = BUSY.has(state) ? summaryOf(latest) : null;
    return html`<li class="agent card ${open ? "open" : ""}" data-agent=${name} data-state=${state}>
      <div class="agent-head">
        <a class="agent-link" href=${linkTo("agent", name)} aria-current=${open ? "true" : undefined}><${Name} name=${name} /></a>
        ${role === "manager" && name !== "manager" && html`<span class="muted small">manager</span>`}
        <span class="muted small model"><${Inline} text=${model ?? ""} /></span>
        <${StateBadge} state=${state} />
        <span class="muted small since"><${Age} at=${since} /></span>
      </div>
      ${statusText && html`<p class="status"><${Inline} text=${statusText} /></p>`}
      ${doing && html`<p class="doing small"><span class="kind">${doing.word}</span> <${Inline} text=${doing.text} /></p>`}
      ${problem && html`<p class="problem small"><${Inline} text=${problem} /></p>`}
      ${failure && html`<p class="problem small" role="alert"><${Inline} text=${failure} /></p>`}
      <div class="agent-foot">
        <p class="facts muted small">
          ${unread > 0 && html`<span class="unread">${unread} unread</span>`}
          ${wanted && wanted !== "running" && wanted !== state && html`<span>wanted: ${wanted}</span>`}
          <${LastTurn} turn=${lastTurn} />
        </p>
        <${AgentButtons} agent=${agent} session=${session} />
      </div>
    </li>`;
  }
}

export function Agents({ agents, latest, failures, opened, session }) {
  return html`<section class="agents" aria-labelledby="agents-title">
    <h2 id="agents-title">Agents <span class="muted">${agents.length}</span></h2>
    ${agents.length === 0 && html`<p class="muted nothing">No agent is declared yet.</p>`}
    <ul class="plain">
      ${agents.map(
        (agent) =>
          html`<${AgentCard} key=${agent.name} agent=${agent} latest=${latest[agent.name]} failure=${failures[agent.name]} open=${agent.name === opened} session=${session} />`,
      )}
    </ul>
  </section>`;
}
