// The last lines of an agent's journal, fetched when somebody looks; who follows it gets each line as it is printed.

import { Button, Problem, useAction } from "./actions.js";
import { getJournal, getJournalStream } from "./api-detail.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./page.js";
import { readEvents } from "./stream.js";
import { visible } from "./text.js";

const LINES = 200;
/** Lines that are kept while it is followed. */
const KEPT = 2000;
/** Milliseconds before a broken connection is tried again, the first time and at most. */
const AGAIN = [500, 10_000];

/** Whose journal is followed: one in a page, because a browser has only so many connections to a host. */
let followed = new AbortController();

async function pause(milliseconds, signal) {
  await new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** Reads until `signal` says no more; `onLines` gets what is new, and whether that is everything there is. */
async function follow(name, { onLines, onBreak, signal }) {
  let wait = AGAIN[0];
  while (!signal.aborted) {
    let first = true;
    try {
      await readEvents((silence) => getJournalStream(name, LINES, silence), {
        signal,
        onEvent: ({ lines }) => {
          onLines(lines, first);
          first = false;
          wait = AGAIN[0];
        },
      });
      onBreak(null);
    } catch (error) {
      if (!signal.aborted && error.name !== "AbortError") onBreak(error);
    }
    await pause(wait, signal);
    wait = Math.min(wait * 2, AGAIN[1]);
  }
}

export function Journal({ name, session }) {
  const [run, pending, error, forget] = useAction();
  const [lines, setLines] = useState(null);
  const [following, setFollowing] = useState(false);
  const [broken, setBroken] = useState(null);
  const box = useRef(null);
  const atEnd = useRef(true);
  const look = () => run("look", () => session.do(async () => setLines((await getJournal(name, LINES)).lines)));
  useEffect(() => {
    look();
  }, [name]);
  useEffect(() => {
    if (!following) return undefined;
    followed.abort();
    const mine = (followed = new AbortController());
    mine.signal.addEventListener("abort", () => setFollowing(false));
    follow(name, {
      signal: mine.signal,
      onBreak: setBroken,
      onLines: (fresh, whole) => {
        setBroken(null);
        setLines((known) => (whole ? fresh : [...(known ?? []), ...fresh].slice(-KEPT)));
      },
    });
    return () => mine.abort();
  }, [following, name]);
  useLayoutEffect(() => {
    if (atEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);
  const scrolled = ({ target }) => (atEnd.current = target.scrollHeight - target.scrollTop - target.clientHeight < 24);
  return html`<section class="viewer" aria-label=${`Journal of ${name}`}>
    <div class="viewer-head small">
      <span class="muted">${lines ? `the last ${lines.length} lines` : "Loading…"}</span>
      <label><input type="checkbox" checked=${following} onChange=${(event) => setFollowing(event.target.checked)} /> follow</label>
      ${!following && html`<${Button} class="quiet" off=${pending} onPress=${look}>Look again<//>`}
    </div>
    ${lines?.length === 0 && html`<p class="muted nothing">Nothing was printed yet.</p>`}
    ${lines?.length > 0 && html`<pre class="body mono" dir="auto" tabindex="0" aria-label="Lines" ref=${box} onScroll=${scrolled}>${visible(lines.join("\n"))}</pre>`}
    <${Problem} error=${error ?? broken} onForget=${error ? forget : undefined} />
  </section>`;
}
