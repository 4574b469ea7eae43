// The last lines of an agent's journal, fetched when somebody looks, and again while they follow it.

import { Button, Problem, useAction } from "./actions.js";
import { getJournal } from "./api.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./page.js";
import { visible } from "./text.js";

const LINES = 200;
/** Milliseconds between two looks while it is followed; the journal is not on the stream. */
const AGAIN = 2000;

export function Journal({ name, session }) {
  const [run, pending, error, forget] = useAction();
  const [lines, setLines] = useState(null);
  const [follow, setFollow] = useState(false);
  const box = useRef(null);
  const atEnd = useRef(true);
  const look = () => run("look", () => session.do(async () => setLines((await getJournal(name, LINES)).lines)));
  useEffect(() => {
    look();
  }, [name]);
  useEffect(() => {
    if (!follow) return undefined;
    const timer = setInterval(() => document.hidden || look(), AGAIN);
    return () => clearInterval(timer);
  }, [follow]);
  useLayoutEffect(() => {
    if (atEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);
  const scrolled = ({ target }) => (atEnd.current = target.scrollHeight - target.scrollTop - target.clientHeight < 24);
  return html`<section class="viewer" aria-label=${`Journal of ${name}`}>
    <div class="viewer-head small">
      <span class="muted">${lines ? `the last ${lines.length} lines` : "Loading…"}</span>
      <label><input type="checkbox" checked=${follow} onChange=${(event) => setFollow(event.target.checked)} /> follow</label>
      <${Button} class="quiet" off=${pending} onPress=${look}>Look again<//>
    </div>
    ${lines?.length === 0 && html`<p class="muted nothing">Nothing was printed yet.</p>`}
    ${lines?.length > 0 && html`<pre class="body mono" dir="auto" tabindex="0" aria-label="Lines" ref=${box} onScroll=${scrolled}>${visible(lines.join("\n"))}</pre>`}
    <${Problem} error=${error} onForget=${forget} />
  </section>`;
}
