// Says new messages to those who listen instead of looking: politely, and at most once in a while, because a swarm
// that talks all day would otherwise never let a screen reader finish a sentence.

import { html, useEffect, useRef, useState } from "./page.js";

const PAUSE = 5000;
const nameOf = (name) => (name === "operator" ? "you" : name === "*" ? "everyone" : name);

export function Announcer({ messages, generation }) {
  const [said, say] = useState("");
  const seen = useRef({ id: Infinity, generation: -1 });
  const timer = useRef(null);
  const latest = useRef(messages);
  latest.current = messages;
  useEffect(() => {
    const last = messages.at(-1)?.id ?? 0;
    if (seen.current.generation !== generation) seen.current = { id: last, generation };
    if (last <= seen.current.id || timer.current) return;
    timer.current = setTimeout(() => {
      timer.current = null;
      const fresh = latest.current.filter(({ id }) => id > seen.current.id);
      if (!fresh.length) return;
      const { id, from, to } = fresh.at(-1);
      seen.current.id = id;
      const route = `from ${nameOf(from)} to ${nameOf(to)}`;
      say(fresh.length === 1 ? `New message ${route}` : `${fresh.length} new messages, the last ${route}`);
    }, PAUSE);
  }, [messages, generation]);
  return html`<p class="unseen" aria-live="polite">${said}</p>`;
}
