// Waiting for you: everything that is blocked until the operator acts, oldest first, with what can be done about it.

import { act, getMessage, settleDeadLetter } from "./api.js";
import { Button, Problem, SureButton, useAction } from "./actions.js";
import { Name } from "./names.js";
import { html, useState } from "./page.js";
import { Inline, Passage } from "./text.js";
import { Age } from "./time.js";
import { linkTo } from "./view.js";

const WORDS = {
  dead_letter: "dead letter",
  needs_login: "login",
  failed: "failed",
  unreachable: "unreachable",
  hold: "on hold",
  over_budget: "budget",
};
const GRAVE = new Set(["dead_letter", "failed", "unreachable"]);
const wordOf = (kind) => WORDS[kind] ?? String(kind).replaceAll("_", " ");

export function Waiting({ items, unread, agents, session }) {
  const sorted = [...items].sort((a, b) => String(a.since).localeCompare(String(b.since)));
  return html`<section class="waiting" aria-labelledby="waiting-title">
    <h2 id="waiting-title">Waiting for you ${items.length > 0 && html`<span class="count">${items.length}</span>`}</h2>
    ${items.length === 0 && html`<p class="muted nothing">Nothing is blocked.</p>`}
    <ul class="plain">
      ${sorted.map(
        (item) => html`<${Item} key=${item.id} item=${item} agent=${agents[item.agent]} session=${session} />`,
      )}
    </ul>
    ${unread > 0 &&
    html`<a class="hint" href=${linkTo("inbox")}>${unread} unread ${unread === 1 ? "message" : "messages"} for you</a>`}
  </section>`;
}

function Item({ item, agent, session }) {
  const [run, pending, error, forget] = useAction();
  const [letter, setLetter] = useState(null);
  const id = item.ref;
  const shows = item.kind === "dead_letter" && Number.isInteger(id);
  const look = () =>
    letter ? setLetter(null) : run("look", () => session.do(async () => setLetter((await getMessage(id)) ?? { body: "" })));
  const settle = (verb) => run(verb, () => session.do(() => settleDeadLetter(id, verb)));
  return html`<li class="item ${GRAVE.has(item.kind) ? "grave" : ""}" data-kind=${item.kind}>
    <div class="item-head">
      <span class="word">${wordOf(item.kind)}</span>
      ${item.agent && html`<a href=${linkTo("agent", item.agent)}><${Name} name=${item.agent} /></a>`}
      <span class="muted small since"><${Age} at=${item.since} /></span>
    </div>
    <p class="item-title"><${Inline} text=${item.title} /></p>
    ${item.deadline && html`<p class="small">until then: <${Age} at=${item.deadline} until=${true} /></p>`}
    ${letter && html`<${Passage} text=${letter.body} />`}
    <div class="buttons">
      ${shows &&
      html`<${Button} off=${pending} onPress=${() => settle("requeue")}>${pending === "requeue" ? "Requeueing…" : "Requeue"}<//>
        <${SureButton} off=${pending} question="Discard for good?" onPress=${() => settle("discard")}>Discard<//>
        <${Button} class="quiet" off=${pending} aria-expanded=${String(Boolean(letter))} onPress=${look}>
          ${letter ? "Hide the message" : "Read the message"}
        <//>`}
      ${["failed", "unreachable"].includes(item.kind) &&
      item.agent &&
      html`<${Button} off=${pending || agent?.operation} onPress=${() => run("restart", () => session.do(() => act(item.agent, "restart")))}>
        ${pending === "restart" ? "Restarting…" : "Restart"}
      <//>`}
      ${item.kind === "needs_login" &&
      item.agent &&
      html`<span class="muted small">It goes on by itself once the login is there.</span>`}
    </div>
    <${Problem} error=${error} onForget=${forget} />
  </li>`;
}
