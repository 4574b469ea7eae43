// What needs the operator's yes: a new agent, or a change to one. Shown is exactly what would be done; the decision is
// bound to the commit that stands here, so that nobody says yes to something else.

import { Button, Problem, SureButton, useAction } from "./actions.js";
import { decide, getApproval } from "./api-detail.js";
import { Name } from "./names.js";
import { html, styled, useRef, useState } from "./page.js";
import { Patch } from "./patch.js";
import { Inline, Passage, bytes, visible } from "./text.js";
import { Age } from "./time.js";

await styled("approval.css");

const short = (commit) => String(commit ?? "").slice(0, 10);

/** A new agent: what it would be. */
const Spawn = ({ spec }) =>
  html`<dl class="spec small">
    <dt>model</dt>
    <dd><${Inline} text=${spec?.model ?? "the default one"} /></dd>
    ${spec?.prompt && html`<dt>prompt</dt><dd><${Passage} text=${spec.prompt} /></dd>`}
  </dl>`;

const BUILDS = {
  queued: "Waits to be built…",
  building: "Is being built…",
  none: "Nothing was built: this hive's runtime has no systems of its own.",
};

/** What building it gave, and what would restart. */
function Build({ approval }) {
  const { build, status, closureDiff } = approval;
  const state = status === "building" ? (build?.status === "queued" ? "queued" : "building") : build?.status;
  const busy = status === "building";
  return html`<div class="build small" data-build=${state ?? "none"}>
    <p role=${busy ? "status" : undefined}>
      ${busy && html`<span class="spinner" aria-hidden="true"></span> `}
      ${state === "ok" ? html`<span class="well">Built</span>${build.sizeBytes ? html`, ${bytes(build.sizeBytes)}` : ""}` : (BUILDS[state] ?? BUILDS.none)}
      ${build?.units?.length > 0 && html` · restarts <${Inline} text=${build.units.join(", ")} />`}
    </p>
    ${closureDiff && html`<${Opened} label="What changes in the system"><pre class="body mono" tabindex="0" aria-label="Closure">${visible(closureDiff)}</pre><//>`}
    ${build?.log && html`<${Opened} label="Build log"><pre class="body mono" tabindex="0" aria-label="Log">${visible(build.log)}</pre><//>`}
  </div>`;
}

/** A part that is closed at first and stays as it was put. */
function Opened({ label, children }) {
  const [open, setOpen] = useState(false);
  return html`<div class="opened">
    <button type="button" class="quiet" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>
      <span class="turner" aria-hidden="true">▸</span> ${label}
    </button>
    ${open && children}
  </div>`;
}

/** A change: against what runs, and against what was approved last where that is something else. */
function Change({ approval, onWhole }) {
  const { commit, base, diff, approvedDiff, approved, truncated, stale } = approval;
  const [against, setAgainst] = useState("base");
  const last = against === "approved" && approvedDiff;
  const text = (last ? approvedDiff : diff) ?? "";
  return html`
    <p class="small muted">
      commit <code>${short(commit)}</code>, compared with ${last ? html`what was approved last, <code>${short(approved)}</code>` : html`what runs, <code>${short(base)}</code>`}
      ${stale && html` · <span class="problem">compared and built anew, because something else was deployed meanwhile</span>`}
    </p>
    ${approvedDiff &&
    html`<div class="buttons" role="group" aria-label="Compare with">
      <${Button} aria-pressed=${String(against === "base")} onPress=${() => setAgainst("base")}>what runs<//>
      <${Button} aria-pressed=${String(against === "approved")} onPress=${() => setAgainst("approved")}>last approved<//>
    </div>`}
    ${text ? html`<${Patch} text=${text} truncated=${truncated} onWhole=${onWhole} label="Changed lines" />` : html`<p class="muted small">Nothing differs.</p>`}
  `;
}

/** Yes or no; the reason of a no goes to whoever asked. */
function Decision({ approval, run, pending, session }) {
  const [reason, setReason] = useState("");
  const [missing, setMissing] = useState(false);
  const field = useRef(null);
  const { id, kind, agent, status, commit } = approval;
  const yes = () => run("approve", () => session.do(() => decide(id, "approve", kind === "apply" ? { commit } : {})));
  const no = () => {
    if (!reason.trim()) {
      setMissing(true);
      field.current.focus();
      return;
    }
    run("deny", () => session.do(() => decide(id, "deny", { reason: reason.trim() })));
  };
  const keys = (event) => {
    if (event.isComposing || event.keyCode === 229 || event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    no();
  };
  const question = kind === "spawn" ? `Make ${agent}?` : `Deploy ${short(commit)}?`;
  return html`<div class="decision-row">
      ${status === "pending" && html`<${SureButton} class="primary" off=${pending} question=${question} onPress=${yes}>${pending === "approve" ? "Approving…" : "Approve"}<//>`}
      <textarea
        ref=${field}
        rows="1"
        dir="auto"
        aria-label="Reason for a denial"
        placeholder="why not"
        value=${reason}
        onInput=${(event) => (setMissing(false), setReason(event.target.value))}
        onKeyDown=${keys}
      ></textarea>
      <${Button} off=${pending} onPress=${no}>${pending === "deny" ? "Denying…" : "Deny"}<//>
    </div>
    ${missing && html`<p class="problem small" role="alert">Say why: whoever asked can do better only then.</p>`}`;
}

export function Approval({ approval: known, session }) {
  const [run, pending, error, forget] = useAction();
  const [fetched, setFetched] = useState(null);
  // Fetched whole once; what the stream says of it since is newer in all but the length.
  const whole = fetched?.commit === known.commit && fetched?.base === known.base ? fetched : null;
  const approval = whole ? { ...known, diff: whole.diff, approvedDiff: whole.approvedDiff, truncated: whole.truncated, build: whole.build } : known;
  const { kind, agent, requestedBy, description, expiresAt, status } = approval;
  const look = () => run("look", () => session.do(async () => setFetched(await getApproval(approval.id))));
  return html`<div class="approval" data-status=${status}>
    <p><${Name} name=${requestedBy} /> ${kind === "spawn" ? "asks for a new agent," : "proposes a change to"} <b><${Name} name=${agent} /></b></p>
    ${description && html`<${Passage} text=${description} />`}
    ${kind === "spawn" ? html`<${Spawn} spec=${approval.spec} />` : html`<${Change} approval=${approval} onWhole=${look} /><${Build} approval=${approval} />`}
    ${approval.note && html`<p class="problem small"><${Inline} text=${approval.note} /></p>`}
    <${Decision} approval=${approval} run=${run} pending=${pending} session=${session} />
    <p class="small muted"><${Age} at=${expiresAt} until=${true} /> left, then it expires</p>
    <${Problem} error=${error} onForget=${forget} />
  </div>`;
}
