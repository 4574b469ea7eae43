// Browser notifications: what is new and waits for the operator, each once, however many tabs are open or reloaded.

import { keep, kept } from "./keep.js";
import { enabled, muted } from "./notify-choice.js";
import { isUnread } from "./store.js";
import { firstLine, visible } from "./text.js";

const TOLD = "hyperhive.told";
/** Things that are remembered as told. */
const KEPT = 400;

const TITLES = {
  approval: (agent) => `${agent} asks for approval`,
  question: (agent) => `${agent} asks you`,
  needs_login: (agent) => `${agent} needs a login`,
  crash: (agent) => `${agent} crashed`,
  deploy_failed: (agent) => `A deployment to ${agent} failed`,
};

/** What could be told of a state: `{key, tag, title, body, view}`; a thing that happens again has another key and the same tag. */
export function newsOf({ hive, waiting, inbox, questions }) {
  const items = waiting
    .filter(({ kind }) => kind in TITLES)
    .map(({ id, kind, since, ref, agent, title }) => ({
      key: `${id}@${since}@${kind === "crash" ? ref : ""}`,
      tag: `hyperhive:${hive}:${id}`,
      title: TITLES[kind](visible(agent ?? "somebody")),
      body: firstLine(kind === "question" ? (questions[ref]?.text ?? title) : title),
      view: "#swarm",
    }));
  const mail = Object.values(inbox)
    .filter(isUnread)
    .map(({ id, from, body }) => ({
      key: `message-${id}`,
      tag: `hyperhive:${hive}:message-${id}`,
      title: `${visible(from)} wrote to you`,
      body: firstLine(body),
      view: "#inbox",
    }));
  return [...items, ...mail];
}

/** Marks a thing as told. Every tab of this browser asks here, one after the other, and only the first is told yes. */
async function claim(key) {
  const look = () => {
    const told = JSON.parse(kept(TOLD) ?? "[]");
    if (told.includes(key)) return false;
    keep(TOLD, JSON.stringify([...told, key].slice(-KEPT)));
    return true;
  };
  return navigator.locks ? navigator.locks.request(TOLD, look) : look();
}

async function show({ tag, title, body, view }) {
  const options = { tag, body, icon: new URL("icon.svg", import.meta.url).href, data: { view } };
  try {
    const notification = new Notification(title, options);
    notification.onclick = () => {
      focus();
      location.hash = view;
      notification.close();
    };
  } catch {
    // Phones show them through a worker only.
    const worker = new URL("notify-worker.js", import.meta.url);
    await navigator.serviceWorker.register(worker);
    const registration = await navigator.serviceWorker.getRegistration(worker);
    await registration?.showNotification(title, options);
  }
}

/** Follows the state of a page and tells what is new since notifications were first wanted in it. */
export class Notifier {
  #known = null;

  /** @param {object} state before the first thing that may be told */
  constructor(state) {
    this.look(state);
  }

  /** @param {object} state of the store */
  look(state) {
    if (state.phase !== "ready") return;
    const news = newsOf(state);
    const fresh = this.#known ? news.filter(({ key }) => !this.#known.has(key)) : [];
    this.#known = new Set([...(this.#known ?? []), ...news.map(({ key }) => key)]);
    if (enabled() && !muted()) for (const item of fresh) this.#tell(item);
  }

  async #tell(item) {
    if (await claim(item.key)) await show(item).catch((error) => console.warn("a notification was not shown", error));
  }
}
