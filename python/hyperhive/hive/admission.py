"""Who may send what to whom, and how much of it: asked before anything is written.

A refusal is for whoever sends, and says when to try again. What is counted here and then not accepted is taken back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperhive.errors import HiveError
from hyperhive.hive.directory import resolve_recipients
from hyperhive.hive.limits import SenderWindow
from hyperhive.names import OPERATOR, SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hyperhive.hive.directory import Directory
    from hyperhive.hive.limits import Limits
    from hyperhive.hive.mailbox import Mailbox


class Admission:
    """The broker's door.

    Args:
        directory: who there is, and who may write to whom.
        limits: how much is allowed.
        box: gives the mailbox of a name.
    """

    def __init__(self, directory: Directory, limits: Limits, box: Callable[[str], Mailbox]) -> None:
        self._directory = directory
        self._limits = limits
        self._box = box
        self._windows: dict[str, SenderWindow] = {}

    def admit(self, sender: str, to: str, now: datetime) -> tuple[str, ...]:
        """Count what `sender` is about to send to `to`, or refuse it; returns the recipients.

        Raises:
            HiveError: `unknown_recipient`, `recipient_gone`, `not_allowed`, `too_many_messages`, `too_many_unread`.
        """
        recipients = resolve_recipients(self._directory, sender, to)
        if not recipients:
            raise HiveError("unknown_recipient", "there is nobody else to write to", "Wait until there are more agents")
        for name in recipients:
            if not self.has_room(name):
                raise HiveError(
                    "too_many_unread",
                    f"{self._limits.unread} messages wait for '{name}' already",
                    "Wait until it has worked some of them off",
                    retry_after=30,
                )
        if sender not in {OPERATOR, SYSTEM}:
            self.throttle(sender, len(recipients), now)
        return recipients

    def throttle(self, sender: str, count: int, now: datetime) -> None:
        """Count what an agent makes the hive keep, or refuse it.

        Raises:
            HiveError: `too_many_messages`.
        """
        self._windows.setdefault(sender, SenderWindow()).admit(sender, count, self._limits.sends_a_minute, now)

    def take_back(self, sender: str, count: int, at: datetime) -> None:
        """What was counted at `at` is not kept, or had been before."""
        if window := self._windows.get(sender):
            window.take_back(count, at)

    def has_room(self, name: str) -> bool:
        """Whether one more message may wait for `name`."""
        box = self._box(name)
        return name == OPERATOR or len(box.inbox) + box.coming < self._limits.unread
