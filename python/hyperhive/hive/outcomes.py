"""What becomes of messages that were handed out: settled, sent back, or counted as failed until they are dead letters.

An outcome is written first and changes the memory after the commit. While it is on its way its messages are `closing`:
nothing else may happen to them, and later ones of the same sender wait for what it will be.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from hyperhive.store import holds, messages
from hyperhive.store.holds import Judged
from hyperhive.store.messages import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hyperhive.clock import Clock
    from hyperhive.hive.bodies import Bodies
    from hyperhive.hive.inbox import Entry
    from hyperhive.hive.limits import Limits
    from hyperhive.hive.mailbox import Happened, Mailbox
    from hyperhive.store.holds import Streak
    from hyperhive.store.store import Store


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an outcome did: the messages it was about, and those that became dead letters."""

    accepted: list[int]
    dead: list[int]


class Consequences(Protocol):
    """What follows for an agent from the ends of its turns."""

    def is_counting(self, agent: str) -> bool:
        """Whether a turn that ends well ends a row of dead letters."""
        ...

    def counted(self, streak: Streak) -> None:
        """The agent's dead letters in a row changed; called before anything else is handed out."""
        ...

    def failed(self, entry: Entry, *, dead: bool) -> None:
        """A turn failed, and that was counted for this message."""
        ...


class NoConsequences:
    """Nothing follows: for a broker of its own."""

    def is_counting(self, agent: str) -> bool:  # noqa: ARG002
        """Never."""
        return False

    def counted(self, streak: Streak) -> None:
        """Nothing."""

    def failed(self, entry: Entry, *, dead: bool) -> None:
        """Nothing."""


class Outcomes:
    """Writes the ends of turns.

    Args:
        store: where they are written.
        bodies: forgets those of messages that are done.
        clock: the time.
        limits: how often a message may fail, and how long it backs off.
        tell: called after each change with what happened and the message.
        consequences: what follows for the agents.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - each of another part
        self,
        store: Store,
        bodies: Bodies,
        clock: Clock,
        limits: Limits,
        tell: Callable[[Happened, Entry], None],
        consequences: Consequences,
    ) -> None:
        self._store = store
        self._bodies = bodies
        self._clock = clock
        self._limits = limits
        self._tell = tell
        self._consequences = consequences

    async def settle(self, box: Mailbox, entries: Sequence[Entry], outcome: str, reason: str | None) -> None:
        """The messages are done."""
        if not entries:
            return
        now = self._clock()
        changes = tuple(Change(entry.id, "settled", now, outcome=outcome, reason=reason) for entry in entries)

        def done(_result: None) -> None:
            for entry in entries:
                entry.outcome, entry.reason, entry.settled_at = outcome, reason, now
                self._forget(box, entry)
                self._tell("settled", entry)

        agent = entries[0].recipient
        # A turn that the operator cancelled says nothing of the agent, good or bad.
        ends = outcome == "settled" and self._consequences.is_counting(agent)
        await self._write(box, changes, entries, done, Judged(agent, changes, now) if ends else None)

    async def give_back(self, box: Mailbox, failed: Entry | None, others: Sequence[Entry], reason: str) -> list[int]:
        """Count a failed turn for one message, then let the others of the turn go back uncounted.

        Not before: of the same sender's messages none may overtake the one that is about to back off.

        Returns:
            The ids that became dead letters.
        """
        if failed is None:
            box.put_back(others)
            return []
        now = self._clock()
        dead = failed.failures + 1 >= self._limits.attempts
        due = None if dead else now + timedelta(seconds=self._limits.back_off * 2**failed.failures)
        state = "dead" if dead else "waiting"
        change = Change(failed.id, state, now, reason=reason, failures=failed.failures + 1, not_before=due)

        def done(_result: None) -> None:
            failed.failures += 1
            failed.not_before, failed.reason = due, reason
            self._consequences.failed(failed, dead=dead)
            if dead:
                self._forget(box, failed)
                self._tell("dead", failed)
            box.put_back(others if dead else [failed, *others])

        counted = Judged(failed.recipient, (change,), now, failed.id, reason) if dead else None
        await self._write(box, (change,), [failed, *others], done, counted)
        return [failed.id] if dead else []

    async def _write(
        self,
        box: Mailbox,
        changes: tuple[Change, ...],
        entries: Sequence[Entry],
        done: Callable[[Any], None],
        judged: Judged | None,
    ) -> None:
        def counted(streak: Streak) -> None:
            # First: an agent that is held from now on must not be handed what `done` lets go.
            self._consequences.counted(streak)
            done(None)

        def ended(written: asyncio.Future[None]) -> None:
            # What could not be written did not happen, whether or not somebody still waits for it.
            if written.cancelled() or written.exception() is not None:
                for entry in entries:
                    entry.closing = False
                box.offer()

        written: asyncio.Future[Any]
        if judged is None:
            written = self._store.submit(messages.change_messages, changes, done)
        else:
            written = self._store.submit(holds.judge, judged, counted)
        for entry in entries:
            entry.closing = True
        written.add_done_callback(ended)
        await asyncio.shield(written)

    def _forget(self, box: Mailbox, entry: Entry) -> None:
        box.forget(entry)
        self._bodies.drop(entry.id)
