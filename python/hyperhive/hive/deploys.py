"""Bringing an agent that runs to changed settings, without ending its turn.

Limits apply at once. Another system, other directories or secrets need the harness to start anew: until its turn has
ended that is *pending*, and shown so. While it is done nothing is handed to the agent, so that no turn begins under it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from hyperhive.hive.hive import Hive
    from hyperhive.hive.lifecycle import Lifecycle
    from hyperhive.hive.roster import Agent
    from hyperhive.runtime.base import Change

#: Why the agent's mailbox is shut meanwhile.
_WHY: Final = "deploy"


@dataclass(slots=True)
class _Awaited:
    """Somebody waits until an agent is on what is wanted.

    Attributes:
        at_once: also where that ends a turn.
        anew: its harness still has to start anew, also where nothing is to be changed.
        done: ends when that is so, or with what kept it from that.
    """

    at_once: bool
    anew: bool
    done: asyncio.Future[None]


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
        self._awaited: dict[str, _Awaited] = {}

    async def apply(self, agent: Agent, *, at_once: bool, anew: bool) -> None:
        """Bring an agent that runs to what is wanted, and return once it is, or does not run any more.

        Args:
            agent: one for which nobody else waits here.
            at_once: do not wait for the end of its turn.
            anew: start its harness anew also where nothing is to be changed.

        Raises:
            HiveError: it could not be brought to that.
        """
        awaited = _Awaited(at_once, anew, asyncio.get_running_loop().create_future())
        self._awaited[agent.name] = awaited
        try:
            self.look(agent)
            await awaited.done
        finally:
            del self._awaited[agent.name]

    def awaits(self, name: str) -> bool:
        """Whether somebody waits until the agent is on what is wanted."""
        return name in self._awaited

    def _settle(self, name: str, error: Exception | None = None) -> None:
        awaited = self._awaited.get(name)
        if awaited is None or awaited.done.done():
            return
        if error is None:
            awaited.done.set_result(None)
        else:
            known = error if isinstance(error, HiveError) else HiveError("operation_failed", str(error), "See the log")
            awaited.done.set_exception(known)

    def _change(self, agent: Agent) -> Change:
        """What has to be done to the agent as it runs now."""
        change = self._hive.runtime.change(self._lifecycle.plan(agent))
        awaited = self._awaited.get(agent.name)
        return "restart" if awaited and awaited.anew else change

    def look(self, agent: Agent) -> list[asyncio.Task[None]]:
        """See whether an agent that runs is on what the settings want, and queue what has to be done now."""
        if agent.name in self._begun:
            return []
        if agent.tombstone or agent.name not in self._hive.runtime.running():
            # Whatever starts it next, starts it on what is wanted then.
            agent.restart_pending = False
            self._settle(agent.name)
            return []
        change = self._change(agent)
        pending = change in {"reload", "restart"}
        if pending != agent.restart_pending:
            agent.restart_pending = pending
            self._hive.roster.touch(agent)
        if change == "none":
            self._settle(agent.name)
        # That it is pending was told above, and may have been acted on there and then.
        if change == "none" or agent.name in self._begun or (pending and not self._is_quiet(agent)):
            return []
        self._begun.add(agent.name)
        return [self._hive.operations.begin(agent.name, "deploy", partial(self._deploy, agent))[1]]

    def _is_quiet(self, agent: Agent) -> bool:
        """Whether no turn would be ended. One that was taken over may be in a turn until it has said that it is not."""
        if (awaited := self._awaited.get(agent.name)) and awaited.at_once:
            return True
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
            change = self._change(agent)
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
            self._settle(name, error)
            raise
        finally:
            if agent.fact != "starting":
                self._lifecycle.leave_place(name)
            self._begun.discard(name)
            hive.broker.open(name, _WHY)
            # Who waits for it is told by the look that follows.
            hive.roster.touch(agent)

    async def _restart(self, agent: Agent) -> None:
        hive, name, lifecycle = self._hive, agent.name, self._lifecycle
        async with lifecycle.leaving(name):
            change = await hive.runtime.deploy(plan := lifecycle.plan(agent))
            if change == "reload":
                # The new system has another harness; whoever runs it starts it again.
                await lifecycle.ask_to_leave(name, 0)
            # One that does not leave, or has to start anew in any case, goes with all that it runs in.
            if self._stays(name, change) or hive.runtime.change(plan) == "restart":
                await lifecycle.ask_to_leave(name, 0)
                await hive.runtime.stop(name)
                await lifecycle.bring_up(agent)
        if awaited := self._awaited.get(name):
            awaited.anew = False
        agent.restart_pending = False
        lifecycle.started(agent)

    def _stays(self, name: str, change: Change) -> bool:
        """Whether the harness from before still runs, after a change, and must not."""
        if change == "reload":
            return self._lifecycle.heard(name)
        awaited = self._awaited.get(name)
        return awaited is not None and awaited.anew and change != "restart"
