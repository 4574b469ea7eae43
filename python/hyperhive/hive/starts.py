"""Letting a few harnesses start at a time, so that thirty agents at boot do not choke the machine."""

from __future__ import annotations

import asyncio
from typing import Final

#: Seconds after its process was started in which a harness is expected to report; the next one starts then anyway.
_SETTLED: Final = 15.0


class Starts:
    """So many places; a start has one from `enter` until its harness has reported, or cannot.

    Args:
        most: how many places.
    """

    def __init__(self, most: int) -> None:
        self._places = asyncio.Semaphore(most)
        self._inside: dict[str, asyncio.TimerHandle | None] = {}

    async def enter(self, name: str) -> None:
        """Wait for a place. One agent is started once at a time; who calls this sees to that."""
        # First: with one place in all it would wait for itself.
        self.leave(name)
        await self._places.acquire()
        self._inside[name] = None

    def settle(self, name: str) -> None:
        """The process runs: the place is free when the harness reports, or after a while."""
        if name in self._inside:
            if timer := self._inside[name]:
                timer.cancel()
            self._inside[name] = asyncio.get_running_loop().call_later(_SETTLED, self.leave, name)

    def leave(self, name: str) -> None:
        """Give the place up, if there is one."""
        if name in self._inside:
            if timer := self._inside.pop(name):
                timer.cancel()
            self._places.release()

    def close(self) -> None:
        """Take every timer away."""
        for name in list(self._inside):
            self.leave(name)
