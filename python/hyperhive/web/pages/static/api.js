// The operator API: one function per route that the page uses, and one shape of error. Nothing else calls fetch.

import { token } from "./token.js";

const BASE = new URL(`${document.documentElement.dataset.api ?? "api"}/`, document.baseURI);

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

async function json(method, path, options) {
  const response = await call(method, path, options);
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch {
    throw new ApiError(0, "no_answer", "The hive broke off its answer", "Try again in a moment");
  }
}

const query = (values) =>
  new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined && value !== null)).toString();
const segment = encodeURIComponent;

/** The snapshot; `now` is the hive's clock as its answer has it, or null. */
export async function getState(signal) {
  const response = await call("GET", "state", { signal });
  const date = Date.parse(response.headers.get("date") ?? "");
  return { ...(await response.json()), now: Number.isNaN(date) ? null : date };
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

/** Accepted means on disk; the same idempotency key never makes a second message. */
export const sendMessage = (message) => json("POST", "messages", { body: message });

/**
 * Asks something of an agent. Resolves when it is done, or goes on; the stream says how it ends.
 * @param {"start"|"stop"|"restart"|"kick"|"cancel"} verb
 */
export async function act(agent, verb) {
  const operation = await json("POST", `agents/${segment(agent)}/${segment(verb)}`);
  if (operation?.status === "failed") throw new ApiError(200, "failed", operation.error ?? `${verb} failed`);
}

/** An agent's events, newest first: `{events}`. */
export const getEvents = (agent, filter) => json("GET", `agents/${segment(agent)}/events?${query(filter)}`);

/** What waits to be read by the operator: `{messages, unread}`. */
export const getInbox = (signal) => json("GET", "inbox", { signal });

/** @param {number[]} ids */
export const ackInbox = (ids) => json("POST", "inbox/ack", { body: { ids } });

/** @param {"requeue"|"discard"} verb */
export const settleDeadLetter = (id, verb) => json("POST", `dead-letters/${segment(id)}/${segment(verb)}`);
