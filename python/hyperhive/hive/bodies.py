"""Bodies of messages that were accepted a moment ago, so that handing them out need not read the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hyperhive.store import messages
from hyperhive.wire import Delivery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyperhive.hive.inbox import Entry
    from hyperhive.store.store import Store

#: Bytes kept at most.
_BUDGET: Final = 4 * 1024 * 1024


class Bodies:
    """A bounded cache in front of the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[int, str] = {}
        self._size = 0

    def keep(self, message: int, body: str) -> None:
        """Keep a body; the oldest ones go when there are too many."""
        self._kept[message] = body
        self._size += len(body)
        while self._size > _BUDGET:
            oldest = next(iter(self._kept))
            self._size -= len(self._kept.pop(oldest))

    def drop(self, message: int) -> None:
        """A message is done."""
        body = self._kept.pop(message, None)
        if body is not None:
            self._size -= len(body)

    async def of(self, ids: Sequence[int]) -> dict[int, str]:
        """The bodies of `ids`, from the store where they are not kept."""
        found = {number: self._kept[number] for number in ids if number in self._kept}
        missing = [number for number in ids if number not in found]
        if missing:
            found.update(await self._store.read(messages.bodies, missing))
        return found

    async def deliveries(self, entries: Sequence[Entry]) -> list[Delivery]:
        """Messages as their recipient gets them."""
        bodies = await self.of([entry.id for entry in entries])
        return [_delivery(entry, bodies[entry.id]) for entry in entries]


def _delivery(entry: Entry, body: str) -> Delivery:
    return Delivery(
        id=entry.id,
        **{"from": entry.sender},
        body=body,
        sent_at=entry.sent_at,
        in_reply_to=entry.in_reply_to,
        broadcast_id=entry.broadcast_id,
        redelivered=entry.deliveries > 1,
    )
