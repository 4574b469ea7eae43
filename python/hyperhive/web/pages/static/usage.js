// What the swarm has used: by day, agent and model, with the hive's own budget.

import { Button, Problem, useAction } from "./actions.js";
import { dollars, tokens } from "./agent-facts.js";
import { getUsage } from "./api-detail.js";
import { Raise } from "./budget.js";
import { Name } from "./names.js";
import { html, still, styled, useEffect, useState } from "./page.js";
import { Inline } from "./text.js";

await styled("usage.css");

const SPANS = [7, 30, 90];
/** Milliseconds for which further turns are waited for. */
const SETTLE = 500;

const Numbers = ({ row }) =>
  html`<td>${row.turns}${row.failed > 0 && html` <span class="problem" title="turns that did not end well">(${row.failed} ✗)</span>`}</td>
    <td title=${`${row.inputTokens} in, ${row.cacheWriteTokens} written to the cache, ${row.cacheReadTokens} read from it`}>${tokens(row.inputTokens + row.cacheWriteTokens)}</td>
    <td>${tokens(row.cacheReadTokens)}</td>
    <td>${tokens(row.outputTokens)}</td>
    <td>${dollars(row.costUsd)}</td>`;

/** Properties: `today`, the hive's figures as they are now; whether it is `shown`; `session`. */
export const Usage = still(({ today, shown, session }) => {
  const [run, pending, error, forget] = useAction();
  const [days, setDays] = useState(SPANS[0]);
  const [answer, setAnswer] = useState(null);
  const look = () => run("look", () => session.do(async () => setAnswer(await getUsage({ days }))));
  const turns = today.today?.turns ?? 0;
  useEffect(() => {
    if (!shown) return undefined;
    const timer = setTimeout(look, answer ? SETTLE : 0);
    return () => clearTimeout(timer);
  }, [shown, days, turns]);
  let day = null;
  return html`<section class="view usage" aria-labelledby="usage-title">
    <h2 class="unseen" id="usage-title">Usage</h2>
    <div class="scroll"><div class="scroll-box" tabindex="0" role="region" aria-label="Usage">
      <p>Today ${dollars(today.today?.costUsd ?? 0)} in ${turns === 1 ? "1 turn" : `${turns} turns`} of all agents.</p>
      ${today.budget && html`<${Raise} scope="*" budget=${today.budget} session=${session} />`}
      <div class="buttons" role="group" aria-label="Days">
        ${SPANS.map((span) => html`<${Button} key=${span} aria-pressed=${String(days === span)} onPress=${() => setDays(span)}>${span} days<//>`)}
        <${Button} class="quiet" off=${pending} onPress=${look}>Look again<//>
      </div>
      ${answer?.usage.length === 0 && html`<p class="muted nothing">Nothing was used on these days.</p>`}
      ${answer?.usage.length > 0 &&
      html`<table class="figures small">
        <thead><tr><th>agent</th><th>model</th><th>turns</th><th>in</th><th>cached</th><th>out</th><th>cost</th></tr></thead>
        <tbody>
          <tr class="total"><th colspan="2">in all</th><${Numbers} row=${answer.total} /></tr>
          ${answer.usage.flatMap((row) => {
            const begins = row.day !== day;
            day = row.day;
            return [
              begins && html`<tr key=${row.day} class="day"><th colspan="7">${row.day}${row.day === answer.day ? ", today" : ""}</th></tr>`,
              html`<tr key=${`${row.day} ${row.agent} ${row.model}`}><td><${Name} name=${row.agent} /></td><td class="muted"><${Inline} text=${row.model} /></td><${Numbers} row=${row} /></tr>`,
            ];
          })}
        </tbody>
      </table>
      <p class="muted small">Days are those of ${answer.timezone}.</p>`}
      <${Problem} error=${error} onForget=${forget} />
    </div></div>
  </section>`;
});
