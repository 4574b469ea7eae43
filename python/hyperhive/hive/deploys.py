"""Bringing an agent that runs to changed settings, without ending its turn.

Limits apply at once. Another system, other directories or secrets need the harness to start anew: until its turn has
ended that is *pending*, and shown so. While it is done nothing is handed to the agent, so that no turn begins under it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

    from hyperhive.hive.hive import Hive
    from hyperhive.hive.lifecycle import Lifecycle
    from hyperhive.hive.roster import Agent

#: Why the agent's mailbox is shut meanwhile.
_WHY: Final = "deploy"


class Deploys:
    """Decides when, and does it.

    Args:
        hive: the parts that it works with.
        lifecycle: knows what an agent should run on, and how to have its harness leave.
    """

    def __init__(self, hive: Hive, lifecycle: Lifecycle) -> None:
        self._hive = hive
        self._lifecycle = lifecycle
        self._begun: set[str] = set()

    def look(self, agent: Agent) -> list[asyncio.Task[None]]:
        """See whether an agent that runs is on what the settings want, and queue what has to be done now."""
        if agent.tombstone or agent.name in self._begun:
            return []
        change = self._hive.runtime.change(self._lifecycle.plan(agent))
        pending = change in {"reload", "restart"}
        if pending != agent.restart_pending:
            agent.restart_pending = pending
            self._hive.roster.touch(agent)
        # That it is pending was told above, and may have been acted on there and then.
        if change == "none" or agent.name in self._begun or (pending and not self._is_quiet(agent)):
            return []
        self._begun.add(agent.name)
        return [self._hive.operations.begin(agent.name, "deploy", partial(self._deploy, agent))[1]]

    def _is_quiet(self, agent: Agent) -> bool:
        """Whether no turn would be ended. One that was taken over may be in a turn until it has said that it is not."""
        if agent.fact in {"failed", "unreachable"}:
            return True
        known = agent.fact is None and agent.turn_state is not None
        return known and not agent.in_turn and not self._hive.broker.holds(agent.name)

    async def _deploy(self, agent: Agent) -> None:
        hive, name = self._hive, agent.name
        try:
            if agent.restart_pending:
                await self._lifecycle.take_place(name)
            hive.broker.shut(name, _WHY)
            change = hive.runtime.change(self._lifecycle.plan(agent))
            if agent.tombstone or name not in hive.runtime.running() or change == "none":
                agent.restart_pending = False
            elif change == "limits":
                await hive.runtime.deploy(self._lifecycle.plan(agent))
            elif self._is_quiet(agent):
                await self._restart(agent)
        except Exception as error:
            # Whatever it is: not again with the next turn's end, but with the next change of the settings.
            agent.restart_pending = False
            if name in hive.runtime.running():
                hive.roster.set_fact(agent, agent.fact, f"the new settings could not be applied: {error}")
            else:
                hive.roster.set_fact(agent, "failed", str(error))
            raise
        finally:
            if agent.fact != "starting":
                self._lifecycle.leave_place(name)
            self._begun.discard(name)
            hive.broker.open(name, _WHY)
            hive.roster.touch(agent)

    async def _restart(self, agent: Agent) -> None:
        hive, name, lifecycle = self._hive, agent.name, self._lifecycle
        async with lifecycle.leaving(name):
            change = await hive.runtime.deploy(plan := lifecycle.plan(agent))
            if change == "reload":
                # The new system has another harness; whoever runs it starts it again.
                await lifecycle.ask_to_leave(name, 0)
            elif hive.runtime.change(plan) == "restart":
                await lifecycle.ask_to_leave(name, 0)
                await hive.runtime.stop(name)
                await lifecycle.bring_up(agent)
        agent.restart_pending = False
        lifecycle.started(agent)
