// The top of the page: which hive this is, how fresh what one sees is, and what its runtime warns of.

import { keep, kept } from "./keep.js";
import { Still, html } from "./page.js";
import { ICON } from "./place.js";
import { Inline } from "./text.js";
import { Age } from "./time.js";

const FOLDED = "hyperhive.folded";

/** What the runtime warns of. Read warnings may be folded away; other ones unfold themselves. */
export class Warnings extends Still {
  state = { folded: kept(FOLDED) };

  #fold = (folded) => {
    keep(FOLDED, folded);
    this.setState({ folded });
  };

  render({ warnings }, { folded }) {
    if (!warnings.length) return null;
    const all = JSON.stringify(warnings);
    const hidden = folded === all;
    return html`<div class="warnings">
      <ul id="warnings" aria-label="Warnings of the hive" hidden=${hidden}>
        ${warnings.map((text) => html`<li key=${text}><${Inline} text=${text} /></li>`)}
      </ul>
      <button type="button" class="quiet warn" aria-expanded=${String(!hidden)} aria-controls="warnings" onClick=${() => this.#fold(hidden ? "" : all)}>
        ${hidden ? `${warnings.length} ${warnings.length === 1 ? "warning" : "warnings"}` : "Fold"}
      </button>
    </div>`;
  }
}

/** Which hive this is, and how fresh what one sees is. */
export class Header extends Still {
  render({ hive, runtime, version, connection, warnings, onSignOut }) {
    return html`<header class="top">
      <div class="top-row">
        <h1>
          <img src=${ICON} alt="" width="22" height="22" />
          <${Inline} text=${hive || "hyperhive"} />
        </h1>
        <span class="muted small top-facts">
          ${runtime && html`runtime <${Inline} text=${runtime} />`}${version && html` · hyperhive <${Inline} text=${version} />`}
        </span>
        <${Connection} connection=${connection} />
        <button type="button" class="quiet" onClick=${onSignOut}>Sign out</button>
      </div>
      <${Warnings} warnings=${warnings} />
    </header>`;
  }
}

/** Whether what is shown is what is so, or how long it has been so. */
export const Connection = ({ connection: { live, reason, since } }) =>
  html`<span class="connection ${live ? "live" : "lost"}" role="status" title=${live ? "Changes arrive as they happen" : (reason ?? "")}>
    ${live
      ? "live"
      : html`reconnecting <span class="muted" aria-hidden="true"><${Age} at=${new Date(since).toISOString()} /></span>`}
  </span>`;
