"""One timer for many instants: whoever has a deadline is called when it has passed, however many there are."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime

    from hyperhive.clock import Clock

Key = TypeVar("Key")

_log = logging.getLogger(__name__)

#: Seconds after which what could not be done is tried again.
_RETRY: Final = 30.0
#: Seconds between two looks at the clock while anything is due later: it may be set, and a machine may sleep.
_LOOK: Final = 60.0


class Deadlines(Generic[Key]):
    """What is due at which instant.

    Args:
        clock: the time.
        passed: called with each key whose instant has passed, as a task; if it fails it is called again a little later.
    """

    def __init__(self, clock: Clock, passed: Callable[[Key], Coroutine[None, None, None]]) -> None:
        self._clock = clock
        self._passed = passed
        self._at: dict[Key, datetime] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._working: set[asyncio.Task[None]] = set()
        self._closed = False

    def set(self, key: Key, at: datetime) -> None:
        """This is due then; `look` sets the timer."""
        self._at[key] = at

    def drop(self, key: Key) -> None:
        """This is not due any more."""
        self._at.pop(key, None)

    def drop_all(self, which: Callable[[Key], bool]) -> None:
        """None of these is due any more."""
        for key in [key for key in self._at if which(key)]:
            del self._at[key]

    def look(self) -> None:
        """Begin with what is due, and come back for the next."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._closed:
            return
        now, loop = self._clock(), asyncio.get_running_loop()
        # In the order in which it was due, also where all of it is late.
        for key in sorted((key for key, at in self._at.items() if at <= now), key=self._at.__getitem__):
            del self._at[key]
            task = loop.create_task(self._work(key), name=f"deadline of {key}")
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        following = min(self._at.values(), default=None)
        if following is not None:
            self._alarm = loop.call_later(min((following - now).total_seconds() + 0.001, _LOOK), self.look)

    async def _work(self, key: Key) -> None:
        try:
            await self._passed(key)
        except Exception as error:  # noqa: BLE001 - the top of a task: whatever it is, it is to be done
            _log.warning("what was due for %s failed and is tried again: %s", key, error)
            self.set(key, self._clock() + timedelta(seconds=_RETRY))
            self.look()

    async def idle(self) -> None:
        """Wait until all that has begun has ended."""
        while self._working:
            await asyncio.wait(self._working)

    def close(self) -> None:
        """Begin with nothing any more."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()

    async def end(self) -> None:
        """Begin with nothing any more, and end what has begun."""
        self.close()
        for task in self._working:
            task.cancel()
        await self.idle()
