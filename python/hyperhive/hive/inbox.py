"""What waits for one agent and what it holds, in memory: pure, with the time passed in.

An entry is either waiting or held, never both and never neither; `Broker` moves it and writes it down. Bodies are not
here: a backlog must not fill the memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable
    from datetime import datetime


@dataclass(slots=True)
class Entry:
    """A message that its recipient has not done."""

    id: int
    sender: str
    recipient: str
    sent_at: datetime
    #: The beginning of the body, for the pages.
    preview: str = ""
    in_reply_to: int | None = None
    broadcast_id: int | None = None
    deliveries: int = 0
    failures: int = 0
    not_before: datetime | None = None
    #: How it ended, why, and when; of one that goes back, why.
    outcome: str | None = None
    reason: str | None = None
    settled_at: datetime | None = None
    #: Instance of the harness that holds it.
    holder: str | None = None
    #: The hand-out that follows was written together with the message.
    hand_out_written: bool = False
    #: That it was handed out is on its way to the disk.
    marking: asyncio.Future[None] | None = None
    #: An outcome is on its way to the disk.
    closing: bool = False
    #: It was read at the start of the hive: a harness may be at work on it, and has not said so yet.
    unclaimed: bool = False


def entry_of(row: Any) -> Entry:  # noqa: ANN401 - a row of the store
    """The broker's picture of a stored message."""
    return Entry(
        id=row.id,
        sender=row.sender,
        recipient=row.recipient,
        sent_at=row.sent_at,
        preview=row.preview,
        in_reply_to=row.in_reply_to,
        broadcast_id=row.broadcast_id,
        deliveries=row.deliveries,
        failures=row.failures,
        not_before=row.not_before,
        outcome=row.outcome,
        reason=row.reason,
        settled_at=row.settled_at,
    )


@dataclass(slots=True)
class Inbox:
    """The messages of one recipient that are on disk and not done."""

    waiting: dict[int, Entry] = field(default_factory=dict)
    held: dict[int, Entry] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.waiting) + len(self.held)

    def add(self, entry: Entry) -> None:
        """Append a message that came to disk after all others here."""
        self.waiting[entry.id] = entry

    def take(self, most: int, now: datetime, holder: str | None) -> list[Entry]:
        """Hand out up to `most` messages, in order for each sender.

        Behind one that backs off, or whose outcome is not on disk yet and may send it back, later ones of its sender
        wait.
        """
        taken: list[Entry] = []
        blocked = {entry.sender for entry in self.held.values() if entry.closing}
        for entry in self.waiting.values():
            if len(taken) == most:
                break
            if entry.sender in blocked:
                continue
            if entry.not_before is not None and entry.not_before > now:
                blocked.add(entry.sender)
                continue
            taken.append(entry)
        for entry in taken:
            del self.waiting[entry.id]
            entry.deliveries += 1
            self.hold(entry, holder)
        return taken

    def hold(self, entry: Entry, holder: str | None) -> None:
        """A harness works on a message that is not waiting any more."""
        entry.holder = holder
        entry.unclaimed = False
        self.held[entry.id] = entry

    def claim(self, number: int, now: datetime, holder: str | None) -> Entry | None:
        """Take what a harness was handed out before the hive restarted under it; None where that cannot be.

        What backs off was judged before: a harness that speaks of it repeats itself.
        """
        entry = self.waiting.get(number)
        if entry is None or not entry.unclaimed or (entry.not_before is not None and entry.not_before > now):
            return None
        del self.waiting[number]
        self.hold(entry, holder)
        return entry

    def put_back(self, entries: Iterable[Entry]) -> None:
        """Let held messages wait again, each in its old place."""
        for entry in entries:
            if self.held.pop(entry.id, None) is not None:
                entry.holder = None
                entry.closing = False
                self.waiting[entry.id] = entry
        self.waiting = dict(sorted(self.waiting.items()))

    def forget(self, message: int) -> None:
        """A message is done."""
        self.held.pop(message, None)
        self.waiting.pop(message, None)

    def next_due(self, now: datetime) -> datetime | None:
        """When the first message that backs off may go out again."""
        due = [e.not_before for e in self.waiting.values() if e.not_before is not None and e.not_before > now]
        return min(due, default=None)
