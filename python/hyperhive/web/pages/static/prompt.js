// The prompt of an agent's page: a message to the agent, or a command. What is typed stays through updates, refusals and
// reloads; what was sent can be had again with the arrow keys.

import { Problem } from "./actions.js";
import { keep, kept } from "./keep.js";
import { MODELS } from "./model-picker.js";
import { Component, html } from "./page.js";

const KEPT = 100;
const inTab = () => sessionStorage;

/** Commands by name: what they take, and what they do. */
export const COMMANDS = {
  help: ["", "this list"],
  clear: ["", "empty this view; the record stays, and a reload brings it back"],
  cancel: ["", "end the running turn"],
  compact: ["", "shorten the session, keeping what matters"],
  model: ["NAME", "use another model from the next turn on"],
  "new-session": ["", "forget the conversation and begin a new one"],
};

/** What could be meant by what was typed so far: `{text, says}`. */
function completions(text) {
  const model = /^\/model\s+(\S*)$/.exec(text);
  if (model) return MODELS.filter((name) => name.startsWith(model[1]) && name !== model[1]).map((name) => ({ text: `/model ${name}`, says: "" }));
  if (!/^\/[a-z-]*$/.test(text)) return [];
  return Object.entries(COMMANDS)
    .filter(([name]) => `/${name}`.startsWith(text))
    .map(([name, [takes, says]]) => ({ text: `/${name}${takes && " "}`, says }));
}

/**
 * Properties: `name` of the agent; `onSay(text)` and `onCommand(name, argument)`, promises that reject with what went wrong.
 */
export class Prompt extends Component {
  #key = `hyperhive.prompt.${this.props.name}`;
  state = { text: kept(this.#key, inTab) ?? "", chosen: 0, closed: false, busy: false, error: null };
  #history = JSON.parse(kept(`${this.#key}.history`, inTab) ?? "[]");
  #at = null; // place in the history; null is what is being written
  #draft = "";
  #input = null;

  componentDidMount() {
    this.#fit();
  }

  componentDidUpdate() {
    this.#fit();
    keep(this.#key, this.state.text || null, inTab);
  }

  #fit() {
    const input = this.#input;
    if (input.dataset.fits === input.value) return;
    input.dataset.fits = input.value.length < 5000 ? input.value : "";
    input.style.height = "auto";
    input.style.height = `${Math.min(input.scrollHeight + 2, Math.max(96, innerHeight / 3))}px`;
  }

  focus() {
    this.#input.focus();
  }

  #write(text) {
    // At once, so that the next key lands behind it: the rendering comes later and then finds the same text.
    this.#input.value = text;
    this.#input.setSelectionRange(text.length, text.length);
    this.setState({ text, chosen: 0, closed: false, error: null });
  }

  #typed = (event) => {
    this.#at = null;
    this.setState({ text: event.target.value, chosen: 0, closed: false, error: null });
  };

  #offered() {
    const { text, closed } = this.state;
    return closed ? [] : completions(text);
  }

  #keys = (event) => {
    // 229: some browsers end a composition before they report its Enter.
    if (event.isComposing || event.keyCode === 229) return;
    const bare = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
    if (!bare) return;
    const offered = this.#offered();
    const choice = offered[Math.min(this.state.chosen, offered.length - 1)];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (choice && step) this.setState({ chosen: (this.state.chosen + step + offered.length) % offered.length });
    else if (choice && event.key === "Tab") this.#write(choice.text);
    else if (choice && event.key === "Enter" && choice.text.trim() !== this.#input.value.trim()) this.#write(choice.text);
    else if (choice && event.key === "Escape") this.setState({ closed: true });
    else if (event.key === "Enter") this.#submit();
    else if (!step || !this.#recall(step)) return;
    event.preventDefault();
  };

  /** The arrow keys leave the text only from its first or last line. */
  #recall(step) {
    const { value, selectionStart, selectionEnd } = this.#input;
    if (selectionStart !== selectionEnd) return false;
    if (step < 0 ? value.lastIndexOf("\n", selectionStart - 1) >= 0 && selectionStart > 0 : value.indexOf("\n", selectionEnd) >= 0) return false;
    const length = this.#history.length;
    const at = (this.#at ?? length) + step;
    if (at < 0 || at > length || (this.#at === null && step > 0)) return false;
    if (this.#at === null) this.#draft = value;
    const text = at === length ? this.#draft : this.#history[at];
    this.#at = at === length ? null : at;
    this.#write(text);
    this.setState({ closed: true });
    return true;
  }

  #remember(text) {
    this.#history = [...this.#history.filter((line) => line !== text), text].slice(-KEPT);
    this.#at = null;
    keep(`${this.#key}.history`, JSON.stringify(this.#history), inTab);
  }

  #submit = async (event) => {
    event?.preventDefault();
    const text = this.#input.value;
    if (this.state.busy || !text.trim()) return;
    const command = /^\/(\S*)\s*([\s\S]*)$/.exec(text);
    this.setState({ busy: true, error: null });
    try {
      if (command) {
        // A command says in the terminal how it ends, so the prompt is free at once.
        this.props.onCommand(command[1], command[2].trim());
      } else await this.props.onSay(text);
      this.#remember(text);
      this.#write("");
      this.setState({ busy: false });
    } catch (error) {
      this.setState({ busy: false, error });
    }
  };

  render({ name }, { text, chosen, busy, error }) {
    const offered = this.#offered();
    const active = Math.min(chosen, offered.length - 1);
    return html`<form class="compose prompt" aria-label=${`Write to ${name}`} onSubmit=${this.#submit}>
      <div class="compose-row">
        <div class="field">
          ${offered.length > 0 &&
          html`<ul class="completion plain" id="commands" role="listbox" aria-label="Commands">
            ${offered.map(
              ({ text: line, says }, index) => html`<li
                key=${line}
                id=${`command-${index}`}
                role="option"
                aria-selected=${String(index === active)}
                onPointerDown=${(event) => {
                  event.preventDefault();
                  this.#write(line);
                }}
              >
                <span class="mono">${line}</span> <span class="muted small">${says}</span>
              </li>`,
            )}
          </ul>`}
          <textarea
            ref=${(input) => (this.#input = input ?? this.#input)}
            rows="1"
            dir="auto"
            aria-label=${`Message to ${name}, or a command`}
            aria-autocomplete="list"
            aria-controls=${offered.length ? "commands" : undefined}
            aria-activedescendant=${offered.length ? `command-${active}` : undefined}
            placeholder=${`Message to ${name}, or /help`}
            value=${text}
            readonly=${busy}
            onInput=${this.#typed}
            onKeyDown=${this.#keys}
            onBlur=${() => this.setState({ closed: true })}
            onFocus=${() => this.setState({ closed: false })}
          ></textarea>
        </div>
        <button class="primary" aria-disabled=${String(busy)}>${busy ? "Sending…" : "Send"}</button>
      </div>
      <${Problem} error=${error} />
    </form>`;
  }
}
