// The row about notifications: off, on, muted, or blocked and what to do then.

import { enable, enabled, muted, permission, setMuted } from "./notify-choice.js";
import { html, useEffect, useState } from "./page.js";

const BLOCKED = "The browser blocks notifications for this address. Allow them in its settings for this site (the sign before the address), then reload.";
const IMPOSSIBLE =
  "Browsers show notifications only on https and on localhost. Reach this page through a TLS proxy or “ssh -L”, or let the hive tell you: notifications.urlFile.";

export function Notifications() {
  const [, look] = useState(0);
  const again = () => look((count) => count + 1);
  const [help, setHelp] = useState(false);
  useEffect(() => {
    // Another tab may mute, and the browser's own settings may change.
    addEventListener("storage", again);
    addEventListener("focus", again);
    return () => {
      removeEventListener("storage", again);
      removeEventListener("focus", again);
    };
  }, []);
  const state = permission();
  const on = enabled();
  const why = { denied: BLOCKED, impossible: IMPOSSIBLE }[state];
  const mute = () => {
    setMuted(!muted());
    again();
  };
  return html`<section class="notifications small" aria-label="Notifications">
    <span class="muted">Notifications ${why ? (state === "denied" ? "are blocked" : "do not work here") : on ? (muted() ? "are muted" : "are on") : "are off"}</span>
    ${why && html`<button type="button" class="quiet" aria-expanded=${String(help)} onClick=${() => setHelp(!help)}>What to do</button>`}
    ${!why && !on && html`<button type="button" class="quiet" onClick=${() => enable().then(again)}>Enable</button>`}
    ${on && html`<button type="button" class="quiet" aria-pressed=${String(muted())} onClick=${mute}>${muted() ? "Unmute" : "Mute"}</button>`}
    ${why && help && html`<p>${why}</p>`}
  </section>`;
}
