// The dashboard: puts the parts together and decides which of them are looked at. Every view stays mounted, because
// what is out of sight must keep its scroll position, its opened sections and what was typed.

import { Agents } from "./agents.js";
import { Announcer } from "./announce.js";
import { Compose } from "./compose.js";
import { Graves } from "./graves.js";
import { Header } from "./header.js";
import { Inbox } from "./inbox.js";
import { Messages } from "./messages.js";
import { Name } from "./names.js";
import { Notifications } from "./notifications.js";
import { enabled } from "./notify-choice.js";
import { Component, html, later, render } from "./page.js";
import { Session } from "./session.js";
import { Store, agentsOf, isUnread } from "./store.js";
import { takeFromAddress } from "./token.js";
import { currentView, goTo, linkTo, watchView } from "./view.js";
import { Waiting } from "./waiting.js";

const AgentView = later(() => import("./agent-view.js"), "AgentView");
const History = later(() => import("./history.js"), "History");
const Usage = later(() => import("./usage.js"), "Usage");
const SignIn = later(() => import("./signin.js"), "SignIn");

const WIDE = matchMedia("(min-width: 60rem)");

class App extends Component {
  state = { known: this.props.store.state, view: currentView(), opened: "", filter: "", jump: 0, wide: WIDE.matches };
  #compose = null;
  #notifier = null; // not before notifications are wanted
  #history = false; // stays once it was looked at
  #usage = false;
  #agents = { of: null, list: [] };

  constructor(props) {
    super(props);
    const { view } = this.state;
    this.state.opened = view.name === "agent" ? view.agent : "";
    this.state.filter = view.name === "messages" ? view.agent : "";
  }

  componentDidMount() {
    const { store, session } = this.props;
    store.subscribe((known) => {
      if (enabled()) this.#tell(known);
      this.setState({ known });
    });
    WIDE.addEventListener("change", () => this.setState({ wide: WIDE.matches }));
    watchView(this.#look, () => session.start());
    session.start();
    this.#title();
  }

  componentDidUpdate() {
    this.#title();
  }

  #look = (view) => {
    if (view.name === "agent") this.setState({ view, opened: view.agent });
    else if (view.name === "messages") this.setState({ view, filter: view.agent });
    else this.setState({ view });
  };

  /** Tells what is new since notifications were first wanted in this page. */
  async #tell(known) {
    const before = this.state.known;
    this.#notifier ??= import("./notify.js").then(({ Notifier }) => new Notifier(before));
    (await this.#notifier).look(known);
  }

  /** The same list for the same agents, so that what shows them can tell. */
  #sorted(known) {
    if (this.#agents.of !== known.agents) this.#agents = { of: known.agents, list: agentsOf(known) };
    return this.#agents.list;
  }

  #title() {
    const { hive, waiting, inbox } = this.state.known;
    const count = waiting.length + Object.values(inbox).filter(isUnread).length;
    const title = `${count ? `(${count}) ` : ""}${hive || "hyperhive"}`;
    if (document.title !== title) document.title = title;
  }

  #mounted = (compose) => (this.#compose = compose);
  #reply = (message) => this.#compose.replyTo(message);
  #close = () => {
    this.setState({ opened: "" });
    goTo(this.state.wide ? "messages" : "swarm", this.state.wide ? this.state.filter : "");
  };
  #sent = () => this.setState(({ jump }) => ({ jump: jump + 1 }));
  #signOut = () => this.props.session.signOut();

  render({ session }, { known, view, opened, filter, jump, wide }) {
    if (known.phase === "signin") return html`<${SignIn} refusal=${known.refusal} session=${session} />`;
    const agents = this.#sorted(known);
    const names = agents.map(({ name }) => name);
    const unread = Object.values(known.inbox).filter(isUnread).length;
    // A wide window has the swarm beside everything else; a narrow one shows one view at a time.
    const shown = view.name === "" || (wide && view.name === "swarm") ? (wide ? "messages" : "swarm") : view.name;
    const pane = (name) => `pane pane-${name} ${shown === name ? "shown" : ""}`;
    return html`<div class="frame ${known.connection.live ? "" : "stale"}" data-phase=${known.phase}>
      <${Header}
        hive=${known.hive}
        runtime=${known.runtime}
        version=${known.version}
        connection=${known.connection}
        warnings=${known.warnings}
        onSignOut=${this.#signOut}
      />
      <nav class="tabs" aria-label="Views">
        ${!wide && tab("swarm", "", "Swarm", known.waiting.length, shown === "swarm")}
        ${tab("messages", filter, "Messages", 0, shown === "messages")}
        ${tab("inbox", "", "Inbox", unread, shown === "inbox")}
        ${tab("history", "", "History", 0, shown === "history")}
        ${tab("usage", "", "Usage", 0, shown === "usage")}
        ${opened && tab("agent", opened, html`<${Name} name=${opened} />`, 0, shown === "agent")}
      </nav>
      <div class="swarm pane ${wide || shown === "swarm" ? "shown" : ""}">
        ${known.phase === "loading" && html`<p class="muted nothing" role="status">Asking the hive… ${known.connection.reason}</p>`}
        ${known.phase === "ready" &&
        html`<div class="side">
            <${Notifications} />
            <${Waiting} items=${known.waiting} questions=${known.questions} approvals=${known.approvals} usage=${known.usage} unread=${unread} agents=${known.agents} session=${session} />
          </div>
          <${Agents} agents=${agents} latest=${known.latest} failures=${known.failures} shown=${shown === "agent" ? opened : ""} session=${session} />
          <${Graves} decisions=${known.decisions} session=${session} />`}
      </div>
      <main class="main">
        <div class=${pane("messages")}>
          <${Messages}
            messages=${known.messages}
            floors=${known.floors}
            phase=${known.phase}
            generation=${known.generation}
            names=${names.join(" ")}
            filter=${filter}
            session=${session}
            jump=${jump}
            onReply=${this.#reply}
          />
        </div>
        <div class=${pane("inbox")}><${Inbox} inbox=${known.inbox} session=${session} onReply=${this.#reply} /></div>
        ${(shown === "history" || this.#history) &&
        html`<div class=${pane("history")}><${History} decisions=${known.decisions} shown=${(this.#history = true) && shown === "history"} session=${session} /></div>`}
        ${(shown === "usage" || this.#usage) &&
        html`<div class=${pane("usage")}><${Usage} today=${known.usage} shown=${(this.#usage = true) && shown === "usage"} session=${session} /></div>`}
        ${opened &&
        html`<div class=${pane("agent")}>
          <${AgentView}
            key=${opened}
            name=${opened}
            agent=${known.agents[opened]}
            log=${known.events[opened]}
            generation=${known.generation}
            session=${session}
            onClose=${this.#close}
          />
        </div>`}
      </main>
      <${Compose}
        onMount=${this.#mounted}
        names=${names}
        session=${session}
        onSent=${this.#sent}
      />
      <${Announcer} messages=${known.messages} generation=${known.generation} />
    </div>`;
  }
}

const tab = (name, agent, label, count, current) =>
  html`<a key=${name} href=${linkTo(name, agent)} aria-current=${current ? "page" : undefined}>
    ${label}${count > 0 && html` <span class="count">${count}</span>`}
  </a>`;

takeFromAddress();
const store = new Store();
const session = new Session(store);
render(html`<${App} store=${store} session=${session} />`, document.getElementById("app"));
