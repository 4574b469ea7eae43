// Fetches the tombstones when there may be other ones, and counts them where there are any; what opens is tombstones.js.

import { getTombstones } from "./api.js";
import { html, later, still, useEffect, useRef, useState } from "./page.js";

const Tombstones = later(() => import("./tombstones.js"), "Tombstones");

/** Milliseconds for which further changes are waited for. */
const SETTLE = 300;

/** Properties: `decisions`, which changes when there may be other tombstones; `session`. */
export const Graves = still(({ decisions, session }) => {
  const [tombstones, setTombstones] = useState([]);
  const [open, setOpen] = useState(false);
  const opened = useRef(false); // stays once it was looked at: a name that is being typed is not lost
  const look = () => session.do(getTombstones).then(({ tombstones: found }) => setTombstones(found), () => {}); // asked again with the next change
  useEffect(() => {
    const timer = setTimeout(look, SETTLE);
    return () => clearTimeout(timer);
  }, [decisions]);
  opened.current ||= open;
  return (
    tombstones.length > 0 &&
    html`<section class="tombstones" aria-labelledby="tombstones-title">
      <h2 id="tombstones-title">
        <button type="button" class="quiet" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>
          <span class="turner" aria-hidden="true">▸</span> Tombstones <span class="muted">${tombstones.length}</span>
        </button>
      </h2>
      <ul class="plain" hidden=${!open}>
        ${opened.current && html`<${Tombstones} tombstones=${tombstones} session=${session} onChange=${look} />`}
      </ul>
    </section>`
  );
});
