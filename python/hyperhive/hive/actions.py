"""What the operator can do to an agent, and the manager some of: operations in its queue, each in the audit log."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.hive import tombstones
from hyperhive.hive.kicks import Kicks
from hyperhive.names import MANAGER, OPERATOR
from hyperhive.store import agents, audit
from hyperhive.store.agents import Tombstone
from hyperhive.store.audit import AuditEntry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hyperhive.hive.hive import Hive
    from hyperhive.hive.manager_events import ManagerEvent
    from hyperhive.hive.roster import Agent
    from hyperhive.shapes import OperationRow

#: Seconds within which a harness has to end its turn when it is told to.
_CANCEL: Final = 30.0
_log = logging.getLogger(__name__)


class Actions:
    """The actions on the agents of a hive.

    Args:
        hive: the parts that they work with.
    """

    def __init__(self, hive: Hive) -> None:
        self._hive = hive
        self._kicks = Kicks(hive)
        self._works: Final[dict[str, Callable[[Agent, str], Awaitable[None]]]] = {
            "start": self._start,
            "stop": self._stop,
            "restart": self._restart,
            "rebuild": self._rebuild,
            "pause": self._pause,
            "resume": self._resume,
            "destroy": self._destroy,
            "kick": self._kick,
            "cancel": self._cancel,
        }

    async def do(self, name: str, action: str, by: str = OPERATOR, patience: float | None = None) -> OperationRow:
        """Do something to an agent; answered after a few seconds at most.

        Args:
            name: whom.
            action: a word of `_works`.
            by: who wants it: the operator, or the manager.
            patience: seconds after which it is answered although it goes on.

        Raises:
            HiveError: `unknown_agent`, `not_found` for an action, and whatever the action says.
        """
        lifecycle = self._hive.lifecycle
        lifecycle.find(name)
        work = self._works.get(action)
        if work is None:
            raise HiveError("not_found", f"there is no action {action!r}", f"There are: {', '.join(self._works)}")
        # A cancel is not queued behind others: a stop that waits for the turn to end is what it helps.
        queue = f"{name} cancel" if action == "cancel" else None

        async def audited() -> None:
            # Looked up once more: what was queued before may have destroyed it.
            agent = lifecycle.find(name)
            await self._audit(action, name, by)
            await work(agent, by)

        return await self._hive.operations.run(name, action, audited, queue=queue, patience=patience)

    async def revive(self, name: str) -> OperationRow:
        """Make an agent of a tombstone and start it."""
        tombstones.find(self._hive, name)

        async def work() -> None:
            await self._audit("revive", name)
            agent = await tombstones.revive(self._hive, name)
            await self.bring_up(agent, "the operator revived you")

        return await self._hive.operations.run(name, "revive", work)

    async def purge(self, name: str) -> OperationRow:
        """Wipe what was kept of a tombstone."""
        tombstones.find(self._hive, name)

        async def work() -> None:
            await self._audit("purge", name)
            await tombstones.purge(self._hive, name)

        return await self._hive.operations.run(name, "purge", work)

    async def _audit(self, action: str, name: str, by: str = OPERATOR) -> None:
        entry = AuditEntry(self._hive.clock(), by, action, name)
        await self._hive.store.submit(audit.append, entry)

    # --- each of them

    async def _start(self, agent: Agent, by: str) -> None:
        await self._hive.lifecycle.want(agent, "running")
        if by == OPERATOR:
            # A hold waits for the operator, and for nobody else.
            await self._hive.trouble.lift(agent)
        if agent.name not in self._hive.runtime.running():
            await self.bring_up(agent, f"the {by} started you")

    async def _stop(self, agent: Agent, by: str) -> None:
        ran = agent.name in self._hive.runtime.running()
        await self._hive.lifecycle.want(agent, "stopped")
        await self._hive.lifecycle.stop(agent)
        if ran:
            await self._tell("killed", agent, by)

    async def _restart(self, agent: Agent, by: str) -> None:
        await self._hive.lifecycle.stop(agent)
        await self._again(agent, f"the {by} restarted you")

    async def _rebuild(self, agent: Agent, by: str) -> None:
        # What a start finds it leaves alone where it can; once removed, everything on the host is made anew.
        await self._hive.lifecycle.remove(agent)
        await self._again(agent, f"the {by} rebuilt what you run in")
        await self._tell("rebuilt", agent, by)
        self._hive.upgrades.again(agent.name)

    async def _again(self, agent: Agent, reason: str) -> None:
        if agent.wanted == "stopped":
            await self._hive.lifecycle.want(agent, "running")
        await self.bring_up(agent, reason)

    async def bring_up(self, agent: Agent, reason: str) -> None:
        """Start an agent and wake it; under its operation.

        Raises:
            HiveError: it cannot be started.
        """
        self._hive.lifecycle.forgive(agent)
        await self._hive.lifecycle.bring_up(agent)
        try:
            await self._kicks.kick(agent, reason)
        except HiveError as error:
            # Its inbox is full: there is enough to wake it.
            _log.warning("'%s' was started and not told why: %s", agent.name, error)

    async def _pause(self, agent: Agent, _by: str) -> None:
        if agent.wanted == "stopped":
            raise HiveError("agent_not_running", f"'{agent.name}' does not run", f"hyperhive start {agent.name}")
        await self._hive.lifecycle.want(agent, "paused")

    async def _resume(self, agent: Agent, _by: str) -> None:
        if agent.wanted == "stopped":
            raise HiveError("wrong_state", f"'{agent.name}' is stopped, not paused", f"hyperhive start {agent.name}")
        await self._hive.lifecycle.want(agent, "running")
        await self._hive.trouble.lift(agent)

    async def _kick(self, agent: Agent, by: str) -> None:
        await self._kicks.kick(agent, f"the {by} asked for it")

    async def _cancel(self, agent: Agent, _by: str) -> None:
        if agent.name not in self._hive.runtime.running():
            raise HiveError("agent_not_running", f"'{agent.name}' does not run", f"hyperhive start {agent.name}")
        reply = self._hive.commands.give(agent.name, "cancel")
        try:
            async with asyncio.timeout(_CANCEL):
                done = await reply
        except TimeoutError:
            what = f"the harness of '{agent.name}' has not cancelled its turn within {_CANCEL:g} s"
            raise HiveError("operation_failed", what, f"hyperhive restart {agent.name}") from None
        if not done.ok:
            raise HiveError("wrong_state", f"nothing was cancelled: {done.error}", f"See: hyperhive show {agent.name}")

    async def _destroy(self, agent: Agent, by: str) -> None:
        """Remove what it runs in and keep what it knows."""
        hive = self._hive
        await hive.lifecycle.remove(agent)
        now = hive.clock()

        def buried(_done: None) -> None:
            agent.tombstone_at = now
            hive.roster.touch(agent)

        await hive.store.submit(agents.bury, Tombstone(agent.name, now), buried)
        await hive.questions.gone({agent.name})
        await self._tell("destroyed", agent, by)

    async def _tell(self, event: ManagerEvent, agent: Agent, by: str) -> None:
        """Tell the manager of what it did not do itself: it has the answer to that."""
        if by != MANAGER:
            await self._hive.manager_events.tell(event, agent=agent.name, by=by)
