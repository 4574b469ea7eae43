// The operator API, continued: the routes of what is opened now and then, so that a first load does not carry them.

import { call, json, of, operation, query, segment } from "./api.js";

/** @param {"start"|"code"|"cancel"} step of signing in; what follows is told by the agent's row */
export const login = (agent, step, body = {}) => json("POST", `${of(agent)}login/${step}`, { body });

/** The last lines of what an agent's harness printed, oldest first: `{lines}`. */
export const getJournal = (agent, lines, signal) => json("GET", `${of(agent)}journal?${query({ lines })}`, { signal });

/** The same, and on from there: a Response whose body goes on. */
export const getJournalStream = (agent, lines, signal) =>
  call("GET", `${of(agent)}journal/stream?${query({ lines })}`, { signal, accept: "text/event-stream" });

/** What an agent is configured by: `{files, note}`. */
export const getConfig = (agent) => json("GET", `${of(agent)}config`);

/** An agent's row with what is counted only when somebody asks, the size of its directories. */
export const getAgent = (agent) => json("GET", of(agent).replace(/\/$/, ""));

/** What an agent has open: `{ends, unread}`. */
export const getOpenEnds = (agent) => json("GET", `${of(agent)}loose-ends`);

/** Reminders, newest first, and the schedules that are declared: `{reminders, schedules}`. */
export const getReminders = (filter) => json("GET", `reminders?${query(filter)}`);

export const cancelReminder = (id) => json("DELETE", `reminders/${segment(id)}`);

/** The address of an agent's own page, with the token for it: `{url}`. */
export const getPageUrl = (agent) => json("GET", `${of(agent)}page-url`);

/** What was used on the last days: `{usage, total, today, budget, day, timezone}`. */
export const getUsage = (filter) => json("GET", `usage?${query(filter)}`);

/** Allows an agent, or the hive as `*`, more or less for the rest of the day. */
export const allowToday = (scope, today) => json("POST", scope === "*" ? "budget" : `${of(scope)}budget`, { body: { today } });

/** One approval with the whole of its diffs and its log. */
export const getApproval = (id) => json("GET", `approvals/${segment(id)}`);

/** @param {"approve"|"deny"} verb what is said of an approval; a yes to a change names the `commit` that was shown */
export const decide = (id, verb, body) => json("POST", `approvals/${segment(id)}/${segment(verb)}`, { body });

/** Makes an agent: `{name, model, description, prompt}`, of which the name alone is needed. */
export const spawn = (body) => operation("agents", body);

export const revive = (name) => operation(`tombstones/${segment(name)}/revive`, {});

/** Wipes what is kept of an agent; asks for its name, because nothing brings that back. */
export const purge = (name, typed) => operation(`tombstones/${segment(name)}/purge`, { name: typed });

/** Who decided what, newest first: `{audit}`. */
export const getAudit = (filter) => json("GET", `audit?${query(filter)}`);
