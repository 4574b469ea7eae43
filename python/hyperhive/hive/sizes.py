"""How much of the disk an agent's directories take: counted when somebody asks, and not again for a while.

A tree can be of any size and depth, so it is counted by `beneath`, in the background, a few trees at a time; whoever
asks waits as long as he likes, and gets the count before that if it takes longer.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from hyperhive import beneath

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from pathlib import Path

    from hyperhive.clock import Clock

#: After this a tree is counted again.
_FRESH: Final = timedelta(minutes=10)
#: Trees that are counted at once.
_AT_ONCE: Final = 4


class Sizes:
    """The sizes of trees, by name.

    Args:
        clock: the time.
        count: counts one tree; None is what cannot be said in a few seconds.
    """

    def __init__(self, clock: Clock, count: Callable[[Path], Awaitable[int | None]] = beneath.size_of) -> None:
        self._clock = clock
        self._count = count
        self._known: dict[str, tuple[datetime, int | None]] = {}
        self._counting: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def of(self, name: str, root: Path, wait: float | None = None) -> int | None:
        """Bytes that a tree takes, as they were at most ten minutes ago, or longer if counting takes too long.

        Args:
            name: whose tree it is.
            root: where it is.
            wait: seconds after which the count before is good enough; by default there is no hurry.
        """
        known = self._known.get(name)
        if known is None or self._clock() - known[0] >= _FRESH:
            task = self._counting.get(name)
            if task is None:
                task = asyncio.get_running_loop().create_task(self._look(name, root), name=f"size of {name}")
                self._counting[name] = task
            await asyncio.wait({task}, timeout=wait)
            known = self._known.get(name)
        return known[1] if known else None

    async def _look(self, name: str, root: Path) -> None:
        try:
            async with self._turn:
                counted = await self._count(root)
            self._known[name] = (self._clock(), counted)
        finally:
            if self._counting.get(name) is asyncio.current_task():
                del self._counting[name]

    def forget(self, name: str) -> None:
        """The tree is gone; another one may take its name."""
        self._known.pop(name, None)
        if (task := self._counting.pop(name, None)) is not None:
            task.cancel()

    async def close(self) -> None:
        """End what is being counted."""
        tasks = list(self._counting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
