// One agent's page: its state, its mail, its terminal as it happens, and a prompt. It is served on the agent's own port
// and below the dashboard, and asks for nothing but this agent.

import { Button, Problem, useAction } from "./actions.js";
import { Budget, Context, Cost, LastTurn, Operation, StateBadge, Until } from "./agent-facts.js";
import { act, newKey, sendMessage, setModel } from "./api.js";
import { Connection, Warnings } from "./header.js";
import { wantsLogin } from "./login.js";
import { Mail } from "./mail.js";
import { ModelPicker } from "./model-picker.js";
import { Name } from "./names.js";
import { Component, html, later, render } from "./page.js";
import { AGENT, ALONE, ICON } from "./place.js";
import { COMMANDS, Prompt } from "./prompt.js";
import { Session } from "./session.js";
import { Store } from "./store.js";
import { Terminal } from "./terminal.js";
import { Inline } from "./text.js";
import { Age, Clock } from "./time.js";
import { takeFromAddress } from "./token.js";

const Servers = later(() => import("./servers.js"), "Servers");
const LoginCard = later(() => import("./login-card.js"), "LoginCard");
const SignIn = later(() => import("./signin.js"), "SignIn");

/** Rows that the page itself adds to the terminal. */
const KEPT_NOTES = 50;

class App extends Component {
  state = { known: this.props.store.state, after: -1, notes: [], jump: 0, signed: false };
  #count = 0;

  componentDidMount() {
    const { store, session } = this.props;
    store.subscribe((known) => this.setState({ known }));
    addEventListener("hashchange", () => takeFromAddress() && session.start());
    session.start();
  }

  componentDidUpdate() {
    const { known } = this.state;
    const state = known.agents[AGENT]?.state;
    const title = `${state ? `${state === "thinking" ? "● " : ""}` : ""}${AGENT} · ${known.hive || "hyperhive"}`;
    if (document.title !== title) document.title = title;
  }

  /** The event that was the newest when something was typed. */
  #newest = () => this.state.known.events[AGENT]?.items.at(-1)?.seq ?? -1;

  #note(word, row, look = "") {
    const at = new Date().toISOString();
    const id = `note ${(this.#count += 1)}`;
    const line = html`<${Clock} at=${at} exact=${true} /><span class="kind">${word}</span><div class="content" role=${look === "bad" ? "alert" : "status"}>${row}</div>`;
    const note = { id, after: this.#newest(), row: line, look };
    this.setState(({ notes, jump }) => ({ notes: [...notes, note].slice(-KEPT_NOTES), jump: jump + 1 }));
  }

  #refused = (error) => this.#note("error", html`<${Inline} text=${`${error.message}${error.hint ? `. ${error.hint}` : ""}`} />`, "bad");

  /** One message has one key however often it is tried. */
  #attempt = { body: null, key: "" };

  #say = async (body) => {
    if (this.#attempt.body !== body) this.#attempt = { body, key: newKey() };
    const { id } = await this.props.session.do(() => sendMessage({ body, idempotencyKey: this.#attempt.key }));
    this.#attempt = { body: null, key: "" };
    this.#note("sent", html`<span class="muted">message ${id}</span>`);
  };

  #commands = {
    help: () =>
      this.#note(
        "help",
        html`<dl class="help">
          ${Object.entries(COMMANDS).map(([name, [takes, says]]) => html`<dt class="mono">/${name} ${takes}</dt><dd>${says}</dd>`)}
          <dt>Enter, Shift+Enter</dt><dd>send, a new line; a message that begins with / takes a space in front</dd>
          <dt>↑ ↓</dt><dd>what was sent before</dd>
        </dl>`,
      ),
    clear: () => this.setState({ after: this.#newest(), notes: [] }),
    cancel: () => this.#ask("The turn is cancelled", () => act(AGENT, "cancel")),
    compact: () => this.#ask("Compaction asked for", () => act(AGENT, "compact")),
    "new-session": () => this.#ask("The next turn begins a new session", () => act(AGENT, "new-session")),
    model: (name) =>
      name
        ? this.#ask(html`The next turn uses <${Inline} text=${name} />`, () => setModel(AGENT, name))
        : this.#note("model", html`<${Inline} text=${this.state.known.agents[AGENT]?.model ?? "not known"} />`),
  };

  async #ask(done, action) {
    try {
      const operation = await this.props.session.do(action);
      this.#note("command", html`${done}${operation && !operation.endedAt && html`<span class="muted">, under way</span>`}`);
    } catch (error) {
      this.#refused(error);
    }
  }

  #command = (name, argument) => {
    if (Object.hasOwn(this.#commands, name)) this.#commands[name](argument);
    else this.#refused(new Error(`There is no command /${name}. There are: ${Object.keys(COMMANDS).map((each) => `/${each}`).join(" ")}`));
  };

  render({ session }, { known, after, notes, jump }) {
    if (known.phase === "signin") return html`<${SignIn} refusal=${known.refusal} session=${session} />`;
    const agent = known.agents[AGENT];
    const open = Object.values(known.questions).filter(({ status }) => status === "open");
    this.state.signed ||= agent ? wantsLogin(agent) : false;
    return html`<div class="frame agent-frame ${known.connection.live ? "" : "stale"}" data-phase=${known.phase}>
      <${Top} agent=${agent} known=${known} session=${session} />
      <div class="desk">
        ${known.phase === "loading" && html`<p class="muted nothing" role="status">Asking the hive… ${known.connection.reason}</p>`}
        ${known.phase === "ready" && !agent && html`<p class="problem nothing" role="alert">There is no agent “${AGENT}” any more.</p>`}
        ${agent?.problem && html`<p class="problem"><${Inline} text=${agent.problem} /></p>`}
        ${agent && this.state.signed && html`<${LoginCard} agent=${agent} session=${session} />`}
        ${open.map(
          ({ id, to, text, askedAt }) => html`<p key=${id} class="asked small">
            waits for an answer of <${Name} name=${to} /> since <${Age} at=${askedAt} />: <${Inline} text=${text} />
          </p>`,
        )}
        ${agent?.mcpServers?.some(({ status }) => status !== "connected") && html`<${Servers} servers=${agent.mcpServers} />`}
        ${agent && html`<${Mail} messages=${known.messages} floors=${known.floors} session=${session} />`}
      </div>
      <main class="view terminal" aria-label="Terminal">
        <${Terminal} name=${AGENT} log=${known.events[AGENT]} generation=${known.generation} session=${session} after=${after} notes=${notes} jump=${jump} />
      </main>
      <${Prompt} name=${AGENT} onSay=${this.#say} onCommand=${this.#command} />
    </div>`;
  }
}

/** The state row. */
function Top({ agent, known, session }) {
  const [run, pending, error, forget] = useAction();
  const cancel = () => run("cancel", () => session.do(() => act(AGENT, "cancel")));
  return html`<header class="top">
    <div class="top-row">
      <h1>
        <img src=${ICON} alt="" width="22" height="22" />
        ${ALONE ? html`<${Inline} class="muted" text=${known.hive || "hyperhive"} />` : html`<a href="../../"><${Inline} text=${known.hive || "hyperhive"} /></a>`}
        <span class="muted" aria-hidden="true">/</span> <${Name} name=${AGENT} />
      </h1>
      <span class="top-facts"></span>
      <${Connection} connection=${known.connection} />
      <button type="button" class="quiet" onClick=${() => session.signOut()}>Sign out</button>
    </div>
    ${agent &&
    html`<div class="state-row">
      <${StateBadge} state=${agent.state} since=${agent.since} />
      ${agent.state === "thinking" &&
      html`<${Button} class="cancel" off=${pending} onPress=${cancel} aria-label=${`Cancel the turn of ${AGENT}`}><span aria-hidden="true">■</span> ${pending ? "Cancelling…" : "Cancel"}<//>`}
      <${ModelPicker} agent=${agent} session=${session} />
      ${agent.lastTurn && html`<span class="chip"><${LastTurn} turn=${agent.lastTurn} /></span>`}
      <${Context} usage=${agent.usage} />
      <${Cost} usage=${agent.usage} today=${agent.today} />
      <${Budget} budget=${agent.budget} />
      <${Until} until=${agent.until} />
      <${Operation} agent=${agent} />
      ${agent.statusText && html`<span class="says"><${Inline} text=${agent.statusText} /></span>`}
      <${Problem} error=${error} onForget=${forget} />
    </div>`}
    <${Warnings} warnings=${known.warnings} />
  </header>`;
}

takeFromAddress();
const store = new Store();
const session = new Session(store);
render(html`<${App} store=${store} session=${session} />`, document.getElementById("app"));
