"""What the pages are told: every change, numbered, kept for a while.

One ring for all subscribers, and no work for nobody: a change is put into words when the first subscriber reads it. A
subscriber remembers how far it has read; it needs no queue of its own and cannot slow
anybody down. Whoever comes back after the ring has moved on, or after a restart (another epoch), is told to resync.
An agent's page follows that agent alone: each change knows whom it is about, so that none has to be put into words to
find out.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hyperhive.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection
    from datetime import datetime

    from hyperhive.clock import Clock
    from hyperhive.shapes import StreamType

#: Changes kept.
RING: Final = 10_000
#: Seconds after which a silent stream says that it is still there.
_BEAT: Final = 20.0
#: Types of changes that an agent's page is told, with the keys of their data that name the agents they are about.
_OF_AGENTS: Final[dict[StreamType, tuple[str, ...]]] = {
    "agent": ("name",),
    "message": ("from", "to"),
    "event": ("agent",),
    "question": ("asker",),
    "reminder": ("agent",),
    "operation": ("agent",),
}


@dataclass(slots=True)
class _Change:
    """One change; its frame is made once, at the first reading."""

    seq: int
    kind: StreamType
    at: datetime
    data: dict[str, Any] | Callable[[], dict[str, Any]] | None
    about: Collection[str]
    made: bytes | None = None

    def concerns(self, agent: str) -> bool:
        """Whether the agent's page is told."""
        return agent in self.about and self.kind in _OF_AGENTS

    def frame(self, epoch: str) -> bytes:
        """The change as a server-sent event."""
        if self.made is None:
            data = self.data() if callable(self.data) else self.data
            payload = {"type": self.kind, "seq": self.seq, "epoch": epoch, "at": rfc3339(self.at), "data": data}
            text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
            self.made = f"id: {epoch}.{self.seq}\ndata: {text}\n\n".encode("utf-8", "replace")
            self.data = None
        return self.made


class Stream:
    """The changes of one run of the daemon."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.epoch = secrets.token_hex(6)
        self.seq = 0
        self._ring: deque[_Change] = deque(maxlen=RING)
        self._changed = asyncio.Event()
        self._closed = False
        #: Who follows.
        self.followers = 0

    def publish(
        self,
        kind: StreamType,
        data: dict[str, Any] | Callable[[], dict[str, Any]],
        about: Collection[str] | None = None,
    ) -> None:
        """Append a change and wake every subscriber.

        Args:
            kind: what changed.
            data: how it is now; a callable is asked when the change is first read, if it ever is.
            about: the agents whose pages are told; by default it follows from the data, and from a callable nobody.
        """
        if about is None:
            keys = _OF_AGENTS.get(kind, ())
            about = () if callable(data) else [data[key] for key in keys if key in data]
        self.seq += 1
        self._ring.append(_Change(self.seq, kind, self._clock(), data, about))
        self._wake()

    def close(self) -> None:
        """End every subscription."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def follow(self, since: int | None, epoch: str | None, agent: str | None = None) -> AsyncIterator[bytes]:
        """Server-sent events from `since` on, then as they come.

        Args:
            since: the last number that the subscriber has seen; None is now.
            epoch: the run that the number is of.
            agent: whose changes are wanted; None is everything.
        """
        position = self.seq if since is None else since
        if (epoch is not None and epoch != self.epoch) or not self._reaches(position):
            position = self.seq  # before the yield: what is published while it is being sent comes afterwards
            yield self._resync()
        yield b": here\n\n"
        self.followers += 1
        try:
            async for said in self._follow(position, agent):
                yield said
        finally:
            self.followers -= 1

    async def _follow(self, position: int, agent: str | None) -> AsyncIterator[bytes]:
        # Changes of others must not keep it from saying that it is there.
        silent_until = time.monotonic() + _BEAT
        while not self._closed:
            changed = self._changed
            behind = self._after(position)
            if behind is None:
                position = self.seq
                said = self._resync()
            else:
                position += len(behind)
                said = self._frames(behind, agent)
            if not said and not behind and not await _happens(changed, silent_until):
                said = b": here\n\n"
            if said:
                yield said
                silent_until = time.monotonic() + _BEAT

    def _frames(self, changes: list[_Change], agent: str | None) -> bytes:
        return b"".join(change.frame(self.epoch) for change in changes if agent is None or change.concerns(agent))

    def _reaches(self, position: int) -> bool:
        return position <= self.seq and (position == self.seq or self._ring[0].seq <= position + 1)

    def _after(self, position: int) -> list[_Change] | None:
        missing = self.seq - position
        if missing > len(self._ring):
            return None
        return [self._ring[i] for i in range(len(self._ring) - missing, len(self._ring))] if missing else []

    def _resync(self) -> bytes:
        payload = {"type": "resync", "seq": self.seq, "epoch": self.epoch}
        return f"id: {self.epoch}.{self.seq}\ndata: {json.dumps(payload)}\n\n".encode()


async def _happens(changed: asyncio.Event, until: float) -> bool:
    """Wait for a change; false where none came in time."""
    try:
        async with asyncio.timeout(until - time.monotonic()):
            await changed.wait()
    except TimeoutError:
        return False
    return True
