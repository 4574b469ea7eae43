"""Holds: an agent whose messages became dead letters one after the other is handed nothing until somebody has looked.

Three different messages in a row are enough; a turn that ends well in between begins the count anew. A hold is a pause
that the hive has put: it is shown as one, it outlives restarts and rebuilds, and what ends a pause ends it: resume,
start, revive. It is kept beside what is wanted of the agent, and changes nothing of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hyperhive.hive.roster import Decision
from hyperhive.names import MANAGER
from hyperhive.shapes import WaitingItem
from hyperhive.store import holds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hyperhive.hive.hive import Hive
    from hyperhive.hive.roster import Agent
    from hyperhive.store.holds import Streak

#: Why a held agent's mailbox is shut.
_WHY: Final = "held"
#: Characters of the last reason that the list of what waits shows.
_SHOWN: Final = 200


class Holds:
    """The holds of a hive, and the dead letters on the way to one.

    Args:
        hive: the parts that it works with.
    """

    def __init__(self, hive: Hive) -> None:
        self._hive = hive
        self._streaks: dict[str, Streak] = {}
        hive.waiting.sources.append(self.items)

    async def load(self) -> None:
        """Take up what earlier runs of the hive counted. After the agents are known."""
        for streak in await self._hive.store.read(holds.list_holds):
            self._streaks[streak.agent] = streak
            self._shut(streak)

    def is_counting(self, agent: str) -> bool:
        """Whether a turn of the agent that ends well ends a row of dead letters."""
        streak = self._streaks.get(agent)
        return streak is not None and streak.held_at is None

    def counted(self, streak: Streak) -> None:
        """This is what the store knows by now; from within the commit, before anything else is handed out."""
        before = self._streaks.get(streak.agent)
        if not streak.messages:
            self._streaks.pop(streak.agent, None)
            return
        self._streaks[streak.agent] = streak
        self._shut(streak)
        if streak.held_at is not None and (before is None or before.held_at is None):
            self._tell(streak)

    async def lift(self, agent: Agent) -> None:
        """Let the agent work again, with nothing counted."""
        if agent.name in self._streaks:
            await self._hive.store.submit(holds.lift, agent.name, lambda _done: self.forget(agent.name))

    def forget(self, name: str) -> None:
        """The store knows nothing of it any more."""
        self._streaks.pop(name, None)
        if agent := self._hive.roster.agents.get(name):
            self._hive.hold_back(agent, _WHY, None)
        self._hive.waiting.changed()

    def items(self) -> Iterator[WaitingItem]:
        """What waits for the operator: each agent that is held, and no tombstone."""
        for streak in self._streaks.values():
            agent = self._hive.roster.agents.get(streak.agent)
            if streak.held_at is not None and agent is not None and not agent.tombstone:
                title = f"{agent.name} is held: {_why(streak)}"
                yield WaitingItem(
                    id=f"hold-{agent.name}",
                    kind="hold",
                    title=title,
                    since=streak.held_at,
                    agent=agent.name,
                    ref=agent.name,
                )

    def _shut(self, streak: Streak) -> None:
        agent = self._hive.roster.agents.get(streak.agent)
        if streak.held_at is not None and agent is not None:
            problem = f"{_why(streak)}. When it is mended: hyperhive resume {agent.name}"
            self._hive.hold_back(agent, _WHY, Decision("paused", streak.held_at, problem))

    def _tell(self, streak: Streak) -> None:
        if streak.agent != MANAGER:
            facts = {"agent": streak.agent, "messages": list(streak.messages), "reason": streak.reason}
            self._hive.trouble.failures.tell(
                "held", f"held-{streak.agent}-{streak.messages[-1]}-{streak.held_at}", facts
            )


def _why(streak: Streak) -> str:
    ids = ", ".join(str(number) for number in streak.messages)
    last = next(iter((streak.reason or "").splitlines()), "") or "for no reason that is known"
    return f"{len(streak.messages)} messages in a row became dead letters ({ids}), the last one: {last[:_SHOWN]}"
