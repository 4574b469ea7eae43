"""Reminders: what an agent wants to be told later, sent to it by `reminder` when the time has come, exactly once.

A reminder stops to be pending in the transaction that writes its message. In memory are only the instants: one timer
waits for the next of them. An agent that is stopped or paused finds the message when it goes on; one that was destroyed
gets what has come due when it is revived; where the inbox is full, the reminder waits for room.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from hyperhive.clock import rfc3339
from hyperhive.errors import HiveError
from hyperhive.hive.deadlines import Deadlines
from hyperhive.hive.limits import check_text
from hyperhive.names import OPERATOR, REMINDER
from hyperhive.store import reminders
from hyperhive.store.audit import AuditEntry
from hyperhive.store.messages import NewMessage
from hyperhive.store.reminders import MOST_PENDING, Cancel, Firing, NewReminder, Written
from hyperhive.wire import MAX_AHEAD, MAX_REMINDER

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hyperhive.clock import Clock
    from hyperhive.hive.broker import Broker
    from hyperhive.hive.directory import Directory
    from hyperhive.store.messages import Accepted
    from hyperhive.store.store import Store
    from hyperhive.wire import RemindRequest

#: After this the inbox of an agent is looked at again, where it was full.
ROOM: Final = timedelta(seconds=30)
#: A time that is not longer past than this is meant: the request was under way.
_PAST: Final = timedelta(minutes=5)
#: Later than this, it is said.
_LATE: Final = timedelta(minutes=1)


class Reminders:
    """The reminders of a hive.

    Args:
        store: where they are kept.
        broker: delivers.
        directory: who there is.
        clock: the time.
        tell: called with the row of a reminder after each change.
    """

    def __init__(
        self, store: Store, broker: Broker, directory: Directory, clock: Clock, tell: Callable[[Any], None]
    ) -> None:
        self._store = store
        self._broker = broker
        self._directory = directory
        self._clock = clock
        self._tell = tell
        #: Of pending reminders, by number and agent.
        self.deadlines = Deadlines[tuple[int, str]](clock, self._fire)
        #: What came due while its agent was no agent.
        self._asleep: set[tuple[int, str]] = set()

    async def load(self) -> None:
        """Take up what is pending, and send what came due while the hive was down. After the broker has loaded."""
        for row in reversed(await self._store.read(reminders.page, "pending")):
            self.deadlines.set((row.id, row.agent), row.due_at)
        self.deadlines.look()
        await self.deadlines.idle()

    def close(self) -> None:
        """Send nothing any more; what is due is sent at the next start."""
        self.deadlines.close()

    # --- agent and operator

    async def remember(self, agent: str, wanted: RemindRequest) -> Any:  # noqa: ANN401 - a row of the store
        """Take a reminder; on return it is on disk.

        Raises:
            HiveError: `malformed`, `body_too_large`, `too_many_messages`, `too_many_reminders`, `storage_full`,
                `storage_unavailable`, `shutting_down`.
        """
        now = self._clock()
        try:
            due = due_at(wanted, now)
            self._broker.admission.throttle(agent, 1, now)
        except HiveError:
            key = wanted.idempotency_key
            known = await self._store.read(reminders.made_before, agent, key) if key else None
            if known is None:
                raise
            return known
        new = NewReminder(agent, wanted.message, now, due, wanted.idempotency_key)
        written = await asyncio.shield(self._store.submit(reminders.remember, new, self._written))
        if written.row is None:
            what = f"'{agent}' has {MOST_PENDING} reminders already"
            raise HiveError(
                "too_many_reminders", what, "Wait for one of them, or cancel one: get_loose_ends lists them"
            )
        return written.row

    async def cancel(self, number: int, by: str) -> Any:  # noqa: ANN401 - a row of the store
        """Cancel a reminder of the agent `by`, or any as the operator.

        An agent may say the same once more, which changes nothing: it may not have heard that it was taken.

        Raises:
            HiveError: `unknown_reminder`, `wrong_state`.
        """
        row = await self._store.read(reminders.get, number)
        if row is None or by not in {OPERATOR, row.agent}:
            hint = "See: hyperhive reminders" if by == OPERATOR else "get_loose_ends lists yours"
            raise HiveError("unknown_reminder", f"there is no reminder {number}", hint)
        now = self._clock()
        audit = AuditEntry(now, OPERATOR, "cancel-reminder", f"reminder {number}", f"of {row.agent}")
        ending = Cancel(number, now, by, audit if by == OPERATOR else None)
        written = await asyncio.shield(self._store.submit(reminders.cancel, ending, self._written))
        row = written.row
        again = by != OPERATOR and row is not None and (row.status, row.ended_by) == ("cancelled", by)
        if not written.fresh and not again:
            became = "is gone" if row is None else f"was {row.status} at {rfc3339(row.ended_at)}"
            raise HiveError("wrong_state", f"reminder {number} {became}", "There is nothing left to cancel")
        return row

    # --- agents that come and go

    def agent_changed(self, agent: str) -> None:
        """An agent may be one again: what came due meanwhile is sent."""
        if self._asleep and agent in self._directory.members():
            woken = {key for key in self._asleep if key[1] == agent}
            self._asleep -= woken
            for key in sorted(woken):
                self.deadlines.set(key, self._clock())
            self.deadlines.look()

    def forget(self, agent: str) -> None:
        """An agent was purged, and its reminders with it."""
        self._asleep = {key for key in self._asleep if key[1] != agent}
        self.deadlines.drop_all(lambda key: key[1] == agent)

    # --- sending

    async def _fire(self, key: tuple[int, str]) -> None:
        number, agent = key
        now = self._clock()
        if agent not in self._directory.members():
            self._asleep.add(key)
        elif not self._broker.admission.has_room(agent):
            self.deadlines.set(key, now + ROOM)
            self.deadlines.look()
        else:
            firing = Firing(number, now, lambda row: NewMessage(REMINDER, (agent,), reminder_body(row, now), now))
            await self._broker.carry(reminders.fire, firing, agent, self._fired)

    def _fired(self, done: Written) -> tuple[NewMessage, Accepted] | None:
        self._written(done)
        return done.message

    def _written(self, done: Written) -> None:
        row = done.row
        if row is None or not done.fresh:
            return
        if row.status == "pending":
            self.deadlines.set((row.id, row.agent), row.due_at)
            self.deadlines.look()
        else:
            self.deadlines.drop((row.id, row.agent))
            self._asleep.discard((row.id, row.agent))
        self._tell(row)


def due_at(wanted: RemindRequest, now: datetime) -> datetime:
    """When a reminder is due.

    Raises:
        HiveError: `malformed`, `body_too_large`.
    """
    check_text("the message", wanted.message, MAX_REMINDER)
    if not wanted.message.strip():
        raise HiveError("malformed", "message: it is empty", "Say what you want to be reminded of")
    if (wanted.delay_seconds is None) == (wanted.at is None):
        what = "a reminder has exactly one time: either delaySeconds (delay_seconds) or at"
        raise HiveError("malformed", what, f"Give one of them; it is {rfc3339(now)}")
    if wanted.delay_seconds is not None:
        return now + timedelta(seconds=wanted.delay_seconds)
    due = wanted.at or now
    if due < now - _PAST:
        raise HiveError("malformed", f"at: {rfc3339(due)} is past", f"It is {rfc3339(now)}; take a later time")
    if due > now + timedelta(seconds=MAX_AHEAD):
        raise HiveError("malformed", f"at: {rfc3339(due)} is over 366 days ahead", f"It is {rfc3339(now)}")
    return due


def reminder_body(row: Any, now: datetime) -> str:  # noqa: ANN401 - a row of the store
    """The message that a reminder becomes."""
    late = f" It comes late: it was due at {rfc3339(row.due_at)}." if now - row.due_at > _LATE else ""
    return f"You asked at {rfc3339(row.made_at)} to be told this now (reminder {row.id}).{late}\n\n{row.text}"
