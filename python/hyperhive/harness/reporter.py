"""The one place that knows the agent's TurnState, and tells the hive of it: since when, why, and what a turn used.

Changes are queued and sent in order; two that wait are merged into one, except that the usage of a turn is never merged
with another's: it counts. Each report has a number, so that one that is sent twice counts once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from hyperhive import wire
from hyperhive.clock import utc_now
from hyperhive.errors import HiveError
from hyperhive.harness.hive import is_untaken, until_taken
from hyperhive.harness.transitions import is_drawn

if TYPE_CHECKING:
    from datetime import datetime

    from hyperhive.clock import Clock
    from hyperhive.harness.hive import HiveClient

#: What belongs to one moment and is not said again.
_ONCE: Final = frozenset({"usage", "last_turn"})
_log = logging.getLogger(__name__)


class Reporter:
    """Holds the state and sends each change.

    Args:
        hive: is told.
        instance: the word that names this process.
        backoff: pauses while the hive is away.
        clock: the time of changes.
    """

    def __init__(self, hive: HiveClient, instance: str, backoff: tuple[float, float], clock: Clock = utc_now) -> None:
        self._hive, self._instance, self._backoff, self._clock = hive, instance, backoff, clock
        self._known: dict[str, Any] = {}
        self._queue: deque[dict[str, Any]] = deque()
        self._news, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._n = 0

    @property
    def state(self) -> wire.TurnState | None:
        """What was last entered."""
        state: wire.TurnState | None = self._known.get("state")
        return state

    def enter(
        self,
        state: wire.TurnState,
        problem: str | None = None,
        until: datetime | None = None,
        scope: wire.LimitScope | None = None,
    ) -> None:
        """Go to `state`; problem, time and the scope of a limit are those of the new state, or none."""
        same = state == self.state
        if not is_drawn(self.state, state):
            # Shown all the same: what is, is. The tests of the harness fail over it.
            _log.error("the state goes from %s to %s, which the turn loop does not draw", self.state, state)
        about = {"problem": problem[:4000] if problem else None, "until": until, "limit_scope": scope}
        if not same or any(self._known.get(key) != value for key, value in about.items()):
            self.tell(state=state, since=self._known["since"] if same else self._clock(), **about)

    def tell(self, **changes: Any) -> None:  # noqa: ANN401 - the fields of ReportRequest
        """Queue `changes`; values of None clear what the hive holds."""
        self._known |= {key: value for key, value in changes.items() if key not in _ONCE}
        if self._queue and not (_ONCE & changes.keys() and _ONCE & self._queue[-1].keys()):
            self._queue[-1].update(changes)
        else:
            self._queue.append(changes)
        self._idle.clear()
        self._news.set()

    def repeat(self) -> None:
        """Say everything again: a hive that was away may have forgotten."""
        if self._known:
            self.tell(**self._known)

    async def run(self) -> None:
        """Send what is queued, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._queue:
                await self._post(self._queue.popleft())
            self._idle.set()

    async def sent(self) -> None:
        """Wait until the hive has everything, or has refused it."""
        await self._idle.wait()

    async def flush(self, seconds: float) -> None:
        """Wait until the hive has everything, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    async def _post(self, changes: dict[str, Any]) -> None:
        self._n += 1
        request = wire.ReportRequest(**changes, instance=self._instance, n=self._n)
        try:
            await until_taken(lambda: self._hive.report(request), self._backoff, is_untaken)
        except HiveError as error:
            _log.warning("the hive refuses a report of %s: %s", ", ".join(changes), error)
