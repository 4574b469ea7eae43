// An agent's events as they happen, behind those that are on record. Thousands are known, a few hundred are drawn: those
// at the end, and further ones as somebody scrolls up to them.

import { Button, Problem, useAction } from "./actions.js";
import { EventRow } from "./events.js";
import { Component, html, useEffect } from "./page.js";
import { Scroll } from "./scroll.js";
import { KEPT_EVENTS } from "./store.js";

/** Rows that are drawn at first, and by how many more the list grows. */
const DRAWN = 300;
const STEP = 300;

/**
 * Properties: `name` of the agent, `log` of its events, `generation` of the snapshot, `session`; `after`, the event up to
 * which nothing is shown; `notes`, rows of the page's own: `{id, after, row}`; `jump` as of Scroll.
 */
export function Terminal({ name, log, generation, session, after = -1, notes = [], jump }) {
  const [run, pending, error, forget] = useAction();
  // A new snapshot may hide a gap, so what was loaded before it is loaded again.
  useEffect(() => {
    run("load", () => session.record(name));
  }, [name, generation]);
  const items = log?.items ?? [];
  const more = log && !log.complete && items.length < KEPT_EVENTS;
  const earlier = () => !pending && run("earlier", () => session.events(name, { earlier: true }));
  return html`<${Rows} name=${name} items=${items} after=${after} notes=${notes} jump=${jump} session=${session} onFirst=${more ? earlier : null}>
    ${more && after < 0 && html`<${Button} class="quiet" off=${pending} onPress=${earlier}>${pending ? "Loading…" : "Load earlier events"}<//>`}
    ${log && !log.complete && !more && html`<span class="muted small">Older events are not kept here.</span>`}
    ${log?.complete && items.length > 0 && after < 0 && html`<span class="muted small">The record begins here.</span>`}
    ${log?.complete && items.length === 0 && html`<p class="muted nothing">No events yet. They appear here as they happen.</p>`}
    <${Problem} error=${error} onForget=${forget} />
  <//>`;
}

class Rows extends Component {
  /** `first` is the event from which on rows are drawn; null follows the end. */
  state = { first: null };

  #drawn() {
    const { items, after } = this.props;
    const { first } = this.state;
    const shown = after < 0 ? items : items.filter(({ seq }) => seq > after);
    if (first !== null) return shown.filter(({ seq }) => seq >= first);
    // Trimmed by steps, so that most events add one row and take none away.
    const spare = shown.length - DRAWN;
    return spare > 0 ? shown.slice(Math.floor(spare / STEP) * STEP) : shown;
  }

  #top = () => {
    const { items, onFirst } = this.props;
    const from = this.#drawn()[0]?.seq ?? Infinity;
    const index = items.findIndex(({ seq }) => seq >= from);
    if (index > 0) this.setState({ first: items[Math.max(0, index - STEP)].seq });
    else onFirst?.();
  };

  #end = (away) => this.setState({ first: away ? (this.#drawn()[0]?.seq ?? null) : null });

  #newer = (last) => this.props.items.filter(({ seq }) => seq > last).length;

  render({ name, items, notes, jump, session, children }) {
    const drawn = this.#drawn();
    const rows = drawn.map((event) => html`<${EventRow} key=${event.seq} event=${event} session=${session} />`);
    for (const note of [...notes].reverse()) {
      const place = drawn.findIndex(({ seq }) => seq > note.after);
      rows.splice(place < 0 ? rows.length : place, 0, html`<li key=${note.id} class="event local ${note.look ?? ""}">${note.row}</li>`);
    }
    const hidden = drawn.length > 0 && items.length > 0 && drawn[0].seq > items[0].seq;
    return html`<${Scroll}
      label=${`Events of ${name}`}
      last=${items.at(-1)?.seq}
      newer=${this.#newer}
      jump=${jump}
      onTop=${this.#top}
      onEnd=${this.#end}
    >
      <div class="earlier">
        ${hidden && !(this.props.after >= 0) ? html`<${Button} class="quiet" onPress=${this.#top}>Show earlier events<//>` : children}
      </div>
      <ol class="plain events">
        ${rows}
      </ol>
    <//>`;
  }
}
