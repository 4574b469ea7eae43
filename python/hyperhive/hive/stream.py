"""What the pages are told: every change, numbered, kept for a while.

One ring for all subscribers. A subscriber remembers how far it has read; it needs no queue of its own and cannot slow
anybody down. Whoever comes back after the ring has moved on, or after a restart (another epoch), is told to resync.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from hyperhive.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hyperhive.clock import Clock
    from hyperhive.shapes import StreamType

#: Changes kept.
RING: Final = 10_000
#: Seconds after which a silent stream says that it is still there.
_BEAT: Final = 20.0


class Stream:
    """The changes of one run of the daemon."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.epoch = secrets.token_hex(6)
        self.seq = 0
        self._ring: deque[tuple[int, bytes]] = deque(maxlen=RING)
        self._changed = asyncio.Event()
        self._closed = False

    def publish(self, kind: StreamType, data: dict[str, Any]) -> None:
        """Append a change and wake every subscriber."""
        self.seq += 1
        payload = {"type": kind, "seq": self.seq, "epoch": self.epoch, "at": rfc3339(self._clock()), "data": data}
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
        frame = f"id: {self.epoch}.{self.seq}\ndata: {text}\n\n".encode("utf-8", "replace")
        self._ring.append((self.seq, frame))
        self._wake()

    def close(self) -> None:
        """End every subscription."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def follow(self, since: int | None, epoch: str | None) -> AsyncIterator[bytes]:
        """Server-sent events from `since` on, then as they come.

        Args:
            since: the last number that the subscriber has seen; None is now.
            epoch: the run that the number is of.
        """
        position = self.seq if since is None else since
        if (epoch is not None and epoch != self.epoch) or not self._reaches(position):
            yield self._resync()
            position = self.seq
        yield b": here\n\n"
        while not self._closed:
            changed = self._changed
            behind = self._after(position)
            if behind is None:
                yield self._resync()
                position = self.seq
            elif behind:
                position = behind[-1][0]
                yield b"".join(frame for _seq, frame in behind)
            else:
                try:
                    async with asyncio.timeout(_BEAT):
                        await changed.wait()
                except TimeoutError:
                    yield b": here\n\n"

    def _reaches(self, position: int) -> bool:
        return position <= self.seq and (position == self.seq or self._ring[0][0] <= position + 1)

    def _after(self, position: int) -> list[tuple[int, bytes]] | None:
        missing = self.seq - position
        if missing > len(self._ring):
            return None
        return [self._ring[i] for i in range(len(self._ring) - missing, len(self._ring))] if missing else []

    def _resync(self) -> bytes:
        payload = {"type": "resync", "seq": self.seq, "epoch": self.epoch}
        return f"id: {self.epoch}.{self.seq}\ndata: {json.dumps(payload)}\n\n".encode()
