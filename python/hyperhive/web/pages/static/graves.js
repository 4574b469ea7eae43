// Fetches the tombstones when there may be other ones, and shows them where there are any.

import { getTombstones } from "./api.js";
import { html, later, still, useEffect, useState } from "./page.js";

const Tombstones = later(() => import("./tombstones.js"), "Tombstones");

/** Milliseconds for which further changes are waited for. */
const SETTLE = 300;

/** Properties: `decisions`, which changes when there may be other tombstones; `session`. */
export const Graves = still(({ decisions, session }) => {
  const [tombstones, setTombstones] = useState([]);
  const look = () => session.do(getTombstones).then(({ tombstones: found }) => setTombstones(found), () => {}); // asked again with the next change
  useEffect(() => {
    const timer = setTimeout(look, SETTLE);
    return () => clearTimeout(timer);
  }, [decisions]);
  return tombstones.length > 0 && html`<${Tombstones} tombstones=${tombstones} session=${session} onChange=${look} />`;
});
