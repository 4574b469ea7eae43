// An agent's events as structured rows of its terminal.

import { Diff } from "./diff.js";
import { Name } from "./names.js";
import { Still, html } from "./page.js";
import { gist, outputOf, textOf, toolOf, wordOf } from "./summary.js";
import { Inline, Passage, firstLine, lineCount, visible } from "./text.js";
import { Clock, took } from "./time.js";

const failed = (data) => data.isError ?? data.is_error ?? data.ok === false;

/** Characters of a string that the stream carries; a cut one ends with a dot more. */
const STREAMED = 2000;

/** Whether the stream cut a string of an event. */
function isCut({ whole, data }) {
  const cut = (value, depth) =>
    typeof value === "string"
      ? value.length === STREAMED + 1 && value.endsWith("…")
      : value !== null && typeof value === "object" && depth < 4 && Object.values(value).some((inner) => cut(inner, depth + 1));
  return !whole && cut(data, 0);
}

/** Characters of one line that is shown as it is. */
const SHORT = 200;

/** Output of a tool: closed, with its size; what somebody opened stays open. */
class Output extends Still {
  state = { open: false };

  toggle = () => {
    const { truncated, onWhole } = this.props;
    if (truncated && !this.state.open) onWhole().catch(() => {}); // what is here is shown, and says that it is cut
    this.setState(({ open }) => ({ open: !open }));
  };

  render({ data, truncated }, { open }) {
    const output = outputOf(data);
    const lines = lineCount(output);
    const bad = failed(data);
    if (!output) return html`<span class="muted">${bad ? "failed, without output" : "no output"}</span>`;
    if (lines === 1 && output.length <= SHORT && !truncated && !data.truncated) {
      return html`<span class="peek mono ${bad ? "problem" : ""}" dir="auto">${output}</span>`;
    }
    const size = lines === 1 ? (output.length > 300 ? `1 line, ${Math.ceil(output.length / 1024)} KiB` : "1 line") : `${lines} lines`;
    return html`<div class="output">
      <button type="button" class="quiet" aria-expanded=${String(open)} onClick=${this.toggle}>
        <span class="turner" aria-hidden="true">▸</span> ${bad && html`<span class="problem">error, </span>`}${size}${(truncated || data.truncated) && ", cut"}
      </button>
      ${!open && html`<span class="peek mono" dir="auto">${firstLine(output)}</span>`}
      ${open && html`<pre class="body mono" dir="auto">${output}</pre>`}
    </div>`;
  }
}

const isText = (value) => typeof value === "string";
const Tool = ({ data, children }) => html`<strong class="mono tool"><${Inline} text=${toolOf(data)} /></strong>${" "}${children}`;

/** A file that is written or changed: its path, and what changes. */
const FileCall = ({ data, edits, truncated, onWhole }) =>
  html`<div class="call">
    <${Tool} data=${data}><${Inline} class="mono" text=${data.input.file_path} /><//>
    ${edits.map(([before, after], index) => html`<${Diff} key=${index} before=${before} after=${after} truncated=${truncated} onWhole=${onWhole} />`)}
  </div>`;

/** What is said to somebody: the recipient, and the words as words. */
const Talk = ({ data, to, text, truncated, onWhole }) =>
  html`<div class="call talk">
    <${Tool} data=${data}><span class="arrow" aria-label="to">→</span> <${Name} name=${String(to)} /><//>
    <${Passage} text=${text} truncated=${truncated} onWhole=${onWhole} />
    ${Array.isArray(data.input.options) && html`<p class="muted small">${data.input.options.map((option) => html`<${Inline} class="option" text=${option} />`)}</p>`}
  </div>`;

/** The changes that a call makes to a file, as pairs of before and after; null where it makes none. */
function editsOf(tool, input) {
  if (input === null || typeof input !== "object" || !isText(input.file_path)) return null;
  if (tool === "Write" && isText(input.content)) return [["", input.content]];
  if (tool === "Edit" && isText(input.old_string) && isText(input.new_string)) return [[input.old_string, input.new_string]];
  if (tool !== "MultiEdit" || !Array.isArray(input.edits)) return null;
  return input.edits.filter((edit) => isText(edit?.old_string) && isText(edit?.new_string)).map((edit) => [edit.old_string, edit.new_string]);
}

function ToolCall({ data, truncated, onWhole }) {
  const { input } = data;
  const tool = toolOf(data);
  const edits = editsOf(tool, input);
  if (edits) return html`<${FileCall} data=${data} edits=${edits} truncated=${truncated} onWhole=${onWhole} />`;
  if (tool === "send" && isText(input?.to) && isText(input.body)) {
    return html`<${Talk} data=${data} to=${input.to} text=${input.body} truncated=${truncated} onWhole=${onWhole} />`;
  }
  if (/^ask(_operator)?$/.test(tool) && isText(input?.question)) {
    return html`<${Talk} data=${data} to=${input.to ?? "operator"} text=${input.question} truncated=${truncated} onWhole=${onWhole} />`;
  }
  const more = input !== null && typeof input === "object" && Object.keys(input).length > 1;
  return html`<div class="call plain-call">
    <strong class="mono tool"><${Inline} text=${tool} /></strong>
    <${Passage} class="mono" text=${gist(input)} truncated=${truncated} onWhole=${onWhole} />
    ${more && html`<${Details} input=${input} />`}
  </div>`;
}

class Details extends Still {
  state = { open: false };

  render({ input }, { open }) {
    const count = Object.keys(input).length;
    return html`<div class="details">
      <button type="button" class="quiet" aria-expanded=${String(open)} onClick=${() => this.setState({ open: !open })}>
        <span class="turner" aria-hidden="true">▸</span> ${count} arguments
      </button>
      ${open && html`<pre class="body mono" dir="auto">${visible(JSON.stringify(input, null, 2))}</pre>`}
    </div>`;
  }
}

function TurnStart({ data, truncated, onWhole }) {
  return html`<div>
    message from <${Name} name=${String(data.from ?? "somebody")} />
    ${data.unread > 0 && html`<span class="muted">, ${data.unread} more wait</span>`}
    <${Passage} text=${data.body ?? ""} truncated=${truncated} onWhole=${onWhole} />
  </div>`;
}

/** Ends of a turn that are no fault of it. */
const ENDS = { cancelled: ["cancelled", "muted"], returned: ["given back", "muted"] };

function TurnEnd({ data }) {
  const usage = data.usage ?? {};
  const cost = usage.costUsd ?? usage.cost_usd;
  const facts = [
    data.durationMs && took(data.durationMs),
    usage.outputTokens && `${usage.outputTokens} tokens out`,
    cost && `$${cost.toFixed(cost < 0.1 ? 3 : 2)}`,
  ].filter(Boolean);
  const end = data.ok === false ? (ENDS[data.outcome] ?? ["failed", "problem"]) : ["ended well", "well"];
  return html`<div>
    <span class=${end[1]}>${end[0]}</span>
    <span class="muted">${facts.map((fact) => ` · ${fact}`)}</span>
    ${data.note && html`<${Passage} text=${data.note} />`}
  </div>`;
}

const CONTENT = {
  turn_start: TurnStart,
  turn_end: TurnEnd,
  tool_call: ToolCall,
  tool_result: Output,
  compacted: Change,
  model_changed: Change,
};

/** What is known of a compaction or a new model, in words. */
function Change({ data }) {
  const said = textOf(data);
  const facts = Object.entries(data).filter(([key, value]) => value !== null && value !== undefined && value !== said && key !== "parent");
  const named = facts.map(([key, value]) => `${key.replace(/([A-Z])/g, " $1").toLowerCase()} ${isText(value) ? value : JSON.stringify(value)}`);
  return html`<${Passage} text=${[said, ...named].filter(Boolean).join(" · ")} />`;
}

const Plain = ({ data, truncated, onWhole }) => {
  const text = textOf(data);
  return html`<${Passage} text=${text === "" && Object.keys(data).length ? JSON.stringify(data) : text} truncated=${truncated} onWhole=${onWhole} />`;
};

/** One event as a row. */
export class EventRow extends Still {
  whole = () => this.props.session.event(this.props.event.agent, this.props.event.seq);

  render({ event }) {
    const { kind, at } = event;
    const data = event.data ?? {};
    const Content = CONTENT[kind] ?? Plain;
    return html`<li class="event ${data.parent ? "within" : ""} kind-${String(kind).replace(/[^a-z_]/g, "")}" data-kind=${kind}>
      <${Clock} at=${at} exact=${true} />
      <span class="kind">${wordOf(kind)}</span>
      <div class="content"><${Content} data=${data} truncated=${isCut(event)} onWhole=${this.whole} /></div>
    </li>`;
  }
}
