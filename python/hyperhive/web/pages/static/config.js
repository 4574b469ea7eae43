// The files that an agent is configured by, fetched when somebody looks.

import { Problem, useAction } from "./actions.js";
import { getConfig } from "./api-detail.js";
import { html, useEffect, useState } from "./page.js";
import { Inline, visible } from "./text.js";

export function Config({ name, session }) {
  const [run, , error, forget] = useAction();
  const [config, setConfig] = useState(null);
  useEffect(() => {
    run("look", () => session.do(async () => setConfig(await getConfig(name))));
  }, [name]);
  return html`<section class="viewer" aria-label=${`agent.nix of ${name}`}>
    ${!config && !error && html`<p class="muted nothing">Loading…</p>`}
    ${config?.note && html`<p class="muted small"><${Inline} text=${config.note} /></p>`}
    ${config?.files.map(
      ({ path, text }) => html`<div key=${path}>
        <p class="small mono"><${Inline} text=${path} /></p>
        <pre class="body mono" dir="auto" tabindex="0" aria-label=${visible(path)}>${visible(text)}</pre>
      </div>`,
    )}
    ${config && !config.note && config.files.length === 0 && html`<p class="muted nothing">It has no files of its own.</p>`}
    <${Problem} error=${error} onForget=${forget} />
  </section>`;
}
