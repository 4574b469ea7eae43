"""Whether agents are logged in, as their harnesses say; the manager is told when that changes, and only then.

It is kept in the database, so that a restart is no news. A login that was refused and is tried again by itself counts
as none until a turn with it has ended well: else each try would be told, and its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperhive.store import agents
from hyperhive.store.agents import LoggedIn

if TYPE_CHECKING:
    from datetime import datetime

    from hyperhive.hive.hive import Hive
    from hyperhive.hive.manager_events import ManagerEvent
    from hyperhive.hive.roster import Agent


class Logins:
    """Watches the agents' logins.

    Args:
        hive: whose agents.
    """

    def __init__(self, hive: Hive) -> None:
        self._hive = hive
        #: Whose refused login is tried again by itself, and since when it was refused.
        self._refused: dict[str, datetime] = {}

    def look(self, agent: Agent) -> None:
        """Something about an agent is different."""
        now = self._is_logged_in(agent)
        if now is None or now == agent.logged_in or not self._hive.roster.is_member(agent):
            return
        before, agent.logged_in = agent.logged_in, now
        self._hive.store.note(agents.set_logged_in, LoggedIn(agent.name, now))
        if not now or before is False:
            event: ManagerEvent = "logged_in" if now else "needs_login"
            once = f"{event} {agent.name} {self._hive.clock()}"
            self._hive.trouble.failures.tell(event, once, {"agent": agent.name})

    def _is_logged_in(self, agent: Agent) -> bool | None:
        """What its harness says; None where that says nothing about it."""
        name, since = agent.name, agent.turn_since
        if agent.turn_state is None:
            return None
        if agent.turn_state == "needs_login":
            if agent.until is not None and since is not None:
                self._refused[name] = since
            else:
                self._refused.pop(name, None)
            return False
        refused, last = self._refused.get(name), agent.last_turn
        if refused is not None and not (last is not None and last.ok and last.ended_at >= refused):
            return None
        self._refused.pop(name, None)
        return True
