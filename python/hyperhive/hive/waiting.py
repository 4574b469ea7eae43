"""What waits for the operator, in one list: nothing waits silently.

Each kind of thing that can wait is found by one small function; the list is computed from what is, so nothing has to be
taken off it. Whoever changes something that may wait calls `Waiting.changed`, and the pages hear of it once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hyperhive.errors import HiveError
from hyperhive.names import OPERATOR
from hyperhive.shapes import WaitingItem
from hyperhive.store.crashes import Crash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from hyperhive.hive.inbox import Entry
    from hyperhive.hive.roster import Agent, Roster
    from hyperhive.hive.stream import Stream
    from hyperhive.shapes import QuestionRow

#: States of an agent that only the operator can end, with what to say.
_STUCK = {
    "needs_login": "needs a login",
    "failed": "has failed",
    "unreachable": "does not answer",
}


class Waiting:
    """The list of what waits for the operator.

    Args:
        roster: the agents.
        stream: where changes of the list are told.
    """

    def __init__(self, roster: Roster, stream: Stream) -> None:
        self._roster = roster
        self._stream = stream
        self._dead: dict[int, Entry] = {}
        self._inbox: dict[int, Entry] = {}
        self._questions: dict[int, WaitingItem] = {}
        self._crashes: dict[str, Crash] = {}
        #: Called with an agent's crashes after each change of them; with a count of 0 where they are dismissed.
        self.remember: Callable[[Crash], None] = _forget
        #: Further kinds of things: each gives what waits now, as often as it is asked.
        self.sources: list[Callable[[], Iterable[WaitingItem]]] = []
        #: What takes that which was only to be seen off the list, by kind: called with what follows the kind in its id,
        #: says whether it was there.
        self.dismissals: dict[str, Callable[[str], bool]] = {"crash": self._dismiss_crash}
        self._told: list[WaitingItem] = []
        #: Called with the list whenever it, or the state of an agent, may be another one.
        self.listener: Callable[[list[WaitingItem]], None] | None = None

    def message(self, entry: Entry, *, dead: bool) -> None:
        """A message changed: dead letters wait, and so does mail for the operator that is not acked."""
        if dead:
            self._dead[entry.id] = entry
        else:
            self._dead.pop(entry.id, None)
        self.changed()

    def mail(self, entry: Entry, *, acked: bool) -> None:
        """A message to the operator came, or was acked."""
        if acked:
            self._inbox.pop(entry.id, None)
        else:
            self._inbox[entry.id] = entry
        self.changed()

    def question(self, row: QuestionRow) -> None:
        """A question was asked or has ended: those to the operator wait, whoever asked."""
        if row.status != "open":
            self._questions.pop(row.id, None)
        elif row.to == OPERATOR:
            self._questions[row.id] = WaitingItem(
                id=f"question-{row.id}",
                kind="question",
                title=f"{row.asker} asks: {row.text[:120]}",
                since=row.asked_at,
                agent=row.asker,
                deadline=row.deadline,
                ref=row.id,
            )
        self.changed()

    def crash(self, name: str, why: str, at: datetime) -> None:
        """An agent crashed: the operator should know, also where it was started again."""
        before = self._crashes.get(name)
        self._crashes[name] = Crash(name, before.count + 1 if before else 1, before.since if before else at, why)
        self.remember(self._crashes[name])
        self.changed()

    def crashed_before(self, crash: Crash) -> None:
        """What an earlier run of the hive knew of an agent's crashes."""
        self._crashes[crash.agent] = crash

    def forget(self, name: str) -> None:
        """The agent was purged; a later one of that name has not crashed."""
        self._crashes.pop(name, None)

    def dismiss(self, number: str) -> None:
        """The operator has seen it.

        Raises:
            HiveError: `not_found`; `wrong_state` for what has to be settled.
        """
        kind, _, name = number.partition("-")
        if kind in self.dismissals and self.dismissals[kind](name):
            self.changed()
        elif any(item.id == number for item in self.items()):
            raise HiveError("wrong_state", f"'{number}' cannot be dismissed", "Settle what it is about, then it goes")
        else:
            raise HiveError("not_found", f"nothing waits under the id {number!r}", "It may have been settled already")

    def _dismiss_crash(self, name: str) -> bool:
        crash = self._crashes.pop(name, None)
        if crash is not None:
            self.remember(replace(crash, count=0))
        return crash is not None

    @property
    def unread(self) -> int:
        """Messages in the operator's inbox."""
        return len(self._inbox)

    def changed(self) -> None:
        """Tell the pages if the list is another one now."""
        items = self.items()
        if items != self._told:
            self._told = items
            self._stream.publish("waiting", {"waiting": [item.model_dump(mode="json") for item in items]})
        if self.listener is not None:
            self.listener(items)

    def items(self) -> list[WaitingItem]:
        """The list, oldest first."""
        members = set(self._roster.members())
        crashes = [_crash(crash) for name, crash in self._crashes.items() if name in members]
        # What an agent that was destroyed has asked is open, and nobody's hurry.
        asked = [item for item in self._questions.values() if item.agent in members]
        found = [*self._stuck(), *crashes, *asked, *self._dead_letters(), *self._mail()]
        found += [item for source in self.sources for item in source()]
        return sorted(found, key=lambda item: (item.since, item.id))

    def _stuck(self) -> Iterator[WaitingItem]:
        for agent in self._roster.agents.values():
            if not agent.tombstone:
                yield from self._agent(agent)

    def _agent(self, agent: Agent) -> Iterator[WaitingItem]:
        state, since = self._roster.state_of(agent)
        if state in _STUCK:
            title = f"{agent.name} {_STUCK[state]}" + (f": {agent.problem}" if agent.problem else "")
            yield WaitingItem(
                id=f"{state}-{agent.name}", kind=state, title=title, since=since, agent=agent.name, ref=agent.name
            )

    def _dead_letters(self) -> Iterator[WaitingItem]:
        for entry in self._dead.values():
            title = f"{entry.recipient} could not do a message of {entry.sender}: {entry.preview[:120]}"
            yield WaitingItem(
                id=f"dead_letter-{entry.id}",
                kind="dead_letter",
                title=title,
                since=entry.sent_at,
                agent=entry.recipient,
                ref=entry.id,
            )

    def _mail(self) -> Iterator[WaitingItem]:
        if self._inbox:
            first = next(iter(self._inbox.values()))  # they come in the order of ids
            count = len(self._inbox)
            title = "1 message for you" if count == 1 else f"{count} messages for you"
            yield WaitingItem(
                id="mail", kind="mail", title=title, since=first.sent_at, agent=first.sender, ref=OPERATOR
            )


def _crash(crash: Crash) -> WaitingItem:
    often = ":" if crash.count == 1 else f" {crash.count} times, the last time because"
    title = f"{crash.agent} crashed{often} {crash.reason}"
    return WaitingItem(
        id=f"crash-{crash.agent}", kind="crash", title=title, since=crash.since, agent=crash.agent, ref=crash.count
    )


def _forget(_crash: Crash) -> None:
    """For a list that nobody keeps."""
