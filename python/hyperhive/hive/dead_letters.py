"""Dead letters: messages that failed too often, kept and shown until the operator requeues or discards them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hyperhive.errors import HiveError
from hyperhive.hive.inbox import entry_of
from hyperhive.store import messages
from hyperhive.store.messages import Change

if TYPE_CHECKING:
    from collections.abc import Callable

    from hyperhive.clock import Clock
    from hyperhive.hive.broker import Broker
    from hyperhive.hive.directory import Directory
    from hyperhive.hive.inbox import Entry
    from hyperhive.hive.mailbox import Happened
    from hyperhive.store.store import Store


class DeadLetters:
    """What the operator may do with dead letters.

    Args:
        store: where they are kept.
        broker: delivers those that are requeued.
        clock: the time.
        tell: called after a message was discarded.
        directory: who can still be written to.
    """

    def __init__(
        self,
        store: Store,
        broker: Broker,
        clock: Clock,
        tell: Callable[[Happened, Entry], None],
        directory: Directory,
    ) -> None:
        self._store = store
        self._broker = broker
        self._clock = clock
        self._tell = tell
        self._directory = directory
        # Two operators at once: one wins, the other is told what the message is by then.
        self._one_at_a_time = asyncio.Lock()

    async def requeue(self, message: int) -> None:
        """Let a dead letter wait again, with a fresh count.

        Raises:
            HiveError: `unknown_message`, `wrong_state`, `recipient_gone`.
        """
        async with self._one_at_a_time:
            entry = entry_of(await self._dead_letter(message))
            if entry.recipient not in {*self._directory.members(), *self._directory.tombstones()}:
                what = f"message {message} is for '{entry.recipient}', who is no more"
                raise HiveError("recipient_gone", what, f"hyperhive discard {message}")
            entry.failures, entry.reason = 0, None
            changes: tuple[Change, ...] = (Change(message, "waiting", self._clock(), failures=0),)
            await self._store.submit(messages.change_messages, changes, lambda _done: self._broker.readmit(entry))

    async def discard(self, message: int) -> None:
        """Give a dead letter up.

        Raises:
            HiveError: `unknown_message`, `wrong_state`.
        """
        async with self._one_at_a_time:
            row = await self._dead_letter(message)
            entry = entry_of(row)
            entry.outcome, entry.settled_at = "discarded", self._clock()
            changes: tuple[Change, ...] = (
                Change(message, "discarded", entry.settled_at, outcome="discarded", reason=row.reason),
            )
            await self._store.submit(messages.change_messages, changes, lambda _done: self._tell("discarded", entry))

    async def _dead_letter(self, message: int) -> Any:  # noqa: ANN401 - a row of the store
        rows = await self._store.read(messages.entries, (message,))
        if not rows:
            raise HiveError("unknown_message", f"there is no message {message}", "See: hyperhive dead-letters")
        if rows[0].state != "dead":
            raise HiveError(
                "wrong_state",
                f"message {message} is no dead letter, it is {rows[0].state}",
                "See: hyperhive dead-letters",
            )
        return rows[0]
