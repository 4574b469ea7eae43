// The token: out of the address as soon as it is seen there, kept for this origin; on an agent's own port for that agent
// alone. No cookies: those would be shared between all ports of the host, the agents' pages included.

import { keep, kept } from "./keep.js";
import { AGENT, ALONE } from "./place.js";

const KEY = ALONE ? `hyperhive.token.${AGENT}` : "hyperhive.token";
let known = null;

/**
 * The token in what somebody pasted: the link that `hyperhive dashboard-url` prints, or the bare token.
 * @param {string} text
 * @returns {string} empty where there is none
 */
export function tokenIn(text) {
  const found = /#(?:.*&)?token=([^&\s]+)/.exec(text);
  if (!found) return text.trim();
  try {
    return decodeURIComponent(found[1]);
  } catch {
    return found[1];
  }
}

/**
 * Takes a token out of the address, so that it lands in no history, bookmark or screenshot. A `&view=` behind it says
 * what to show.
 * @returns {boolean} whether there was one
 */
export function takeFromAddress() {
  if (!/^#(?:.*&)?token=/.test(location.hash)) return false;
  const view = /&view=([a-z]+(?:\/[a-z0-9-]+)?)/.exec(location.hash);
  keepToken(tokenIn(location.hash));
  history.replaceState(null, "", location.pathname + location.search + (view ? `#${view[1]}` : ""));
  return true;
}

/** @returns {string|null} the token that is kept */
export const token = () => kept(KEY) ?? known;

/**
 * Keeps a token, or with null forgets it. Where the browser allows no storage it lives as long as the page.
 * @param {string|null} value
 */
export function keepToken(value) {
  known = value;
  keep(KEY, value);
}
