// Which part of the page is looked at: it stands in the address, so that a reload, a bookmark and the back button keep it.

import { takeFromAddress } from "./token.js";

/**
 * @typedef {{name: "swarm"|"messages"|"inbox"|"history"|"usage"|"agent", agent: string}} View
 *   `agent` is whose events are open, or for messages the filter; "" is none
 */

const NAMES = new Set(["swarm", "messages", "inbox", "history", "usage", "agent"]);

/** @returns {View} */
export function currentView() {
  const [name, agent = ""] = location.hash.slice(1).split("/");
  const known = NAMES.has(name) && !(name === "agent" && !agent);
  return known ? { name, agent: decoded(agent) } : { name: "", agent: "" };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** @returns {string} the address of a view, for links */
export const linkTo = (name, agent = "") => `#${name}${agent ? `/${encodeURIComponent(agent)}` : ""}`;

/** The address of an agent's own page below the dashboard. */
export const pageOf = (agent) => `agents/${encodeURIComponent(agent)}/`;

/** Goes to a view without a link. */
export const goTo = (name, agent) => {
  location.hash = linkTo(name, agent);
};

/**
 * Tells about each change of the view; `onToken` about a token that was put into the address of the open page.
 * @returns {() => void} ends it
 */
export function watchView(onView, onToken) {
  const changed = () => {
    if (takeFromAddress()) onToken();
    onView(currentView());
  };
  addEventListener("hashchange", changed);
  return () => removeEventListener("hashchange", changed);
}
