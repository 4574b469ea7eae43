// The history of decisions: who decided what, when and why, newest first.

import { Button, Problem, useAction } from "./actions.js";
import { getAudit } from "./api-detail.js";
import { Name } from "./names.js";
import { html, still, useEffect, useRef, useState } from "./page.js";
import { Inline } from "./text.js";
import { Clock, dayOf } from "./time.js";

const PAGE = 100;
/** Milliseconds for which further decisions are waited for before the list is fetched again. */
const SETTLE = 400;

/** Properties: `decisions`, which changes when there may be new ones; `shown`, whether somebody looks. */
export const History = still(({ decisions, shown, session }) => {
  const [run, pending, error, forget] = useAction();
  const [rows, setRows] = useState(null);
  const [complete, setComplete] = useState(false);
  const known = useRef([]);
  const load = (before) =>
    run("load", () =>
      session.do(async () => {
        const { audit } = await getAudit({ limit: PAGE, before });
        const byId = new Map([...known.current, ...audit].map((row) => [row.id, row]));
        known.current = [...byId.values()].sort((a, b) => b.id - a.id);
        setRows(known.current);
        if (audit.length < PAGE) setComplete(true);
      }),
    );
  useEffect(() => {
    if (!shown) return undefined;
    const timer = setTimeout(() => load(), rows ? SETTLE : 0);
    return () => clearTimeout(timer);
  }, [decisions, shown]);
  let day = null;
  return html`<section class="view history" aria-labelledby="history-title">
    <h2 class="unseen" id="history-title">History of decisions</h2>
    <div class="scroll"><div class="scroll-box" tabindex="0" role="region" aria-label="History of decisions">
      <ol class="plain flow decisions">
        ${rows?.flatMap((row) => {
          const { id, at, actor, action, subject, detail } = row;
          const begins = dayOf(at) !== day && dayOf(at);
          day = dayOf(at);
          return [
            begins && html`<li key=${`day ${id}`} class="day muted small">${begins}</li>`,
            html`<li key=${id} class="decision" data-decision=${id}>
              <${Clock} at=${at} exact=${true} />
              <span><${Name} name=${actor} /> <span class="action"><${Inline} text=${String(action).replaceAll("_", " ")} /></span> <${Inline} text=${subject} /></span>
              ${detail && html`<span class="muted detail"><${Inline} text=${detail} /></span>`}
            </li>`,
          ];
        })}
      </ol>
      <div class="earlier">
        ${rows === null && !error && html`<p class="muted nothing">Loading…</p>`}
        ${rows?.length === 0 && html`<p class="muted nothing">Nothing was decided yet.</p>`}
        ${rows?.length > 0 && !complete && html`<${Button} class="quiet" off=${pending} onPress=${() => load(rows.at(-1).id)}>${pending ? "Loading…" : "Earlier decisions"}<//>`}
        <${Problem} error=${error} onForget=${forget} />
      </div>
    </div></div>
  </section>`;
});
