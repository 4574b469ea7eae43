// Instants as people read them. One timer for the whole page: every second it sets the text of the ages that are
// shown and nothing else, so that a clock never causes a rendering.

import { Still, html } from "./page.js";

const ages = new Set();
let skew = 0;

/** Takes the hive's clock as the true one, where this machine's differs by more than the resolution of an answer. */
export function setHiveClock(now) {
  const difference = now - Date.now();
  skew = Math.abs(difference) > 2000 ? difference : 0;
}

/**
 * A span in one or two units: `8s`, `2m 05s`, `3h 10m`, `2d 4h`.
 * @param {number} milliseconds
 */
export function span(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [days, hours, minutes] = [seconds / 86400, seconds / 3600, seconds / 60].map(Math.floor);
  const two = (value) => String(value).padStart(2, "0");
  if (days) return `${days}d ${hours % 24}h`;
  if (hours) return `${hours}h ${two(minutes % 60)}m`;
  return minutes ? `${minutes}m ${two(seconds % 60)}s` : `${seconds}s`;
}

/** A span that needs tenths: how long something took. */
export const took = (milliseconds) =>
  milliseconds < 10_000 ? `${(milliseconds / 1000).toFixed(1)}s` : span(milliseconds);

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const exactClock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long", hourCycle: "h23" });

const formatted = (format, at) => {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "" : format.format(date);
};

/** The day of an instant, in words. */
export const dayOf = (at) => formatted(day, at);

/** A time of day; the whole date is its tooltip. */
export const Clock = ({ at, exact = false }) =>
  html`<time class="clock" datetime=${at} title=${formatted(full, at)}>${formatted(exact ? exactClock : clock, at)}</time>`;

/** How long ago, or how long until, an instant is; it ticks. */
export class Age extends Still {
  #element = null;
  #keep = (element) => (this.#element = element ?? this.#element);

  componentDidMount() {
    ages.add(this);
    this.tick();
  }

  componentDidUpdate() {
    this.tick();
  }

  componentWillUnmount() {
    ages.delete(this);
  }

  tick() {
    const now = Date.now() + skew;
    const at = new Date(this.props.at).getTime();
    const text = Number.isNaN(at) ? "" : span(this.props.until ? at - now : now - at);
    if (this.#element.textContent !== text) this.#element.textContent = text;
  }

  render({ at }) {
    return html`<time class="age" ref=${this.#keep} datetime=${at} title=${formatted(full, at)}></time>`;
  }
}

setInterval(() => {
  if (!document.hidden) for (const age of ages) age.tick();
}, 1000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) for (const age of ages) age.tick();
});
