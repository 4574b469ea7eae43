"""What the hive tells the manager: that something it should know of has happened, as one JSON message from `system`.

The words are those of `docs/manager.md`: each body is an object with `event`. Whoever reports an event goes on
whether or not there is a manager, and whether or not it can be written to.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Literal

from hyperhive.errors import HiveError
from hyperhive.names import MANAGER, SYSTEM

if TYPE_CHECKING:
    from hyperhive.hive.broker import Broker
    from hyperhive.hive.directory import Directory

ManagerEvent = Literal[
    "approval_resolved",
    "spawned",
    "rebuilt",
    "upgraded",
    "killed",
    "destroyed",
    "container_crash",
    "needs_login",
    "logged_in",
    "question_answered",
    "turn_failed",
    "held",
]
"""What can have happened; the manager's prompt explains each."""

_log = logging.getLogger(__name__)


class ManagerEvents:
    """Sends such messages.

    Args:
        broker: delivers them.
        directory: says whether there is a manager.
    """

    def __init__(self, broker: Broker, directory: Directory) -> None:
        self._broker = broker
        self._directory = directory

    async def tell(self, event: ManagerEvent, *, once: str | None = None, **facts: object) -> int | None:
        """Tell the manager of an event that is not its own; whoever tells goes on, whatever becomes of it.

        Args:
            event: what happened.
            once: a key: told twice with the same one, it is one message.
            facts: what belongs to it, as JSON: the agent, a number, a reason.

        Returns:
            The message's id; None where there is none.
        """
        if MANAGER not in self._directory.members() or facts.get("agent") == MANAGER:
            return None
        body = json.dumps({"event": event, **facts}, ensure_ascii=False, default=str)
        try:
            made = await self._broker.send(SYSTEM, MANAGER, body, idempotency_key=once)
        except HiveError as error:
            _log.warning("the manager was not told of '%s': %s", event, error)
            return None
        return made.ids[0]
