"""An endpoint that has not answered for a while: agents rest and try again by themselves, and the operator is told.

One item for all agents that it concerns: it is one thing that is broken, and rarely theirs.
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

#: Trouble that is over sooner is nobody's business.
AFTER: Final = timedelta(minutes=10)


class Outages:
    """Since when agents have had no answer from the model's endpoint.

    Args:
        hive: the parts that it works with.
    """

    def __init__(self, hive: Hive) -> None:
        self._hive = hive
        self._since: dict[str, datetime] = {}
        self._problems: dict[str, str] = {}
        self.deadlines = Deadlines[str](hive.clock, self._due)
        hive.waiting.sources.append(self.items)

    def close(self) -> None:
        """Show nothing more."""
        self.deadlines.close()

    def changed(self, agent: Agent) -> None:
        """Something about the agent is different, perhaps whether it is answered."""
        since = self._since.get(agent.name)
        if agent.turn_state == "rate_limited" and agent.limit_scope == "endpoint" and agent.fact is None:
            self._problems[agent.name] = agent.problem or "it says no more"
            if since is None:
                self._since[agent.name] = agent.turn_since or self._hive.clock()
                self.deadlines.set(agent.name, self._since[agent.name] + AFTER)
                self.deadlines.look()
        elif since is not None and self._is_over(agent, since):
            self.forget(agent.name)

    @staticmethod
    def _is_over(agent: Agent, since: datetime) -> bool:
        """Whether the endpoint has answered it, whatever the answer, or nobody asks any more."""
        last = agent.last_turn
        answered = last is not None and last.ok and last.ended_at > since
        other = agent.turn_state == "needs_login" or agent.limit_scope == "account"
        return answered or other or agent.fact is not None or agent.tombstone

    def forget(self, name: str) -> None:
        """The agent has no trouble with it."""
        self._since.pop(name, None)
        self._problems.pop(name, None)
        self.deadlines.drop(name)

    def items(self) -> Iterator[WaitingItem]:
        """One item, where somebody has had no answer for too long."""
        now = self._hive.clock()
        long = sorted((since, name) for name, since in self._since.items() if now >= since + AFTER)
        if long:
            since, first = long[0]
            others = f" and {len(long) - 1} more" if len(long) > 1 else ""
            title = f"the model does not answer {first}{others}, who try again by themselves: {self._problems[first]}"
            if not others:
                title = f"the model does not answer {first}, who tries again by itself: {self._problems[first]}"
            yield WaitingItem(id="outage-*", kind="outage", title=title, since=since)

    async def _due(self, _name: str) -> None:
        self._hive.waiting.changed()
