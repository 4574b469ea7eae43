// Where this page stands: what its root element says of it. The dashboard has no agent; an agent's page has one, and is
// served on the agent's own port or below the dashboard.

const { api, agent } = document.documentElement.dataset;

/** The base of the API's routes, without a slash at the end. */
export const API = (api || "api").replace(/\/+$/, "");

/** The agent whose page this is; empty on the dashboard. */
export const AGENT = agent ?? "";

/** Whether this is an agent's page on the agent's own port, to which only a token of its own fits. */
export const ALONE = AGENT !== "" && !API.endsWith(`/agents/${AGENT}`);

/** Where the pages' own pictures lie. */
export const ICON = new URL("icon.svg", import.meta.url).pathname;
