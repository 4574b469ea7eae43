// When the card for signing in is wanted; the card itself is loaded then.

const GOING = new Set(["starting", "link", "checking"]);

/** Whether a sign-in is under way. */
export const isSigningIn = ({ login }) => GOING.has(login?.phase);

/** Whether there is a sign-in to begin or to go on with. */
export const wantsLogin = (agent) => agent.state === "needs_login" || isSigningIn(agent);
