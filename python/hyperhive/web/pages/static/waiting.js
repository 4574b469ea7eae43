// Waiting for you: everything that is blocked until the operator acts, oldest first, with what can be done about it.

import { act, dismiss } from "./api.js";
import { Button, Problem, SureButton, useAction } from "./actions.js";
import { Name } from "./names.js";
import { Component, html, later, still } from "./page.js";
import { Question } from "./question.js";
import { Inline } from "./text.js";
import { Age } from "./time.js";
import { linkTo, pageOf } from "./view.js";

// What is seldom there comes when it is.
const Approval = later(() => import("./approval.js"), "Approval");
const Raise = later(() => import("./budget.js"), "Raise");
const Letter = later(() => import("./letter.js"), "Letter");

const WORDS = {
  dead_letter: "dead letter",
  needs_login: "login",
  hold: "on hold",
  over_budget: "budget",
  budget_warning: "budget",
  login_expiry: "login ends",
  deploy_failed: "deployment",
};
const GRAVE = new Set(["dead_letter", "failed", "unreachable", "crash", "deploy_failed"]);
/** What was only to be seen. */
const DISMISSED = new Set(["crash", "budget_warning", "deploy_failed"]);
const BUDGETS = new Set(["over_budget", "budget_warning"]);
const wordOf = (kind) => WORDS[kind] ?? String(kind).replaceAll("_", " ");

/** Restart where that may help; the rest of what can be done is the agent's own row. */
function Restart({ item, agent, run, pending, session }) {
  const off = pending || (agent?.operation && !agent.operation.endedAt);
  return html`<${SureButton} off=${off} question=${`Restart ${item.agent}?`} onPress=${() => run("restart", () => session.do(() => act(item.agent, "restart")))}>
    ${pending === "restart" ? "Restarting…" : "Restart"}
  <//>`;
}

const Item = still(({ item, agent, question, approval, budget, session }) => {
  const [run, pending, error, forget] = useAction();
  const { id, kind, title, since, deadline } = item;
  const asks = kind === "question" && question?.status === "open";
  const stuck = kind === "failed" || kind === "unreachable";
  return html`<li class="item ${GRAVE.has(kind) ? "grave" : ""}" data-kind=${kind} data-item=${id}>
    <div class="item-head">
      <span class="word">${wordOf(kind)}</span>
      ${item.agent && html`<a href=${linkTo("agent", item.agent)}><${Name} name=${item.agent} /></a>`}
      <span class="muted small since"><${Age} at=${since} /></span>
    </div>
    ${asks
      ? html`<${Question} question=${question} session=${session} />`
      : approval
        ? html`<${Approval} approval=${approval} session=${session} />`
        : html`<p class="item-title"><${Inline} text=${title} /></p>
            ${deadline && html`<p class="small deadline"><${Age} at=${deadline} until=${true} /> left</p>`}`}
    ${kind === "dead_letter" && Number.isInteger(item.ref) && html`<${Letter} item=${item} run=${run} pending=${pending} session=${session} />`}
    ${budget && html`<${Raise} scope=${item.ref} budget=${budget} session=${session} />`}
    ${kind === "hold" && item.agent && html`<div class="buttons"><${Button} off=${pending} onPress=${() => run("resume", () => session.do(() => act(item.agent, "resume")))}>${pending ? "Resuming…" : `Resume ${item.agent}`}<//></div>`}
    ${(stuck || DISMISSED.has(kind)) &&
    html`<div class="buttons">
      ${stuck && item.agent && html`<${Restart} item=${item} agent=${agent} run=${run} pending=${pending} session=${session} />`}
      ${DISMISSED.has(kind) && html`<${Button} off=${pending} onPress=${() => run("dismiss", () => session.do(() => dismiss(id)))}>${pending ? "Dismissing…" : "Dismiss"}<//>`}
    </div>`}
    ${(kind === "needs_login" || kind === "login_expiry") && item.agent && html`<div class="buttons"><a class="button" href=${pageOf(item.agent)}>Sign ${item.agent} in</a></div>`}
    <${Problem} error=${error} onForget=${forget} />
  </li>`;
});

/** Properties: `items`, `questions` and `approvals` by id, the hive's `usage`, `unread` mail, `agents` by name, `session`. */
export class Waiting extends Component {
  #list = null;

  /** Who settled an item with the keyboard goes on with the next one; the focus falls to the page otherwise. */
  getSnapshotBeforeUpdate() {
    const item = document.activeElement?.closest("[data-item]");
    return item && this.#list.contains(item) ? [...this.#list.children].indexOf(item) : -1;
  }

  componentDidUpdate(_props, _state, index) {
    if (index < 0 || document.activeElement !== document.body) return;
    const next = this.#list.children[Math.min(index, this.#list.children.length - 1)];
    (next?.querySelector("input, button, textarea, a.button") ?? document.getElementById("waiting-title")).focus();
  }

  render({ items, questions, approvals, usage, unread, agents, session }) {
    const sorted = [...items].sort((a, b) => String(a.since).localeCompare(String(b.since)));
    const building = Object.values(approvals).filter(({ id, status }) => status === "building" && !items.some(({ kind, ref }) => kind === "approval" && ref === id));
    return html`<section class="waiting" aria-labelledby="waiting-title">
      <h2 id="waiting-title" tabindex="-1">Waiting for you ${items.length > 0 && html`<span class="count">${items.length}</span>`}</h2>
      ${items.length === 0 && html`<p class="muted nothing">Nothing is blocked.</p>`}
      <ul class="plain" ref=${(list) => (this.#list = list ?? this.#list)}>
        ${sorted.map(
          (item) =>
            html`<${Item} key=${item.id} item=${item} agent=${agents[item.agent]} question=${item.kind === "question" ? questions[item.ref] : undefined} approval=${item.kind === "approval" ? approvals[item.ref] : undefined} budget=${BUDGETS.has(item.kind) ? (agents[item.ref] ?? usage).budget : undefined} session=${session} />`,
        )}
      </ul>
      ${building.length > 0 && html`<p class="muted small" role="status">Being built before you are asked: ${building.map(({ agent }) => agent).join(", ")}</p>`}
      ${unread > 0 &&
      html`<a class="hint" href=${linkTo("inbox")}>${unread} unread ${unread === 1 ? "message" : "messages"} for you</a>`}
    </section>`;
  }
}
