"""Waking an agent with a word of the hive's own, so that it looks at its notes and goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperhive.names import SYSTEM

if TYPE_CHECKING:
    from hyperhive.hive.hive import Hive
    from hyperhive.hive.roster import Agent


class Kicks:
    """Sends such words, one at a time an agent: while one waits, another says nothing new."""

    def __init__(self, hive: Hive) -> None:
        self._hive = hive
        self._last: dict[str, int] = {}

    async def kick(self, agent: Agent, reason: str) -> None:
        """Wake the agent.

        Args:
            agent: whom.
            reason: why, as the end of a sentence.

        Raises:
            HiveError: as for any message.
        """
        hive, name = self._hive, agent.name
        if hive.broker.is_waiting(name, self._last.get(name)):
            return
        body = f"You were woken because {reason}. Look at your notes (notes.md) and go on with what is open."
        made = await hive.broker.send(SYSTEM, name, body)
        self._last[name] = made.ids[0]
