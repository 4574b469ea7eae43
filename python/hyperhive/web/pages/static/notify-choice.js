// Whether this browser shows notifications, and whether the operator wants them: all that is needed where they are off.

import { keep, kept } from "./keep.js";

const ENABLED = "hyperhive.notify";
const MUTED = "hyperhive.muted";

/** Whether the browser would show any here: it does so in secure places only. */
export const possible = () => "Notification" in window && isSecureContext;
export const permission = () => (possible() ? Notification.permission : "impossible");
/** Chosen by the operator in this browser, and allowed by it. */
export const enabled = () => permission() === "granted" && kept(ENABLED) === "yes";
export const muted = () => kept(MUTED) === "yes";
export const setMuted = (on) => keep(MUTED, on ? "yes" : null);

/** Asks the browser; to be called by a press of a button. */
export async function enable() {
  if (!possible()) return;
  if ((await Notification.requestPermission()) === "granted") keep(ENABLED, "yes");
}
