// What opens below an agent's row: everything that is known of it, and everything that can be asked of it.

import { Button, Problem, SureButton, useAction } from "./actions.js";
import { Budget, Context, Cost, LastTurn, operationOf } from "./agent-facts.js";
import { act } from "./api.js";
import { getPageUrl } from "./api-detail.js";
import { ModelPicker } from "./model-picker.js";
import { html, later, useState } from "./page.js";
import { Servers } from "./servers.js";
import { Inline } from "./text.js";
import { Age, Clock } from "./time.js";
import { pageOf } from "./view.js";

const Journal = later(() => import("./journal.js"), "Journal");
const Config = later(() => import("./config.js"), "Config");
const OpenEnds = later(() => import("./open-ends.js"), "OpenEnds");

const DOING = {
  start: "Starting",
  stop: "Stopping",
  restart: "Restarting",
  rebuild: "Rebuilding",
  pause: "Pausing",
  resume: "Resuming",
  destroy: "Destroying",
};
/** What an operation means, where its word does not say it. */
const MEANS = {
  rebuild: "Writes every piece of its host-side state anew and restarts it",
  pause: "It takes no further message until it is resumed",
  destroy: "Ends it and keeps login, notes and history as a tombstone",
};

/** What may be asked of an agent now. */
function verbsOf({ state, wanted }) {
  const down = state === "stopped";
  const paused = state === "paused" || wanted === "paused";
  return [down ? "start" : "restart", ...(down ? [] : ["stop", paused ? "resume" : "pause"]), "rebuild", "destroy"];
}

/** What may be asked of an agent: one press for what is harmless, two for the rest. */
export function AgentButtons({ agent, session }) {
  const [run, pending, error, forget] = useAction();
  const { name } = agent;
  const off = Boolean(pending || operationOf(agent));
  return html`<div class="agent-actions">
    <div class="buttons" role="group" aria-label=${`What to do with ${name}`}>
      ${verbsOf(agent).map((verb) => {
        const word = verb[0].toUpperCase() + verb.slice(1);
        const press = () => run(verb, () => session.do(() => act(name, verb)));
        const harmless = verb === "start" || verb === "resume";
        return html`<${harmless ? Button : SureButton}
          key=${verb}
          off=${off}
          title=${MEANS[verb]}
          aria-label=${harmless ? `${word} ${name}` : undefined}
          question=${harmless ? undefined : `${word} ${name}?`}
          onPress=${press}
        >
          ${pending === verb ? `${DOING[verb]}…` : word}<span class="unseen"> ${name}</span>
        <//>`;
      })}
    </div>
    <${Problem} error=${error} onForget=${forget} />
  </div>`;
}

/** The agent's own port; a new window must be opened before anything is waited for. */
function Port({ agent, session }) {
  const [run, pending, error, forget] = useAction();
  const open = () => {
    const page = window.open("", "_blank");
    if (page) page.opener = null;
    run("open", async () => {
      try {
        const { url } = await session.do(() => getPageUrl(agent.name));
        if (page) page.location = url;
        else location.href = url;
      } catch (failure) {
        page?.close();
        throw failure;
      }
    });
  };
  return html`<${Button} class="quiet" off=${pending} title="Open its page on its own port, in a new window" onPress=${open}>port ${agent.port} ↗<//>
    <${Problem} error=${error} onForget=${forget} />`;
}

const VIEWS = { open: "Open ends", journal: "Journal", config: "agent.nix" };

export function Drawer({ agent, failure, session }) {
  const [views, setViews] = useState({});
  const { name, statusText, problem, lastTurn, origin, operation, description, loginExpiresAt } = agent;
  return html`<div class="drawer">
    ${description && html`<p class="muted"><${Inline} text=${description} /></p>`}
    ${statusText && html`<p><${Inline} text=${statusText} /></p>`}
    ${problem && html`<p class="problem small"><${Inline} text=${problem} /></p>`}
    ${failure && html`<p class="problem small"><${Inline} text=${failure} /></p>`}
    <div class="chips">
      <a class="button" href=${pageOf(name)}>Open its page</a>
      <${ModelPicker} agent=${agent} session=${session} />
      <${Context} usage=${agent.usage} />
      <${Cost} usage=${agent.usage} today=${agent.today} />
      <${Budget} budget=${agent.budget} />
      <span class="small"><${Port} agent=${agent} session=${session} /></span>
    </div>
    <p class="facts muted small">
      <${LastTurn} turn=${lastTurn} />
      ${origin && html`<span><${Inline} text=${origin} /></span>`}
      ${loginExpiresAt && html`<span>login ends in <${Age} at=${loginExpiresAt} until=${true} /></span>`}
      ${operationOf(agent) && html`<span>${operation.kind} since <${Clock} at=${operation.startedAt} exact=${true} /></span>`}
    </p>
    <${Servers} servers=${agent.mcpServers} />
    <${AgentButtons} agent=${agent} session=${session} />
    <div class="buttons viewers">
      ${Object.entries(VIEWS).map(
        ([view, word]) => html`<button
          key=${view}
          type="button"
          class="quiet"
          aria-expanded=${String(Boolean(views[view]))}
          aria-label=${`${word} of ${name}`}
          onClick=${() => setViews({ ...views, [view]: !views[view] })}
        >
          <span class="turner" aria-hidden="true">▸</span> ${word}
        </button>`,
      )}
    </div>
    ${views.open && html`<${OpenEnds} name=${name} session=${session} />`}
    ${views.journal && html`<${Journal} name=${name} session=${session} />`}
    ${views.config && html`<${Config} name=${name} session=${session} />`}
  </div>`;
}
