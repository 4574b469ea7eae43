// What an event says in one line, and the parts of its data that every view of it needs.

import { firstLine, visible } from "./text.js";

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

/** The word of a kind of event. */
export const wordOf = (kind) => WORDS[kind] ?? String(kind).replaceAll("_", " ");

/** The part of a tool's input that says most in one line. */
export function gist(input) {
  if (input === null || typeof input !== "object") return visible(input);
  if (typeof input.to === "string" && typeof input.body === "string") return visible(`${input.to}: ${input.body}`);
  const telling = ["command", "file_path", "path", "pattern", "url", "query", "question", "to", "text", "body", "description"];
  const key = telling.find((name) => typeof input[name] === "string") ?? Object.keys(input)[0];
  return key === undefined ? "" : visible(input[key]);
}

/** The text of an event that has one. */
export const textOf = (data) => data.text ?? data.reason ?? data.thinking ?? data.content ?? data.message ?? data.line ?? "";

/** What a tool answered, as text. */
export function outputOf(data) {
  const output = data.output ?? data.content ?? data.result ?? data.text ?? "";
  if (!Array.isArray(output)) return visible(output);
  return output.map((part) => visible(part?.text ?? part)).join("\n");
}

/** The name of a tool; the hive's own go without their server's. */
export const toolOf = (data) => String(data.tool ?? data.name ?? "tool").replace(/^mcp__hyperhive__/, "");

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
