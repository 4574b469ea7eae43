"""Events on their way out: from whoever makes them to the agent's own record and, in batches, to the hive.

`emit` only appends, so no turn ever waits for an event. Batches arise by themselves: what came up while one POST was
under way is the next one. While the hive is away the queue is bounded; the oldest go, and a `note` says how many.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from hyperhive import wire
from hyperhive.clock import utc_now
from hyperhive.errors import HiveError
from hyperhive.harness.hive import is_untaken, until_taken
from hyperhive.harness.redact import Redactor, fitted

if TYPE_CHECKING:
    from datetime import datetime

    from hyperhive.clock import Clock
    from hyperhive.harness.hive import HiveClient
    from hyperhive.harness.record import Record, Row

#: Events and characters of events that wait for the hive at most.
_MOST: Final = 5000
_MOST_CHARACTERS: Final = 8 * 1024 * 1024
#: Events and characters of one batch.
_BATCH: Final = 200
_BATCH_CHARACTERS: Final = 256 * 1024
_log = logging.getLogger(__name__)


class Events:
    """The queue of one harness.

    Args:
        hive: takes the batches.
        record: takes every event as well.
        instance: the word that names this process.
        backoff: pauses while the hive is away.
        clock: the time of events.
    """

    def __init__(
        self, hive: HiveClient, record: Record, instance: str, backoff: tuple[float, float], clock: Clock = utc_now
    ) -> None:
        self.redactor = Redactor()
        self._hive, self._record, self._instance, self._backoff, self._clock = hive, record, instance, backoff, clock
        self._queue: deque[tuple[Row, int]] = deque()
        self._characters = 0
        self._dropped = 0
        self._unrecorded: deque[Row] = deque(maxlen=_MOST)
        self._n = 0
        self._news, self._record_news = asyncio.Event(), asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def emit(self, kind: wire.EventKind, turn: int | None = None, /, **data: Any) -> None:  # noqa: ANN401 - JSON
        """Queue one event. Strings are cut to 32 KiB and cleared of the agent's secrets."""
        shown = fitted(self.redactor.clear(data))
        row: Row = (self._clock(), turn, kind, shown)
        size = len(json.dumps(shown))
        self._queue.append((row, size))
        self._characters += size
        while len(self._queue) > _MOST or self._characters > _MOST_CHARACTERS:
            self._characters -= self._queue.popleft()[1]
            self._dropped += 1
        self._unrecorded.append(row)
        self._idle.clear()
        self._news.set()
        self._record_news.set()

    async def record(self) -> None:
        """Keep what is emitted in the record, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._record_news.wait()
            self._record_news.clear()
            rows = list(self._unrecorded)
            self._unrecorded.clear()
            if rows:
                await self._record.write(loop, rows)

    async def deliver(self) -> None:
        """Send what is emitted to the hive, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while batch := self._next_batch():
                await self._post(batch)
            if not self._queue:
                self._idle.set()

    async def flush(self, seconds: float) -> None:
        """Wait until the hive has everything, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    async def close(self) -> None:
        """Write the rest to the record and close it."""
        loop = asyncio.get_running_loop()
        if self._unrecorded:
            await self._record.write(loop, list(self._unrecorded))
            self._unrecorded.clear()
        await loop.run_in_executor(None, self._record.close)

    def _next_batch(self) -> list[wire.EventIn]:
        batch: list[wire.EventIn] = []
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            text = f"{dropped} events did not reach the hive while it was away; the agent's own record has them"
            batch.append(self._numbered(self._clock(), None, "note", {"text": text, "dropped": dropped}))
        size = 0
        while self._queue and len(batch) < _BATCH and (not batch or size + self._queue[0][1] <= _BATCH_CHARACTERS):
            (at, turn, kind, data), characters = self._queue.popleft()
            self._characters -= characters
            size += characters
            batch.append(self._numbered(at, turn, kind, data))
        return batch

    def _numbered(self, at: datetime, turn: int | None, kind: Any, data: dict[str, Any]) -> wire.EventIn:  # noqa: ANN401
        self._n += 1
        return wire.EventIn(n=self._n, at=at, kind=kind, turn=turn, data=data)

    async def _post(self, batch: list[wire.EventIn]) -> None:
        request = wire.EventsRequest(instance=self._instance, events=batch)
        try:
            await until_taken(lambda: self._hive.events(request), self._backoff, is_untaken)
        except HiveError as error:
            if len(batch) == 1:
                _log.warning("the hive refuses an event of kind %s: %s", batch[0].kind, error)
                return
            # One that the hive cannot take must not cost the others: they keep their numbers and go one by one.
            for event in batch:
                await self._post([event])
