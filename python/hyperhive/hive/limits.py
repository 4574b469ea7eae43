"""How much one message, one sender and one inbox may be; over it, an error that says what to do instead."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

from hyperhive.errors import HiveError
from hyperhive.wire import MAX_BODY

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
            # So many of the oldest must be over a minute old.
            too_many = min(len(self.times) + count - most, len(self.times))
            last = self.times[too_many - 1] if too_many else now
            wait = max(1, ceil(_WINDOW - (now - last).total_seconds()))
            raise HiveError(
                "too_many_messages",
                f"'{sender}' has sent {len(self.times)} messages in the last minute; {most} are allowed",
                f"Try again in {wait} s, and put more into one message",
                retry_after=wait,
            )
        self.times.extend([now] * count)

    def take_back(self, count: int, at: datetime) -> None:
        """Uncount messages that were counted at `at`, and were not accepted or had been before."""
        for _ in range(count):
            with suppress(ValueError):
                self.times.remove(at)


def check_body(body: str) -> None:
    """Refuse a body that is too long, or that not every store and page can hold.

    Raises:
        HiveError: `body_too_large`, `malformed`.
    """
    check_text("the body", body, MAX_BODY)


def check_text(what: str, text: str, most: int) -> None:
    """Refuse a text of more than `most` bytes, or that not every store and page can hold; `what` it is, for the error.

    Raises:
        HiveError: `body_too_large`, `malformed`.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise HiveError("malformed", f"{what} is no text: it holds half a surrogate pair", "Send UTF-8 text") from None
    if "\0" in text:
        raise HiveError("malformed", f"{what} holds a NUL character", "Write binary data to a file under /shared")
    if size > most:
        raise HiveError(
            "body_too_large",
            f"{what} has {size:,} bytes; {most:,} are allowed",
            "Write it to a file under /shared and send its path",
        )
