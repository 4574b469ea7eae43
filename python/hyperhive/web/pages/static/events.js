// An agent's events in words: one line for its card, a structured row for its own view.

import { Name } from "./names.js";
import { Still, html } from "./page.js";
import { Inline, Passage, firstLine, lineCount, visible } from "./text.js";
import { Clock, took } from "./time.js";

const WORDS = {
  turn_start: "turn",
  turn_end: "turn end",
  text: "says",
  thinking: "thinks",
  tool_call: "tool",
  tool_result: "result",
  stderr: "stderr",
  compacted: "compacted",
  session_new: "session",
  model_changed: "model",
  unsolicited: "unasked",
  note: "note",
};
const wordOf = (kind) => WORDS[kind] ?? String(kind).replaceAll("_", " ");

/** The part of a tool's input that says most in one line. */
function gist(input) {
  if (input === null || typeof input !== "object") return visible(input);
  if (typeof input.to === "string" && typeof input.body === "string") return visible(`${input.to}: ${input.body}`);
  const telling = ["command", "file_path", "path", "pattern", "url", "query", "to", "text", "body", "description"];
  const key = telling.find((name) => typeof input[name] === "string") ?? Object.keys(input)[0];
  return key === undefined ? "" : visible(input[key]);
}

const textOf = (data) => data.text ?? data.reason ?? data.thinking ?? data.content ?? data.message ?? data.line ?? "";
const outputOf = (data) => {
  const output = data.output ?? data.content ?? data.result ?? data.text ?? "";
  if (!Array.isArray(output)) return visible(output);
  return output.map((part) => visible(part?.text ?? part)).join("\n");
};
const toolOf = (data) => String(data.tool ?? data.name ?? "tool").replace(/^mcp__hyperhive__/, "");
const failed = (data) => data.isError ?? data.is_error ?? data.ok === false;

/**
 * One line about what an agent does.
 * @returns {{word: string, text: string}|null}
 */
export function summaryOf(event) {
  if (!event) return null;
  const { kind } = event;
  const data = event.data ?? {};
  if (kind === "turn_start") return { word: "turn", text: `reads a message from ${visible(data.from ?? "somebody")}` };
  if (kind === "tool_call") return { word: toolOf(data), text: firstLine(gist(data.input)) };
  if (kind === "tool_result") return { word: "result", text: firstLine(outputOf(data)) };
  if (kind === "thinking") return { word: "thinks", text: firstLine(textOf(data)) };
  return { word: wordOf(kind), text: firstLine(textOf(data)) };
}

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

function ToolCall({ data, truncated, onWhole }) {
  const { input } = data;
  const more = input !== null && typeof input === "object" && Object.keys(input).length > (input.to && input.body ? 2 : 1);
  return html`<div class="call">
    <strong class="mono"><${Inline} text=${toolOf(data)} /></strong>
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
};

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
    return html`<li class="event kind-${String(kind).replace(/[^a-z_]/g, "")}" data-kind=${kind}>
      <${Clock} at=${at} exact=${true} />
      <span class="kind">${wordOf(kind)}</span>
      <div class="content"><${Content} data=${data} truncated=${isCut(event)} onWhole=${this.whole} /></div>
    </li>`;
  }
}
