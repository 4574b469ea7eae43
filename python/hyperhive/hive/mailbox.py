"""One recipient's inbox, with whoever waits at it: hands out at once, or parks until there is something.

Knows nothing of the store. Time is passed in, and what was handed out or put back is told to its maker.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from hyperhive.hive.inbox import Entry, Inbox

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hyperhive.clock import Clock

Happened = Literal["accepted", "handed_out", "put_back", "settled", "dead", "discarded"]


class Mailbox:
    """An inbox and its waiter.

    Args:
        clock: the time.
        handed_out: called with the messages of each hand-out.
        tell: called after each other change of a message.

    Attributes:
        inbox: what waits and what is held.
        waiter: the parked recv, if there is one.
        coming: messages on their way to the disk.
        shut_by: why nothing is handed out, one word each; empty where it is.
    """

    __slots__ = (
        *("_alarm", "_clock", "_handed_out", "_holder", "_most", "_newest", "_tell"),
        *("coming", "inbox", "shut_by", "waiter"),
    )

    def __init__(
        self, clock: Clock, handed_out: Callable[[list[Entry]], None], tell: Callable[[Happened, Entry], None]
    ) -> None:
        self._clock = clock
        self._handed_out = handed_out
        self._tell = tell
        self.inbox = Inbox()
        self.waiter: asyncio.Future[list[Entry]] | None = None
        self.coming = 0
        self.shut_by: set[str] = set()
        self._most = 1
        self._holder: str | None = None
        self._newest = 0
        self._alarm: asyncio.TimerHandle | None = None

    def promises(self) -> bool:
        """Whether a message that is written now will be handed out at once: its hand-out is then written with it."""
        if self.waiter is None or self.waiter.done() or self.shut_by:
            return False
        return not self.inbox.waiting and not self.coming

    # --- receiving

    def begin(self) -> int:
        """A recv begins: an older one that is parked is answered with nothing. Returns the number of the new one."""
        self.dismiss()
        self._newest += 1
        return self._newest

    def is_newest(self, number: int) -> bool:
        """Whether no recv began after this one."""
        return self._newest == number

    def take(self, most: int, instance: str | None) -> list[Entry]:
        """Hand out what there is, unless the box is shut."""
        if self.shut_by:
            return []
        taken = self.inbox.take(most, self._clock(), instance)
        if taken:
            self._handed_out(taken)
        return taken

    async def park(self, wait: float, most: int, instance: str | None) -> list[Entry]:
        """Wait for something to be handed out; nothing after `wait` seconds, or when dismissed."""
        waiter: asyncio.Future[list[Entry]] = asyncio.get_running_loop().create_future()
        self.waiter, self._most, self._holder = waiter, most, instance
        self._set_alarm()
        try:
            async with asyncio.timeout(wait):
                return await waiter
        except TimeoutError:
            return waiter.result() if waiter.done() and not waiter.cancelled() else []
        finally:
            if self.waiter is waiter:
                self.waiter = None

    def dismiss(self) -> None:
        """Answer the parked recv with nothing."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result([])
        self.waiter = None

    def close(self) -> None:
        """Answer the parked recv, and wake nobody any more."""
        self.dismiss()
        if self._alarm is not None:
            self._alarm.cancel()

    def shut(self, why: str) -> None:
        """Hand out nothing from now on; what waits and what comes is kept. For each reason by itself."""
        self.shut_by.add(why)

    def open(self, why: str) -> None:
        """This reason is gone; with the last one, the parked recv gets what waits."""
        self.shut_by.discard(why)
        self.offer()

    # --- what changes what there is

    def add(self, entry: Entry) -> None:
        """A message came to disk after all others here."""
        self.inbox.add(entry)
        self.offer()

    def readmit(self, entry: Entry) -> None:
        """A message that was done with waits again, in its old place."""
        self.inbox.add(entry)
        self.inbox.put_back(())
        self._tell("put_back", entry)
        self.offer()

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Held messages wait again, each in its old place."""
        if entries:
            self.inbox.put_back(entries)
            for entry in entries:
                self._tell("put_back", entry)
            self.offer()

    def forget(self, entry: Entry) -> None:
        """A message is done; what waited behind it may go."""
        self.inbox.forget(entry.id)
        self.offer()

    def offer(self) -> None:
        """Hand out to the parked recv what may go out now."""
        if self.waiter is None or self.waiter.done() or self.shut_by:
            return
        taken = self.take(self._most, self._holder)
        if taken:
            self.waiter.set_result(taken)
            self.waiter = None
        else:
            self._set_alarm()

    def _set_alarm(self) -> None:
        """Wake the waiter when the first message that backs off is due."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        now = self._clock()
        due = self.inbox.next_due(now)
        if due is not None:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later((due - now).total_seconds() + 0.001, self.offer)
