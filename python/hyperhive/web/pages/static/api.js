// The operator API: one function per route that a page needs from the start, and one shape of error. Nothing else calls
// fetch. What is seldom asked for stands in api-detail.js.

import { AGENT, API } from "./place.js";
import { token } from "./token.js";

const BASE = new URL(`${API}/`, document.baseURI);

/** What went wrong: a sentence, and what to do next. `code` is stable; `status` 0 is a hive that did not answer. */
export class ApiError extends Error {
  constructor(status, code, message, hint) {
    super(message);
    Object.assign(this, { status, code, hint: hint ?? null });
  }

  /** Whether the token was missing or wrong. */
  get unauthorized() {
    return this.status === 401;
  }
}

async function failure(response) {
  const error = await response.json().then((body) => body?.error, () => null);
  const wait = response.headers.get("retry-after");
  return new ApiError(
    response.status,
    error?.code ?? "unexpected",
    error?.message ?? `the hive answered ${response.status}`,
    error?.hint ?? (wait ? `Try again in ${wait} s` : null),
  );
}

/**
 * Calls a route. Throws an ApiError for everything but a 2xx.
 * @param {string} method
 * @param {string} path below the base, without a slash in front
 * @param {{body?: object, signal?: AbortSignal, accept?: string}} [options]
 * @returns {Promise<Response>}
 */
export async function call(method, path, { body, signal, accept = "application/json" } = {}) {
  const headers = { Accept: accept, Authorization: `Bearer ${token() ?? ""}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(new URL(path, BASE), {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      cache: "no-store",
      credentials: "omit",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "no_answer", "The hive does not answer", "Nothing is lost; try again in a moment");
  }
  if (!response.ok) throw await failure(response);
  return response;
}

export async function json(method, path, options) {
  const response = await call(method, path, options);
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch {
    throw new ApiError(0, "no_answer", "The hive broke off its answer", "Try again in a moment");
  }
}

export const query = (values) =>
  new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined && value !== null)).toString();
export const segment = encodeURIComponent;

/** Where an agent's routes begin: on its own page, at the base. */
export const of = (agent) => (AGENT ? "" : `agents/${segment(agent)}/`);

/** The snapshot, of either page in the dashboard's shape; `now` is the hive's clock as its answer has it, or null. */
export async function getState(signal) {
  const response = await call("GET", "state", { signal });
  const date = Date.parse(response.headers.get("date") ?? "");
  const state = await response.json();
  if (AGENT) Object.assign(state, { agents: [state.agent], waiting: [] });
  return { ...state, now: Number.isNaN(date) ? null : date };
}

/** The stream of everything after `seq`, as a Response whose body goes on. */
export const getStream = ({ epoch, seq }, signal) =>
  call("GET", `stream?${query({ since: seq, epoch })}`, { signal, accept: "text/event-stream" });

/** Messages, newest first: `{messages}`. */
export const getMessages = (filter) => json("GET", `messages?${query(filter)}`);

/** One message with its whole body, or null where it is gone. */
export async function getMessage(id) {
  const { messages } = await getMessages({ before: id + 1, limit: 1 });
  return messages[0]?.id === id ? messages[0] : null;
}

/**
 * A new idempotency key. Not randomUUID: that exists in secure contexts only, and a hive is often looked at over plain
 * http in a home network.
 */
export const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Accepted means on disk; the same idempotency key never makes a second message. */
export const sendMessage = (message) => json("POST", "messages", { body: message });

export async function operation(path, body) {
  const row = await json("POST", path, { body });
  if (row?.status === "failed") throw new ApiError(200, "failed", row.error ?? `${row.kind ?? "it"} failed`);
  return row;
}

/**
 * Asks something of an agent. Resolves when it is done, or goes on; the stream says how it ends.
 * @param {"start"|"stop"|"restart"|"rebuild"|"pause"|"resume"|"destroy"|"kick"|"cancel"|"compact"|"new-session"} verb
 */
export const act = (agent, verb) => operation(`${of(agent)}${segment(verb)}`);

/** Which model the next turn uses. */
export const setModel = (agent, model) => operation(`${of(agent)}model`, { model });

/** An agent's events, newest first: `{events}`. */
export const getEvents = (agent, filter) => json("GET", `${of(agent)}events?${query(filter)}`);

/** What waits to be read by the operator: `{messages}`. */
export const getInbox = (signal) => (AGENT ? { messages: [] } : json("GET", "inbox", { signal }));

/** @param {number[]} ids */
export const ackInbox = (ids) => json("POST", "inbox/ack", { body: { ids } });

/** @param {"requeue"|"discard"} verb */
export const settleDeadLetter = (id, verb) => json("POST", `dead-letters/${segment(id)}/${segment(verb)}`);

/** @param {{choices: string[], text: string}} answer */
export const answerQuestion = (id, answer) => json("POST", `questions/${segment(id)}/answer`, { body: answer });

export const cancelQuestion = (id) => json("POST", `questions/${segment(id)}/cancel`, { body: {} });

/** Takes what was only to be seen off the list of what waits. */
export const dismiss = (id) => json("POST", `waiting/${segment(id)}/dismiss`, { body: {} });

/** Agents that are no more: `{tombstones}`. */
export const getTombstones = () => json("GET", "tombstones");
