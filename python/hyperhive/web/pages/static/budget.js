// A day's budget: how much of it is used, and allowing more for the rest of the day.

import { Problem, useAction } from "./actions.js";
import { dollars, tokens } from "./agent-facts.js";
import { allowToday } from "./api-detail.js";
import { html, useState } from "./page.js";

const PARTS = { usd: ["dollars", dollars, "0.01"], tokens: ["tokens", tokens, "1"], turns: ["turns", String, "1"] };

const partsOf = (budget) => Object.entries(PARTS).filter(([key]) => budget?.[key]);

/** What is used of what is allowed, a line for each limit. */
export const Stand = ({ budget }) =>
  html`<p class="small">
    ${partsOf(budget).map(
      ([key, [word, show]]) => html`<span key=${key} class="option ${budget[key].used >= budget[key].allowed ? "problem" : ""}">
        ${show(budget[key].used)} of ${show(budget[key].allowed)}${key === "usd" ? "" : ` ${word}`}${budget[key].raised && html` <span class="muted">(changed for today)</span>`}
      </span>`,
    )}
  </p>`;

/** Properties: `scope`, an agent's name or `*` for the hive, its `budget`, `session`. */
export function Raise({ scope, budget, session }) {
  const [run, pending, error, forget] = useAction();
  const [given, setGiven] = useState({});
  const submit = (event) => {
    event.preventDefault();
    const today = Object.fromEntries(Object.entries(given).filter(([, text]) => text !== "").map(([key, text]) => [key, Number(text)]));
    if (Object.keys(today).length === 0) event.target.querySelector("input")?.focus();
    else run("raise", async () => (await session.do(() => allowToday(scope, today)), setGiven({})));
  };
  return html`<form class="raise" onSubmit=${submit}>
    <${Stand} budget=${budget} />
    <div class="answer-row">
      ${partsOf(budget).map(
        ([key, [word, , step]]) => html`<label key=${key} class="small">
          <input
            type="number"
            min="0"
            step=${step}
            inputmode="decimal"
            aria-label=${`Allow ${word} today`}
            placeholder=${budget[key].allowed * 2 || 1}
            value=${given[key] ?? ""}
            onInput=${(event) => setGiven({ ...given, [key]: event.target.value })}
          />
          ${word}
        </label>`,
      )}
      <button class="primary" aria-disabled=${String(Boolean(pending))}>${pending ? "Allowing…" : "Allow today"}</button>
    </div>
    <${Problem} error=${error} onForget=${forget} />
  </form>`;
}
