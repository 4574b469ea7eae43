// What the page knows: one immutable state, one reducer for the snapshot, the stream and what was loaded besides.
// It never guesses: what stands in it was said by the hive, and only `connection` says how fresh that is.

/** Messages that stay in memory unless the operator asks for older ones. */
const KEPT_MESSAGES = 600;
/** Events that stay in memory for an agent whose events were opened; the hive keeps as many. */
export const KEPT_EVENTS = 2000;

export const OPERATOR = "operator";
export const EVERYONE = "*";

/** The state before anything was heard. */
export const EMPTY = {
  phase: "loading", // loading | signin | ready
  refusal: null, // why a token was not taken
  connection: { live: false, reason: null, since: Date.now() },
  generation: 0, // counts snapshots: what was loaded besides them is loaded again
  hive: "",
  operator: { name: "" },
  runtime: "",
  version: "",
  warnings: [],
  agents: {}, // by name
  messages: [], // oldest first
  floors: { "": 0 }, // by filter: from which id on its messages are known without a hole; 0: from the first
  room: KEPT_MESSAGES,
  inbox: {}, // what was sent to the operator, by id
  waiting: [],
  questions: {}, // open ones, and those that were settled since the snapshot, by id
  approvals: {}, // open ones, by id
  usage: {}, // of the whole hive: {today, budget}
  decisions: 0, // counts what may have changed tombstones and the history of decisions
  failures: {}, // by agent: why the last thing that was asked of it failed
  events: {}, // by agent, oldest first: {items, complete}, only for agents whose events were opened
  latest: {}, // by agent: its last event
};

/** Whether a message to the operator was not acked yet. */
export const isUnread = (message) => message.state === "waiting" && !message.deadLetter;

/** Whether something may still become of a message. */
export const isOpen = (message) => message.state === "waiting" || message.state === "held";

/** Mail has its own place: the inbox and its count. */
const blocked = (items) => (items ?? []).filter(({ kind }) => kind !== "mail");

/** Agents in alphabetical order, the manager first. */
export const agentsOf = (state) =>
  Object.values(state.agents).sort(
    (a, b) => (b.role === "manager") - (a.role === "manager") || a.name.localeCompare(b.name),
  );

/** The messages of one filter ("" is all), oldest first, without those from before a hole. */
export function flowOf(state, filter) {
  const floor = state.floors[filter] ?? state.floors[""];
  return state.messages.filter(
    (message) => message.id >= floor && (!filter || message.from === filter || message.to === filter),
  );
}

/**
 * The next state. Pure.
 * @param {typeof EMPTY} state
 * @param {{type: string}} action
 */
export function reduce(state, action) {
  const handler = HANDLERS[action.type];
  return handler ? handler(state, action) : state;
}

const HANDLERS = {
  signin: (state, { refusal }) => ({ ...state, phase: "signin", refusal: refusal ?? null }),
  loading: (state) => ({ ...state, phase: "loading", refusal: null }),
  connection(state, { live, reason = null }) {
    const { connection } = state;
    if (connection.live === live && connection.reason === reason) return state;
    return { ...state, connection: { live, reason, since: connection.live === live ? connection.since : Date.now() } };
  },
  snapshot: takeSnapshot,
  "messages/loaded": loadMessages,
  "messages/forgotten": (state, { before }) => ({
    ...state,
    messages: state.messages.filter((message) => message.id >= before),
    floors: { "": before },
  }),
  "events/loaded": loadEvents,
  "events/latest": (state, { agent, event }) =>
    state.latest[agent]?.seq >= event.seq ? state : { ...state, latest: { ...state.latest, [agent]: event } },

  agent(state, { data }) {
    const known = data.name in state.agents;
    const decisions = state.decisions + !known;
    if (!data.removed) return { ...state, decisions, agents: { ...state.agents, [data.name]: data } };
    const { [data.name]: _gone, ...agents } = state.agents;
    return { ...state, decisions: state.decisions + 1, agents };
  },
  message: (state, { data }) => trimmed(withMessages(state, [data])),
  waiting: (state, { data }) => ({ ...state, waiting: blocked(data.waiting) }),
  usage: (state, { data }) => ({ ...state, usage: data }),
  warnings: (state, { data }) => ({ ...state, warnings: data.warnings ?? [] }),
  question: (state, { data }) => ({
    ...state,
    questions: { ...state.questions, [data.id]: data },
    decisions: state.decisions + (data.status !== "open"),
  }),
  approval(state, { data }) {
    const { [data.id]: _before, ...others } = state.approvals;
    const open = data.status === "building" || data.status === "pending";
    return { ...state, approvals: open ? { ...others, [data.id]: data } : others, decisions: state.decisions + !open };
  },
  operation(state, { data }) {
    const { [data.agent]: _before, ...failures } = state.failures;
    if (data.status === "failed") failures[data.agent] = `${data.kind} failed: ${data.error ?? "no reason was given"}`;
    return { ...state, failures, decisions: state.decisions + Boolean(data.endedAt) };
  },
  event(state, { data }) {
    const log = state.events[data.agent];
    const latest = { ...state.latest, [data.agent]: data };
    if (!log) return { ...state, latest };
    return { ...state, latest, events: { ...state.events, [data.agent]: withEvents(log, [data]) } };
  },
};

const byId = (rows) => Object.fromEntries((rows ?? []).map((row) => [row.id, row]));

function takeSnapshot(state, { snapshot, inbox }) {
  const recent = [...snapshot.messages].reverse();
  const first = recent[0]?.id ?? Infinity;
  const older = state.messages.filter((message) => message.id < first);
  const newest = state.messages.at(-1)?.id ?? -1;
  // Without an overlap there is a hole of unknown size, so that the older ones can no longer be shown as one flow.
  const joined = state.generation > 0 && newest >= first;
  const begins = snapshot.messages.length < 100 ? 0 : first;
  const next = {
    ...state,
    phase: "ready",
    refusal: null,
    generation: state.generation + 1,
    hive: snapshot.hive.name,
    operator: snapshot.operator ?? EMPTY.operator,
    runtime: snapshot.hive.runtime,
    version: snapshot.hive.version,
    warnings: snapshot.warnings ?? [],
    agents: Object.fromEntries(snapshot.agents.map((agent) => [agent.name, agent])),
    messages: joined ? older : [],
    floors: joined ? state.floors : { "": begins },
    inbox: {},
    waiting: blocked(snapshot.waiting),
    questions: byId(snapshot.questions),
    approvals: byId(snapshot.approvals),
    usage: snapshot.usage ?? {},
    decisions: state.decisions + 1,
    failures: {},
    // Shown until they are loaded anew: `stale` is the last event before the gap.
    events: Object.fromEntries(Object.entries(state.events).map(([name, log]) => [name, { ...log, stale: log.items.at(-1)?.seq ?? -1 }])),
    latest: {},
  };
  return withMessages(withMessages(next, recent, state), inbox, state, false);
}

function loadMessages(state, { messages, filter, limit }) {
  const next = withMessages({ ...state, room: state.room + messages.length }, messages);
  if (filter === undefined) return next;
  const floor = messages.length < limit ? 0 : Math.min(...messages.map((message) => message.id));
  return { ...next, floors: { ...next.floors, [filter]: floor } };
}

function loadEvents(state, { agent, events, limit, latest: newest = false }) {
  const known = state.events[agent] ?? { items: [], complete: false };
  const log = newest ? rejoined(known, events, limit) : known;
  const next = withEvents(log, events.map((event) => ({ ...event, whole: true })).reverse());
  const latest = next.items.at(-1);
  return {
    ...state,
    latest: latest ? { ...state.latest, [agent]: latest } : state.latest,
    events: { ...state.events, [agent]: { ...next, complete: log.complete || events.length < limit } },
  };
}

/** A log from before a snapshot, as far as the newest events reach back to it; a hole in it would not be seen. */
function rejoined({ stale, ...log }, events, limit) {
  if (stale === undefined) return log;
  const [newest, oldest] = [events[0]?.seq ?? -1, events.length < limit ? -1 : events.at(-1).seq];
  if (newest >= stale && oldest <= stale) return log;
  return { items: newest >= stale ? log.items.filter(({ seq }) => seq > stale) : [], complete: false };
}

function withEvents(log, events) {
  const last = log.items.at(-1)?.seq ?? -1;
  const fresh = events.filter((event) => event.seq > last);
  if (fresh.length === events.length) return { ...log, items: [...log.items, ...fresh].slice(-KEPT_EVENTS) };
  const items = [...new Map([...log.items, ...events].map((event) => [event.seq, event])).values()];
  return { ...log, items: items.sort((a, b) => a.seq - b.seq).slice(-KEPT_EVENTS) };
}

/** `known` is where whole bodies may be found that come cut this time; `listed` is whether they belong to the flow. */
function withMessages(state, messages, known = state, listed = true) {
  const inbox = { ...state.inbox };
  let list = state.messages;
  for (const message of messages) {
    const whole = keepingBody(message, find(known.messages, message.id) ?? known.inbox[message.id]);
    if (whole.to === OPERATOR) inbox[whole.id] = whole;
    if (listed) list = inserted(list, whole);
  }
  return { ...state, messages: list, inbox };
}

function keepingBody(message, before) {
  if (!message.truncated || !before || before.truncated) return message;
  return { ...message, body: before.body, truncated: false };
}

function find(list, id) {
  const index = position(list, id);
  return list[index]?.id === id ? list[index] : undefined;
}

function position(list, id) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle].id < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

function inserted(list, message) {
  const index = position(list, message.id);
  return list.toSpliced(index, list[index]?.id === message.id ? 1 : 0, message);
}

function trimmed(state) {
  if (state.messages.length <= state.room) return state;
  const messages = state.messages.slice(-Math.ceil(state.room * 0.8));
  const first = messages[0].id;
  const floors = Object.fromEntries(Object.entries(state.floors).map(([key, id]) => [key, Math.max(id, first)]));
  const inbox = Object.fromEntries(
    Object.entries(state.inbox).filter(([, message]) => message.id >= first || isUnread(message)),
  );
  return { ...state, messages, floors, inbox };
}

/** Milliseconds for which the words about what agents do may be behind. */
const LAZY = 250;

/** Whether an action changes nothing but the one line about what an agent does. */
const isSmall = ({ type, data }, state) => type === "event" && !state.events[data.agent];

/** Holds the state and tells listeners, at most once a frame: a burst of events is one rendering. */
export class Store {
  state = EMPTY;
  #listeners = new Set();
  #timer = null;
  #framed = false;

  dispatch(action) {
    const next = reduce(this.state, action);
    if (next === this.state) return;
    this.state = next;
    if (this.#framed) return;
    // A hidden tab draws no frames, but its title goes on counting.
    if (document.hidden || isSmall(action, next)) {
      this.#timer ??= setTimeout(this.#tell, LAZY);
      return;
    }
    this.#framed = true;
    requestAnimationFrame(this.#tell);
    // Hidden before it could draw: then the frame does not come.
    this.#timer ??= setTimeout(this.#tell, LAZY * 2);
  }

  #tell = () => {
    if (this.#timer === null && !this.#framed) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#framed = false;
    for (const listener of this.#listeners) listener(this.state);
  };

  /** @returns {() => void} ends the subscription */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
