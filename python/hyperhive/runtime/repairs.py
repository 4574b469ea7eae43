"""How often something that keeps breaking is mended before it is left and shown."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Repairs:
    """How often broken containers may be mended.

    Only what follows a crash that was reported counts: whoever asks for a start later may have one.

    Args:
        most: repairs in `seconds`.
        clock: seconds that only grow.
    """

    def __init__(self, most: int = 3, seconds: float = 600.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self._seconds = seconds
        self._clock = clock
        self._made: defaultdict[str, deque[float]] = defaultdict(deque)
        self._counted: set[str] = set()

    def count_next(self, name: str) -> None:
        """The next repair of `name` is the answer to a crash."""
        self._counted.add(name)

    def awaits(self, name: str) -> bool:
        """Whether a crash of `name` was not answered yet."""
        return name in self._counted

    def allow(self, name: str) -> bool:
        """Whether `name` may be mended now; takes note that it is."""
        if name not in self._counted:
            return True
        self._counted.remove(name)
        made, now = self._made[name], self._clock()
        while made and now - made[0] > self._seconds:
            made.popleft()
        if len(made) >= self.most:
            return False
        made.append(now)
        return True
