// One connection to /api/stream: bytes in, frames out. It ends when the connection does; who opens the next one, and
// from where, is the session's business. Read by fetch, because EventSource cannot send the token.

import { getStream } from "./api.js";

/** Milliseconds of silence after which a connection counts as dead; the hive sends a comment more often than that. */
const SILENCE = 45_000;

/**
 * @typedef {{epoch: string, seq: number}} Cursor where a reader stands
 * @typedef {{cursor: Cursor|null, type: string, data: object}} Frame
 */

/**
 * Reads changes until the connection ends. Throws ApiError, or AbortError when it fell silent or `signal` says so.
 * @param {Cursor} cursor
 * @param {{onOpen: () => void, onFrame: (frame: Frame) => void, signal: AbortSignal}} options
 */
export const readStream = (cursor, { onOpen, onFrame, signal }) =>
  readEvents((silence) => getStream(cursor, silence), {
    onOpen,
    onEvent: ({ type, data }, id) => onFrame({ cursor: cursorOf(id), type, data: data ?? {} }),
    signal,
  });

/**
 * Reads the events of any stream of the hive's in the same way.
 * @param {(signal: AbortSignal) => Promise<Response>} open
 * @param {{onOpen?: () => void, onEvent: (event: object, id: string) => void, signal: AbortSignal}} options
 */
export async function readEvents(open, { onOpen, onEvent, signal }) {
  const silence = new AbortController();
  const abort = () => silence.abort();
  signal.addEventListener("abort", abort);
  let timer = setTimeout(abort, SILENCE);
  try {
    const response = await open(silence.signal);
    onOpen?.();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new Parser(onEvent);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(abort, SILENCE);
      parser.feed(value);
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
    abort();
  }
}

/** The text/event-stream format, as far as the hive uses it: `id:` and `data:` lines, comments, blank lines. */
class Parser {
  #rest = "";
  #id = "";
  #data = [];
  #onEvent;

  constructor(onEvent) {
    this.#onEvent = onEvent;
  }

  feed(text) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line.endsWith("\r") ? line.slice(0, -1) : line);
  }

  #line(line) {
    if (line === "") this.#flush();
    else if (line.startsWith("data:")) this.#data.push(line.slice(5).replace(/^ /, ""));
    else if (line.startsWith("id:")) this.#id = line.slice(3).trim();
  }

  #flush() {
    const data = this.#data.join("\n");
    this.#data = [];
    if (data) this.#onEvent(JSON.parse(data), this.#id);
  }
}

function cursorOf(id) {
  const dot = id.lastIndexOf(".");
  const seq = Number(id.slice(dot + 1));
  return dot > 0 && Number.isInteger(seq) ? { epoch: id.slice(0, dot), seq } : null;
}
