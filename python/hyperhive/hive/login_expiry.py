"""Logins that end soon, shown before they do: three days ahead, in the list of what waits for the operator.

When a stored login ends is reported by its agent's harness. One that ended already and is still in use stays in the
list, until the agent is signed in again or is refused: then it needs a login, and the list says that.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from hyperhive.hive.deadlines import Deadlines
from hyperhive.shapes import WaitingItem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from hyperhive.hive.hive import Hive
    from hyperhive.hive.roster import Agent

#: How long before its end a login is shown.
AHEAD: Final = timedelta(days=3)


class LoginExpiry:
    """The ends of all agents' logins.

    Args:
        hive: the parts that it works with.
    """

    def __init__(self, hive: Hive) -> None:
        self._hive = hive
        self._known: dict[str, datetime] = {}
        #: When each of them begins to be shown, and when it has ended.
        self.deadlines = Deadlines[tuple[str, str]](hive.clock, self._due)
        hive.waiting.sources.append(self.items)

    def close(self) -> None:
        """Show nothing more."""
        self.deadlines.close()

    def changed(self, agent: Agent) -> None:
        """Something about the agent is different, perhaps when its login ends."""
        end = None if agent.tombstone else agent.login_expires_at
        if self._known.get(agent.name) == end:
            return
        self.forget(agent.name)
        if end is not None:
            self._known[agent.name] = end
            now = self._hive.clock()
            for what, at in (("soon", end - AHEAD), ("ended", end)):
                if at > now:
                    self.deadlines.set((agent.name, what), at)
        self.deadlines.look()

    def forget(self, name: str) -> None:
        """Nothing is known of the agent's login."""
        self._known.pop(name, None)
        for what in ("soon", "ended"):
            self.deadlines.drop((name, what))

    def items(self) -> Iterator[WaitingItem]:
        """Each login that ends within three days, and is in use."""
        now = self._hive.clock()
        for name, end in self._known.items():
            agent = self._hive.roster.agents.get(name)
            if agent is None or agent.tombstone or agent.turn_state == "needs_login" or now < end - AHEAD:
                continue
            how = "ends soon" if now < end else "has ended"
            title = f"the login of {name} {how}: sign it in again"
            yield WaitingItem(
                id=f"login_expiry-{name}",
                kind="login_expiry",
                title=title,
                since=end - AHEAD,
                agent=name,
                deadline=end,
                ref=name,
            )

    async def _due(self, _what: tuple[str, str]) -> None:
        self._hive.waiting.changed()
