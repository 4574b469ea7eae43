"""`Hive`: the parts of a running daemon, put together. What each does stands in its own module.

Here stands only what joins them: a change in the broker is told to the stream, an agent's socket gets its gate.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from hyperhive.hive import views
from hyperhive.hive.actions import Actions
from hyperhive.hive.approvals import Approvals
from hyperhive.hive.broker import Broker
from hyperhive.hive.budgets import HIVE, Budgets
from hyperhive.hive.commands import Commands
from hyperhive.hive.config_keeper import ConfigKeeper
from hyperhive.hive.dead_letters import DeadLetters
from hyperhive.hive.inbox import entry_of
from hyperhive.hive.journals import Journals
from hyperhive.hive.logins import Logins
from hyperhive.hive.manager_events import ManagerEvents
from hyperhive.hive.questions import Questions
from hyperhive.hive.reminders import Reminders
from hyperhive.hive.repos import Repos
from hyperhive.hive.roster import Agent, Decision, Roster
from hyperhive.hive.schedules import Schedules
from hyperhive.hive.sessions import Sessions
from hyperhive.hive.sizes import Sizes
from hyperhive.hive.spawns import Spawns
from hyperhive.hive.stream import Stream
from hyperhive.hive.trouble import Trouble
from hyperhive.hive.usage import Ledger, spent
from hyperhive.hive.waiting import Waiting
from hyperhive.names import OPERATOR
from hyperhive.shapes import HiveUsage
from hyperhive.store import crashes, events, messages
from hyperhive.web.gates import AgentGate
from hyperhive.web.sockets import bind_unix
from hyperhive.zones import zone_of

if TYPE_CHECKING:
    from hyperhive.clock import Clock
    from hyperhive.config import HiveSettings
    from hyperhive.hive.builder import Builder
    from hyperhive.hive.deployment import Deployment
    from hyperhive.hive.inbox import Entry
    from hyperhive.hive.layout import Layout
    from hyperhive.hive.lifecycle import Lifecycle
    from hyperhive.hive.limits import Limits
    from hyperhive.hive.mailbox import Happened
    from hyperhive.hive.notify import Notifier
    from hyperhive.hive.operations import Operations
    from hyperhive.hive.ports import AgentPorts
    from hyperhive.hive.upgrades import Upgrades
    from hyperhive.runtime.base import Runtime
    from hyperhive.shapes import OperationRow
    from hyperhive.store.events import EventBatch, StoredEvent
    from hyperhive.store.store import Store
    from hyperhive.web.listen import App, Listeners

#: Events of an agent after which its oldest are looked at.
_TRIM_EVERY = 200


@dataclass
class Hive:
    """The parts of one daemon.

    What needs the whole is set once all parts are there.
    """

    settings: HiveSettings
    layout: Layout
    store: Store
    runtime: Runtime
    listeners: Listeners
    clock: Clock
    name: str
    token: str
    page_key: bytes
    warnings: list[str] = field(default_factory=list)
    limits: Limits | None = None
    #: What happened how often since the start, for a monitor.
    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    #: Held while a proposal is received: one at a time.
    proposing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _since_trim: dict[str, int] = field(default_factory=dict)

    lifecycle: Lifecycle = field(init=False)
    operations: Operations = field(init=False)
    agent_app: App = field(init=False)
    ports: AgentPorts = field(init=False)
    notifier: Notifier = field(init=False)
    builder: Builder = field(init=False)
    deployment: Deployment = field(init=False)
    upgrades: Upgrades = field(init=False)

    def __post_init__(self) -> None:
        """Make the parts that live in memory."""
        self.started_at = self.clock()
        self.stream = Stream(self.clock)
        self.roster = Roster(self.settings, self.name, self.runtime.name, self.clock, self._agent_changed)
        self.waiting = Waiting(self.roster, self.stream)
        self.waiting.remember = partial(self.store.note, crashes.remember)
        self.trouble = Trouble(self)
        self.broker = Broker(
            self.store, self.roster, self.clock, self._message_changed, self.limits, consequences=self.trouble
        )
        self.ledger = Ledger(self.store, self.roster, self.clock, zone_of(self.settings.time_zone), self._used)
        self.budgets = Budgets(self)
        self.broker.died = self.ledger.lost
        self.dead_letters = DeadLetters(self.store, self.broker, self.clock, self._message_changed, self.roster)
        self.questions = Questions(self.store, self.broker, self.clock, self._question_changed)
        self.reminders = Reminders(self.store, self.broker, self.roster, self.clock, self._reminder_changed)
        self.schedules = Schedules(self.store, self.broker, self.roster, self.clock)
        self.manager_events = ManagerEvents(self.broker, self.roster)
        self.commands = Commands(self._poll_changed)
        self.repos = Repos(self.layout)
        self.configs = ConfigKeeper(self)
        self.sizes = Sizes(self.clock)
        self.actions = Actions(self)
        self.sessions = Sessions(self)
        self.journals = Journals(self)
        self.spawns = Spawns(self)
        self.logins = Logins(self)
        self.approvals = Approvals(self, self._approval_changed)
        self.waiting.sources.append(self.approvals.waiting)

    async def load(self) -> None:
        """Read what the pages need to know from the store, and what the broker has to deliver."""
        await self.deployment.load()
        await self.broker.load()
        await self.ledger.load()
        await self.budgets.load()
        for row in await self.store.read(messages.entries_in, "dead"):
            self._dead_letter(entry_of(row))
        for row in await self.store.read(messages.entries_in, "waiting", OPERATOR):
            self.waiting.mail(entry_of(row), acked=False)
        for crash in await self.store.read(crashes.list_crashes):
            self.waiting.crashed_before(crash)
        await self.trouble.load()
        await self.questions.load()
        await self.questions.gone(self.roster.tombstones())
        await self.reminders.load()
        await self.schedules.begin()
        await self.approvals.load()

    def _poll_changed(self, name: str, parked: bool) -> None:  # noqa: FBT001 - the signature of the callback
        self.lifecycle.poll_changed(name, parked)

    # --- sockets of agents

    async def register_agent(self, name: str) -> None:
        """Open an agent's socket; idempotent: one that was open is closed first and bound anew."""
        self.budgets.look(name)
        path = self.layout.agent_socket(name)
        owner = self.runtime.owner(name)
        made = bind_unix(path, 0o600, (owner.uid, owner.gid))
        gate = AgentGate(self.agent_app, name, partial(self.runtime.is_peer, name))
        await self.listeners.add(f"agent {name}", [made], gate)

    async def unregister_agent(self, name: str) -> None:
        """Close an agent's socket and take it away."""
        self.broker.dismiss(name)
        self.commands.forget(name)
        await self.listeners.remove(f"agent {name}")
        self.layout.agent_socket(name).unlink(missing_ok=True)

    # --- events

    async def take_events(self, batch: EventBatch) -> None:
        """Keep what a harness reports, and tell the pages."""
        self.trouble.events(batch.agent, {event.kind for event in batch.events})
        await self.store.submit(events.insert_events, batch, self._events_stored)

    def _events_stored(self, stored: list[StoredEvent]) -> None:
        for entry in stored:
            self.stream.publish("event", views.event_change(entry))
        if stored:
            agent = stored[0].agent
            self._since_trim[agent] = self._since_trim.get(agent, 0) + len(stored)
            if self._since_trim[agent] >= _TRIM_EVERY:
                self._since_trim[agent] = 0
                self.store.note(events.trim, agent)

    # --- changes

    def _agent_changed(self, agent: Agent) -> None:
        self.ports.look(agent)
        self.configs.look(agent)
        gone = {"name": agent.name, "removed": True}
        self.stream.publish("agent", self.row(agent) if self.roster.is_member(agent) else gone)
        self.trouble.agent_changed(agent)
        self.waiting.changed()
        self.reminders.agent_changed(agent.name)
        self.schedules.agent_changed(agent.name)
        self.lifecycle.changed(agent)
        self.logins.look(agent)

    def _used(self, name: str) -> None:
        self.budgets.look(name)
        self.usage_changed()

    def usage_changed(self) -> None:
        """What the hive has used today, or may use, is different."""
        self.stream.publish("usage", lambda: self.usage_today().model_dump(mode="json"), ())

    def usage_today(self) -> HiveUsage:
        """What the hive has used today, and what it may use."""
        return HiveUsage(today=spent(self.ledger.hive_today), budget=self.budgets.row(HIVE))

    def _message_changed(self, what: Happened, entry: Entry) -> None:
        self.counts["message", what] += 1
        seen = copy(entry)
        self.stream.publish("message", lambda: views.message_change(what, seen), (entry.sender, entry.recipient))
        self.trouble.message_changed(what, entry)
        if entry.recipient == OPERATOR:
            self.waiting.mail(entry, acked=what != "accepted")
        elif what == "dead":
            self._dead_letter(entry)
        elif what in {"put_back", "discarded"}:
            self.waiting.message(entry, dead=False)
        agent = self.roster.agents.get(entry.recipient)
        if agent is not None and what == "handed_out":
            self.ledger.begun(agent.name)
        elif agent is not None and what == "accepted":
            self.budgets.awaken(agent)
        if agent is not None and not agent.tombstone and what in {"accepted", "handed_out", "put_back"}:
            # How it is when it is read: only the number of unread messages is news, and it may be old news by then.
            self.stream.publish("agent", lambda: self.row(agent), (agent.name,))
        if agent is not None and what not in {"accepted", "handed_out"}:
            self.lifecycle.changed(agent)

    def _dead_letter(self, entry: Entry) -> None:
        if not self.trouble.unheard.take(entry):
            self.waiting.message(entry, dead=True)

    def _question_changed(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        question = views.question_row(row)
        self.waiting.question(question)
        self.stream.publish("question", question.model_dump(mode="json"))
        if question.status == "answered" and question.answered_by == OPERATOR:
            facts = {"agent": question.asker, "question": question.id, "by": OPERATOR}
            self.trouble.failures.tell("question_answered", f"question_answered {question.id}", facts)

    def _reminder_changed(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        self.stream.publish("reminder", views.reminder_row(row).model_dump(mode="json"))

    def _approval_changed(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        self.trouble.failed_deploys.approval(row)
        self.waiting.changed()
        self.stream.publish("approval", lambda: views.approval_row(row, whole=False).model_dump(mode="json"))

    def operation_changed(self, row: OperationRow) -> None:
        """An operation was queued, began or ended."""
        agent = self.roster.agents.get(row.agent)
        if agent is not None:
            agent.operation = self.operations.current(row.agent)
            if not agent.tombstone:
                self.stream.publish("agent", self.row(agent))
        if row.ended_at is not None:
            self.counts["operation", row.kind, row.status] += 1
        self.stream.publish("operation", row.model_dump(mode="json"))

    def hold_back(self, agent: Agent, why: str, decision: Decision | None) -> None:
        """Hand the agent no messages for a reason of one word, shown as what `decision` says; None takes that back.

        A turn that is under way goes on, and is shown until it ends.
        """
        if decision is None:
            self.broker.open(agent.name, why)
        else:
            self.broker.shut(agent.name, why)
        self.roster.decide(agent, why, decision)

    def warn(self, prefix: str, text: str | None) -> None:
        """Take back the warnings that begin with `prefix`, and give the operator another one."""
        self.warnings[:] = [warning for warning in self.warnings if not warning.startswith(prefix)]
        if text is not None:
            self.warnings.append(f"{prefix}{text}")
        self.stream.publish("warnings", {"warnings": list(self.warnings)})

    def row(self, agent: Agent) -> dict[str, Any]:
        """An agent's row, as JSON."""
        return self.roster.row(agent, self.broker.unread(agent.name)).model_dump(mode="json")

    def close(self) -> None:
        """Answer everybody who waits; nothing is accepted any more."""
        self.questions.close()
        self.reminders.close()
        self.schedules.close()
        self.trouble.close()
        self.budgets.close()
        self.broker.close()
        self.commands.close()
        self.stream.close()
        self.journals.close()
        with suppress(OSError):
            self.layout.host_socket.unlink(missing_ok=True)
