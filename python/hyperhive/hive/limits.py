"""How much one sender and one inbox may take; over it, 429 with the time after which it is worth trying again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from datetime import datetime

#: Seconds over which sends are counted.
_WINDOW = 60


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the broker.

    Attributes:
        unread: messages that may wait for one agent.
        sends_a_minute: messages of one agent that are accepted in any 60 seconds; a broadcast counts its recipients.
        attempts: failed turns after which a message becomes a dead letter.
        back_off: seconds after the first failure; doubled with each further one.
    """

    unread: int = 1000
    sends_a_minute: int = 600
    attempts: int = 5
    back_off: float = 5.0


@dataclass(slots=True)
class SenderWindow:
    """When one sender's messages of the last minute were accepted."""

    times: deque[datetime] = field(default_factory=deque)

    def admit(self, sender: str, count: int, most: int, now: datetime) -> None:
        """Count `count` messages, or refuse them all.

        Raises:
            HiveError: `too_many_messages`, with `retry_after` in seconds.
        """
        while self.times and (now - self.times[0]).total_seconds() >= _WINDOW:
            self.times.popleft()
        if len(self.times) + count > most:
            oldest = self.times[0] if self.times else now
            wait = max(1, ceil(_WINDOW - (now - oldest).total_seconds()))
            raise HiveError(
                "too_many_messages",
                f"'{sender}' has sent {len(self.times)} messages in the last minute; {most} are allowed",
                f"Try again in {wait} s, and put more into one message",
                retry_after=wait,
            )
        self.times.extend([now] * count)
