// The MCP servers of an agent's own, as its last turn found them.

import { html } from "./page.js";
import { Inline } from "./text.js";

export const Servers = ({ servers }) =>
  servers?.length > 0 &&
  html`<ul class="plain servers small" aria-label="MCP servers">
    ${servers.map(
      ({ name, status, tools, error }) => html`<li key=${name} class=${status === "connected" || status === "pending" ? "" : "problem"}>
        <span class="mono"><${Inline} text=${name} /></span> <${Inline} text=${status} />${tools?.length > 0 && html`<span class="muted" title=${tools.join(", ")}>, ${tools.length} tools</span>`}${error && html`: <${Inline} text=${error} />`}
      </li>`,
    )}
  </ul>`;
