// Keeps the store true: snapshot, then the stream from there, again and again. Owns the back-off and every "fetch anew".

import * as api from "./api.js";
import { AGENT } from "./place.js";
import { KEPT_EVENTS, isOpen } from "./store.js";
import { readStream } from "./stream.js";
import { setHiveClock } from "./time.js";
import { keepToken, token } from "./token.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
/** A connection that lasted this long was a good one: the next break begins with a short pause again. */
const LASTING = 10_000;
/** Older messages that may be asked for one by one after a resync; more, and the older flow is loaded anew instead. */
const RECHECKED = 20;
const PAGE = 100;

export class Session {
  #store;
  #ending = null;
  #cursor = null;
  #wake = () => {};

  constructor(store) {
    this.#store = store;
    const wake = () => this.#wake();
    addEventListener("online", wake);
    document.addEventListener("visibilitychange", () => document.hidden || wake());
  }

  /** Begins, or begins again with the token that is kept now. */
  start() {
    this.#ending?.abort();
    if (!token()) {
      this.#store.dispatch({ type: "signin" });
      return;
    }
    this.#ending = new AbortController();
    this.#store.dispatch({ type: "loading" });
    this.#run(this.#ending.signal).catch((error) => console.error("the session ended", error));
  }

  /** Forgets the token and asks for one. */
  signOut(refusal = null) {
    this.#ending?.abort();
    keepToken(null);
    this.#store.dispatch({ type: "signin", refusal });
  }

  /** Loads a page of older messages of one filter; "" is all. */
  async older(filter) {
    const { floors } = this.#store.state;
    const before = floors[filter] ?? floors[""];
    await this.#guarded(async () => {
      const { messages } = await api.getMessages({ agent: filter || undefined, before, limit: PAGE });
      this.#store.dispatch({ type: "messages/loaded", messages, filter, limit: PAGE });
    });
  }

  /** Loads the whole body of a message that came cut. */
  async whole(id) {
    await this.#guarded(async () => {
      const message = await api.getMessage(id);
      if (message) this.#store.dispatch({ type: "messages/loaded", messages: [message] });
    });
  }

  /** Loads events of an agent: the latest, or those before the first that is known. */
  async events(agent, { earlier = false, limit = 200 } = {}) {
    await this.#guarded(async () => {
      const before = earlier ? this.#store.state.events[agent]?.items[0]?.seq : undefined;
      const { events } = await api.getEvents(agent, { limit, before });
      this.#store.dispatch({ type: "events/loaded", agent, events, limit, latest: !earlier });
    });
  }

  /** Loads an agent's events page by page, back to the first that is kept. */
  async record(agent) {
    await this.events(agent, { limit: 200 });
    for (;;) {
      const { items, complete } = this.#store.state.events[agent] ?? { complete: true };
      if (complete || items.length >= KEPT_EVENTS) return;
      await this.events(agent, { earlier: true, limit: Math.min(500, KEPT_EVENTS - items.length) });
    }
  }

  /** Loads one event whole; the stream cuts its long strings. */
  async event(agent, seq) {
    await this.#guarded(async () => {
      const { events } = await api.getEvents(agent, { limit: 1, before: seq + 1 });
      this.#store.dispatch({ type: "events/loaded", agent, events, limit: 1 });
    });
  }

  /** Runs an action of the operator; a token that is refused leads to the sign-in box. */
  async do(action) {
    return this.#guarded(action);
  }

  async #guarded(action) {
    try {
      return await action();
    } catch (error) {
      if (error.unauthorized) this.signOut(error);
      throw error;
    }
  }

  async #run(signal) {
    let failures = 0;
    this.#cursor = null;
    while (!signal.aborted) {
      const begun = performance.now();
      let reason = null;
      try {
        this.#cursor ??= await this.#snapshot(signal);
        await this.#follow(signal, () => (failures = 0));
      } catch (error) {
        if (signal.aborted) return;
        if (error.unauthorized || error.status === 429) {
          this.signOut(error);
          return;
        }
        if (!(error instanceof api.ApiError || error.name === "AbortError")) console.warn("the stream broke", error);
        reason = error.hint ? `${error.message}. ${error.hint}` : error.message;
      }
      if (signal.aborted) return;
      if (performance.now() - begun > LASTING) failures = 0;
      this.#store.dispatch({ type: "connection", live: false, reason });
      await this.#pause(Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures++) * (0.75 + Math.random() / 2), signal);
    }
  }

  /** Follows the stream to its end and moves the cursor with each frame; no cursor is left where the state must be fetched anew. */
  async #follow(signal, onProgress) {
    const ending = new AbortController();
    const stop = () => ending.abort();
    signal.addEventListener("abort", stop);
    try {
      await readStream(this.#cursor, {
        signal: ending.signal,
        onOpen: () => this.#store.dispatch({ type: "connection", live: true }),
        onFrame: ({ cursor, type, data }) => {
          if (ending.signal.aborted) return;
          if (type === "resync" || (cursor && cursor.epoch !== this.#cursor.epoch)) {
            this.#cursor = null;
            stop();
            return;
          }
          if (cursor?.seq <= this.#cursor.seq) return;
          this.#cursor = cursor ?? this.#cursor;
          onProgress();
          this.#store.dispatch({ type, data });
        },
      });
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async #snapshot(signal) {
    const snapshot = await api.getState(signal);
    const inbox = await api.getInbox(signal);
    if (snapshot.now !== null) setHiveClock(snapshot.now);
    const { generation, messages: before } = this.#store.state;
    this.#store.dispatch({ type: "snapshot", snapshot, inbox: inbox.messages });
    if (generation > 0) await this.#recheck(before, snapshot.messages.at(-1)?.id ?? 0);
    if (!AGENT) this.#doing(snapshot.agents);
    return { epoch: String(snapshot.epoch), seq: snapshot.seq };
  }

  /** Messages that are older than the snapshot may have changed while nobody listened. */
  async #recheck(before, first) {
    const open = before.filter((message) => message.id < first && isOpen(message));
    if (open.length > RECHECKED) {
      this.#store.dispatch({ type: "messages/forgotten", before: first });
      return;
    }
    const found = await Promise.all(open.map((message) => api.getMessage(message.id)));
    this.#store.dispatch({ type: "messages/loaded", messages: found.filter(Boolean) });
  }

  /** The last event of each agent at work, so that its row says what it does before the next event comes. */
  #doing(agents) {
    const busy = agents.filter(({ state }) => state === "thinking" || state === "compacting");
    for (const { name } of busy) {
      api.getEvents(name, { limit: 1 }).then(
        ({ events }) => events.length && this.#store.dispatch({ type: "events/latest", agent: name, event: events[0] }),
        () => {}, // the row does without
      );
    }
  }

  async #pause(milliseconds, signal) {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      signal.addEventListener("abort", this.#wake, { once: true });
    });
    this.#wake = () => {};
  }
}
