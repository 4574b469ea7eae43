// What is known of an agent, in badges and chips: both pages show them.

import { html } from "./page.js";
import { Inline } from "./text.js";
import { Age, took } from "./time.js";

const wordOf = (state) => String(state).replaceAll("_", " ");
const classOf = (state) => `state-${String(state).replace(/[^a-z_]/g, "")}`;

/** The observed state: a colour, a word, and for how long. */
export const StateBadge = ({ state, since, kind = state }) =>
  html`<span class="badge ${classOf(kind)}">
    <span class="dot" aria-hidden="true"></span><span class="word">${wordOf(state)}</span>${since && html`<${Age} at=${since} />`}
  </span>`;

/** How the last turn ended. */
export const LastTurn = ({ turn }) =>
  turn &&
  html`<span class=${turn.ok ? "" : "problem"}>
    last turn ${turn.ok ? "well" : "failed"}${turn.durationMs ? html` in ${took(turn.durationMs)}` : ""},${" "}
    <${Age} at=${turn.endedAt} /> ago${turn.note && html`: <${Inline} text=${turn.note} />`}
  </span>`;

/** A number of tokens in three digits: `950`, `45.2k`, `1.2M`. */
export function tokens(count) {
  if (count < 1000) return String(count);
  const [value, unit] = count < 999_500 ? [count / 1000, "k"] : [count / 1_000_000, "M"];
  return `${value < 100 ? value.toFixed(1).replace(/\.0$/, "") : Math.round(value)}${unit}`;
}

/** Dollars with as many digits as say something. */
export const dollars = (cost) => `$${cost.toFixed(cost === 0 || cost >= 0.1 ? 2 : 4)}`;

/** How full the agent's session is. */
export const Context = ({ usage }) =>
  Number.isFinite(usage?.contextTokens) &&
  html`<span class="chip" title=${`${usage.contextTokens.toLocaleString("en")} tokens in the session after the last turn`}>
    <span class="muted">context</span> ${tokens(usage.contextTokens)}${usage.contextWindow > 0 && html` <span class="muted">${Math.round((usage.contextTokens / usage.contextWindow) * 100)} %</span>`}
  </span>`;

/** What the agent's turns have cost in all, and today. */
export const Cost = ({ usage, today }) =>
  Number.isFinite(usage?.costUsd) &&
  html`<span class="chip" title=${`${usage.turns ?? 0} turns · ${tokens(usage.inputTokens ?? 0)} tokens in · ${tokens(usage.outputTokens ?? 0)} out · ${tokens(usage.cacheReadTokens ?? 0)} read from the cache`}>
    <span class="muted">cost</span> ${dollars(usage.costUsd)}${today?.costUsd > 0 && html` <span class="muted">· today</span> ${dollars(today.costUsd)}`}
  </span>`;

/** From which share of a day's budget on it is worth a word in the agent's row. */
const NEAR = 0.8;

/** How much of a day's budget is used; `near` shows it only where that is much. */
export const Budget = ({ budget, near = false }) =>
  budget &&
  !(near && budget.share < NEAR) &&
  html`<span class="chip ${budget.share >= NEAR ? "problem" : ""}" title="used of today's budget"><span class="muted">budget</span> ${Math.round(budget.share * 100)} %</span>`;

/** When a state ends by itself. */
export const Until = ({ until }) => until && html`<span class="muted until">for <${Age} at=${until} until=${true} /></span>`;

/** The operation that is queued or under way on an agent, or null. */
export const operationOf = ({ operation }) => (operation && !operation.endedAt ? operation : null);

/** That an operation is queued or under way: a spinner and words. */
export const Operation = ({ agent }) => {
  const operation = operationOf(agent);
  return operation
    ? html`<span class="operation" role="status">
        <span class="spinner" aria-hidden="true"></span>${wordOf(operation.kind)} ${operation.status === "queued" ? "queued" : "under way"}
      </span>`
    : agent.restartPending && html`<span class="operation pending">restart pending</span>`;
};
