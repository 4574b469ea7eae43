"""Turns that failed, told to the manager: whose it was, which message, the how-manieth try, and why.

While the manager has not read of an agent's last failure, the next ones of that agent are kept: then it is told of the
newest, and how many there were. So an agent that fails again and again costs the manager one message at a time. Of its
own failures it is not told; they end as dead letters, in front of the operator.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hyperhive.hive.background import begin
from hyperhive.names import MANAGER

if TYPE_CHECKING:
    import asyncio

    from hyperhive.hive.hive import Hive
    from hyperhive.hive.inbox import Entry
    from hyperhive.hive.manager_events import ManagerEvent

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Line:
    """What the manager is told of one agent: what it has not read, and what comes after that."""

    waiting: int | None = None
    busy: bool = False
    #: A key that no other failure has, and the facts.
    following: tuple[str, dict[str, Any]] | None = None
    passed_over: int = 0


class Failures:
    """Tells the manager of failures.

    Args:
        hive: the parts that it works with.
        group: owns what goes on in the background.
    """

    def __init__(self, hive: Hive, group: asyncio.TaskGroup) -> None:
        self._hive = hive
        self._group = group
        self._lines: dict[str, _Line] = {}

    def failed(self, entry: Entry, *, dead: bool) -> None:
        """A turn on this message failed, and that was counted."""
        if entry.recipient == MANAGER:
            return
        line = self._lines.setdefault(entry.recipient, _Line())
        if line.following is not None:
            line.passed_over += 1
        facts = {"agent": entry.recipient, "message": entry.id, "from": entry.sender, "attempt": entry.failures}
        # One that is requeued fails for the first time once more; how often it was handed out only goes up.
        key = f"turn_failed-{entry.id}-{entry.deliveries}"
        line.following = key, {**facts, "deadLetter": dead, "reason": entry.reason}
        self._go_on(line)

    def read(self, message: int) -> None:
        """The manager was handed this message, or will never be."""
        for line in self._lines.values():
            if line.waiting == message:
                line.waiting = None
                self._go_on(line)

    def tell(self, event: ManagerEvent, once: str, facts: dict[str, Any]) -> None:
        """Tell the manager of something else, soon."""
        begin(self._group, self._told(event, once, facts), f"tell the manager of {event}")

    def _go_on(self, line: _Line) -> None:
        if line.following is not None and line.waiting is None and not line.busy:
            line.busy = True
            begin(self._group, self._work(line), "tell the manager of a failure")

    async def _work(self, line: _Line) -> None:
        key, facts = line.following or ("", {})
        facts["notTold"], line.following, line.passed_over = line.passed_over, None, 0
        message = await self._told("turn_failed", key, facts)
        line.busy = False
        if message is not None and self._hive.broker.is_waiting(MANAGER, message):
            line.waiting = message
        self._go_on(line)

    async def _told(self, event: ManagerEvent, once: str, facts: dict[str, Any]) -> int | None:
        try:
            return await self._hive.manager_events.tell(event, once=once, **facts)
        except Exception:  # noqa: BLE001 - the top of a task: what is told is only told
            _log.exception("the manager was not told of '%s'", event)
            return None
