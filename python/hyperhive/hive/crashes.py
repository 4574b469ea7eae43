"""How often agents crashed lately, and how long to wait before the next start."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

#: Crashes in this many seconds, after which an agent is left as failed.
_WINDOW: Final = 600.0
_MOST: Final = 5
#: Seconds before the first start after a crash; each later one waits twice as long.
_FIRST: Final = 0.1


class Crashes:
    """A short memory of crashes."""

    def __init__(self) -> None:
        self._seen: defaultdict[str, deque[datetime]] = defaultdict(deque)

    def add(self, name: str, now: datetime) -> tuple[int, float | None]:
        """Count a crash.

        Returns:
            Crashes in the window, and seconds to wait before the next start; None where there should be none.
        """
        seen = self._seen[name]
        seen.append(now)
        while (now - seen[0]).total_seconds() > _WINDOW:
            seen.popleft()
        return len(seen), None if len(seen) > _MOST else _FIRST * 2 ** (len(seen) - 1)

    def forgive(self, name: str) -> None:
        """Somebody started it by hand."""
        self._seen.pop(name, None)
