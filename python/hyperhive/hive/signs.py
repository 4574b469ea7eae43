"""Signs of life: a harness that does not poll for commands is looked into at once, and called unreachable later.

The runtime's watch looks at everything every ten seconds; a lost poll is news within half a second.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.hive.background import begin

if TYPE_CHECKING:
    from collections.abc import Callable

    from hyperhive.hive.commands import Commands
    from hyperhive.runtime.base import Runtime

_log = logging.getLogger(__name__)

#: Seconds after the start, or without a command poll, after which an agent is unreachable.
_FIRST: Final = 60.0
_NEXT: Final = 15.0
#: Seconds without a command poll after which a harness has left. Between two polls it is a few milliseconds.
_SILENCE: Final = 1.0


class Signs:
    """Waits for the polls of all harnesses.

    Args:
        runtime: asked what became of those that are silent.
        commands: knows who polls.
        group: owns the looks.
        silent: called with the name of an agent that runs and has not polled for too long.
    """

    def __init__(
        self, runtime: Runtime, commands: Commands, group: asyncio.TaskGroup, silent: Callable[[str], None]
    ) -> None:
        self._runtime = runtime
        self._commands = commands
        self._group = group
        self._silent = silent
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._doubts: dict[str, asyncio.TimerHandle] = {}
        self._leaving: dict[str, asyncio.Event] = {}
        self._look: asyncio.Task[None] | None = None
        self._doubted = False
        self._closed = False

    def expect_first(self, name: str) -> None:
        """It was started."""
        self._expect(name, _FIRST)

    def came(self, name: str) -> None:
        """It polls."""
        self.forget(name)

    def lost(self, name: str) -> None:
        """Its poll ended; the next one should follow."""
        self.forget(name)
        if name in self._runtime.running() and not self._closed:
            self._expect(name, _NEXT)
            self._doubts[name] = asyncio.get_running_loop().call_later(_SILENCE, self._doubt, name)

    def forget(self, name: str) -> None:
        """Nothing is expected of it."""
        for timers in (self._timers, self._doubts):
            if handle := timers.pop(name, None):
                handle.cancel()

    def leaving(self, name: str) -> asyncio.Event:
        """An event for the harness's end, from now on."""
        event = self._leaving[name] = asyncio.Event()
        return event

    def gone(self, name: str) -> None:
        """Its harness has ended."""
        if event := self._leaving.pop(name, None):
            event.set()

    def close(self) -> None:
        """Expect nothing any more: the polls that the end of the hive answers are not lost."""
        self._closed = True
        for name in {*self._timers, *self._doubts}:
            self.forget(name)

    def _expect(self, name: str, seconds: float) -> None:
        self.forget(name)
        self._timers[name] = asyncio.get_running_loop().call_later(seconds, self._overdue, name)

    def _overdue(self, name: str) -> None:
        self._timers.pop(name, None)
        if name in self._runtime.running():
            self._silent(name)

    def _doubt(self, name: str) -> None:
        """Where somebody else runs the harness, its end is seen by this alone."""
        self._doubts.pop(name, None)
        if self._commands.polled(name):
            return
        if self._runtime.survives_daemon:
            self.gone(name)
        # Many that fall silent at once are one look, and those that do while it is taken are one more.
        self._doubted = True
        if self._look is None or self._look.done():
            self._look = begin(self._group, self._look_now(), "look at what is silent")

    async def _look_now(self) -> None:
        while self._doubted:
            self._doubted = False
            try:
                await self._runtime.look()
            except HiveError as error:
                _log.warning("what is silent cannot be looked at: %s", error)
