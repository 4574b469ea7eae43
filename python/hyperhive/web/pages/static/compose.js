// The compose box. What is typed here is the operator's: no update of the page touches it, an error leaves it where it
// is, a reload brings it back, and one message has one idempotency key however often it is tried.

import { Problem } from "./actions.js";
import { newKey, sendMessage } from "./api.js";
import { keep, kept } from "./keep.js";
import { Component, html } from "./page.js";
import { EVERYONE } from "./store.js";

const KEY = "hyperhive.draft";
const SHOWN = 8;

const emptyDraft = () => ({ to: "", text: "", inReplyTo: null, attempt: null });

const drafts = () => sessionStorage;
const keptDraft = () => ({ ...emptyDraft(), ...JSON.parse(kept(KEY, drafts) ?? "{}") });

/** Recipients that begin with what was typed, then those that contain it. */
function matching(names, typed) {
  const all = [EVERYONE, ...names];
  const begins = all.filter((name) => name.startsWith(typed));
  const contains = all.filter((name) => typed && !name.startsWith(typed) && name.includes(typed));
  const found = [...begins, ...contains];
  if (typed === "") found.push(found.shift()); // everyone last, unless it was typed
  return found.slice(0, SHOWN);
}

/** Properties: `names` of the agents, `session`, `onSent`; `onMount` is given the component, for its `replyTo`. */
export class Compose extends Component {
  state = { ...keptDraft(), sending: false, error: null, token: null, chosen: 0 };
  #input = null;
  #kept = "";

  /** Answers a message: to its sender, without taking away what was typed. */
  replyTo(message) {
    const to = message.from === "operator" ? message.to : message.from;
    this.#change({ to, inReplyTo: { id: message.id, from: message.from } });
    this.#input.focus();
  }

  componentDidMount() {
    this.props.onMount(this);
    this.#fit();
  }

  componentDidUpdate() {
    this.#fit();
    const { to, text, inReplyTo, attempt } = this.state;
    const draft = JSON.stringify({ to, text, inReplyTo, attempt });
    if (draft !== this.#kept) keep(KEY, (this.#kept = draft), drafts);
  }

  /** As high as the text, up to a third of the window. */
  #fit() {
    const input = this.#input;
    if (input.dataset.fits === input.value) return;
    input.dataset.fits = input.value.length < 5000 ? input.value : "";
    input.style.height = "auto";
    input.style.height = `${Math.min(input.scrollHeight + 2, Math.max(96, innerHeight / 3))}px`;
  }

  #change(change) {
    this.setState({ ...change, error: null });
  }

  /** The `@…` that the caret stands in, if it stands in one. */
  #tokenAt(text, caret) {
    const found = /(^|\s)@([a-z0-9*-]*)$/i.exec(text.slice(0, caret));
    return found && { from: caret - found[2].length - 1, to: caret, typed: found[2].toLowerCase() };
  }

  /** `@name ` at the beginning becomes the recipient as soon as it is complete. */
  #settled(text, caret) {
    const found = /^\s*@([a-z0-9-]+|\*)\s/i.exec(text);
    const name = found?.[1].toLowerCase();
    if (!found || caret < found[0].length || !(name === EVERYONE || this.props.names.includes(name))) return null;
    return { to: name, text: text.slice(found[0].length), caret: caret - found[0].length };
  }

  #typed = (event) => {
    const { value, selectionStart } = event.target;
    if (event.isComposing) {
      this.#change({ text: value, token: null });
      return;
    }
    const settled = this.#settled(value, selectionStart);
    if (settled) {
      this.#change({ to: settled.to, text: settled.text, token: null });
      this.#putCaret(settled.text, settled.caret);
    } else this.#change({ text: value, token: this.#tokenAt(value, selectionStart), chosen: 0 });
  };

  #moved = (event) => {
    if (event.isComposing || !this.state.token) return;
    const { value, selectionStart } = event.target;
    const token = this.#tokenAt(value, selectionStart);
    if (token?.typed !== this.state.token.typed) this.setState({ token, chosen: 0 });
  };

  #putCaret(text, caret) {
    // At once, so that the next key lands behind it: the rendering comes later and then finds the same text.
    this.#input.value = text;
    this.#input.setSelectionRange(caret, caret);
  }

  #complete(name) {
    const { text, token } = this.state;
    const before = text.slice(0, token.from);
    if (before.trim() === "") {
      const rest = text.slice(token.to).trimStart();
      this.#change({ to: name, text: rest, token: null });
      this.#putCaret(rest, 0);
    } else {
      const next = `${before}@${name} ${text.slice(token.to).trimStart()}`;
      this.#change({ text: next, token: null });
      this.#putCaret(next, before.length + name.length + 2);
    }
    this.#input.focus();
  }

  #keys = (event) => {
    // 229: some browsers end a composition before they report its Enter.
    if (event.isComposing || event.keyCode === 229) return;
    const { token, chosen } = this.state;
    const found = token ? matching(this.props.names, token.typed) : [];
    if (found.length) {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) this.setState({ chosen: (chosen + step + found.length) % found.length });
      else if (event.key === "Enter" || event.key === "Tab") this.#complete(found[Math.min(chosen, found.length - 1)]);
      else if (event.key === "Escape") this.setState({ token: null });
      else return;
      event.preventDefault();
    } else if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      this.#send();
    }
  };

  #submit = (event) => {
    event.preventDefault();
    this.#send();
  };

  /** What is to be sent, or why it cannot be. */
  #message() {
    const { to, text, inReplyTo } = this.state;
    const { names } = this.props;
    const mention = /^\s*@(\S*)\s*/.exec(text);
    const named = mention?.[1].toLowerCase();
    if (mention && (named === EVERYONE || names.includes(named))) {
      return { to: named, body: text.slice(mention[0].length), inReplyTo };
    }
    if (mention && !to) return { error: `There is no agent called “${mention[1]}”. There are: ${names.join(", ") || "none"}` };
    if (!to) return { error: "Say who it is for: begin with @name, or @* for everyone" };
    return { to, body: text, inReplyTo };
  }

  async #send() {
    if (this.state.sending) return;
    const { error, to, body, inReplyTo } = this.#message();
    if (error) {
      this.setState({ error: new Error(error) });
      return;
    }
    if (!body.trim()) {
      if (to !== this.state.to) this.#change({ to, text: "" });
      else this.setState({ error: new Error("There is nothing written yet") });
      return;
    }
    const says = JSON.stringify([to, body, inReplyTo?.id ?? null]);
    const attempt = this.state.attempt?.says === says ? this.state.attempt : { says, key: newKey() };
    this.setState({ attempt, sending: true, error: null, token: null });
    try {
      const message = { to, body, idempotencyKey: attempt.key };
      if (inReplyTo) message.inReplyTo = inReplyTo.id;
      await this.props.session.do(() => sendMessage(message));
      this.setState({ ...emptyDraft(), to, sending: false });
      this.props.onSent();
    } catch (failure) {
      this.setState({ sending: false, error: failure });
    }
  }

  render({ names }, { to, text, inReplyTo, sending, error, token, chosen }) {
    const found = token ? matching(names, token.typed) : [];
    const options = to && to !== EVERYONE && !names.includes(to) ? [...names, to] : names;
    const active = Math.min(chosen, found.length - 1);
    return html`<form class="compose" aria-label="Write a message" onSubmit=${this.#submit}>
      ${inReplyTo &&
      html`<p class="replying small">
        Replying to message ${inReplyTo.id}${" "}
        <button type="button" class="quiet" onClick=${() => this.#change({ inReplyTo: null })}>Not a reply</button>
      </p>`}
      <div class="compose-row">
        <select class="to" aria-label="To" value=${to} onChange=${(event) => this.#change({ to: event.target.value })}>
          <option value="">to …</option>
          ${options.map((name) => html`<option key=${name} value=${name}>@${name}</option>`)}
          <option value=${EVERYONE}>@* everyone</option>
        </select>
        <div class="field">
          ${found.length > 0 &&
          html`<ul class="completion plain" id="completion" role="listbox" aria-label="Recipients">
            ${found.map(
              (name, index) => html`<li
                key=${name}
                id=${`completion-${index}`}
                role="option"
                aria-selected=${String(index === active)}
                onPointerDown=${(event) => {
                  event.preventDefault();
                  this.#complete(name);
                }}
              >
                @${name}${name === EVERYONE && html` <span class="muted">everyone</span>`}
              </li>`,
            )}
          </ul>`}
          <textarea
            ref=${(input) => (this.#input = input ?? this.#input)}
            rows="1"
            dir="auto"
            aria-label="Message"
            aria-autocomplete="list"
            aria-controls=${found.length ? "completion" : undefined}
            aria-activedescendant=${found.length ? `completion-${active}` : undefined}
            aria-invalid=${String(Boolean(error))}
            placeholder=${to ? "Message" : "@name message"}
            value=${text}
            readonly=${sending}
            onInput=${this.#typed}
            onKeyDown=${this.#keys}
            onKeyUp=${this.#moved}
            onClick=${this.#moved}
            onCompositionEnd=${this.#typed}
            onBlur=${() => this.setState({ token: null })}
          ></textarea>
        </div>
        <button class="primary" aria-disabled=${String(sending)}>${sending ? "Sending…" : "Send"}</button>
      </div>
      <${Problem} error=${error} />
    </form>`;
  }
}
