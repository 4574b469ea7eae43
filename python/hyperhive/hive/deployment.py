"""Putting in what was approved: the agent is switched to the built system, and back where that does not work.

Every step is written down before it is taken, and each can be taken twice. So a deployment that a crash of the daemon
interrupted is no special case: `recover` goes on where it was, and it ends in exactly one of `deployed` and `failed`.
What an agent runs on is what its newest deployment says that did not fail (`systems`), else what the settings say;
the switch itself is the one that changed settings take, in `deploys`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from hyperhive.errors import HiveError
from hyperhive.store import deployments
from hyperhive.store.deployments import NewDeployment, Step, system_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import Row

    from hyperhive.hive.hive import Hive
    from hyperhive.hive.repos import Kind
    from hyperhive.hive.roster import Agent

#: Seconds within which the harness has to connect on a new system.
PATIENCE: Final = 60.0
#: Seconds before a step that failed for a reason of this machine is tried again.
_AGAIN: Final = 30.0
#: Characters of an error that become the note of a tag.
_NOTE: Final = 4000
_log = logging.getLogger(__name__)


class Tags(Protocol):
    """What a deployment needs of `Repos`."""

    async def tag(self, agent: str, kind: Kind, approval_id: int, commit: str, note: str | None = None) -> None:
        """Set a tag; idempotent."""
        ...

    async def advance(self, agent: str, commit: str) -> None:
        """Move `main` to the commit; idempotent."""
        ...


class Decisions(Protocol):
    """What a deployment tells `Approvals`. Told twice, it is told once."""

    async def deploying(self, approval_id: int) -> None:
        """It is being put in."""
        ...

    async def deployed(self, approval_id: int, note: str | None) -> None:
        """It runs."""
        ...

    async def deploy_failed(self, approval_id: int, reason: str) -> None:
        """It does not work; the agent runs on what it did before."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """What was approved: a commit, and the very store path that was shown with it.

    Attributes:
        approval_id: None for the same commit on an upgraded host, which nobody has to approve.
        base: what the system was built with beside the commit, as `Builder.base` says it.
    """

    approval_id: int | None
    agent: str
    commit: str
    system: Path | None
    base: str | None = None


class Deployment:
    """Carries out what was approved, one deployment at a time for each agent.

    Args:
        hive: the parts that it works with.
        group: owns what goes on in the background.
        patience: seconds within which the harness has to connect.

    Attributes:
        tags: the agents' repositories.
        decisions: is told what became of it.
    """

    def __init__(self, hive: Hive, group: asyncio.TaskGroup, patience: float = PATIENCE) -> None:
        self._hive = hive
        self._group = group
        self.tags: Tags = hive.repos
        self.decisions: Decisions = hive.approvals
        self._patience = patience
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        #: Of each agent, the deployment whose system it runs on.
        self._in_use: dict[str, Row[Any]] = {}
        #: Those that were under way when the daemon started: what they did before is not known.
        self._found: set[int] = set()
        self._steps: Final[dict[str, Callable[[Row[Any]], Awaitable[Row[Any]]]]] = {
            "begun": self._begin,
            "switching": self._switch,
            "checking": self._check,
            "keeping": self._keep,
            "reverting": self._revert,
        }

    def system(self, name: str) -> Path | None:
        """The system that was deployed for an agent; None where it runs on what the settings say."""
        return system_of(self._in_use.get(name))

    def in_use(self, name: str) -> Row[Any] | None:
        """The deployment that an agent runs on."""
        return self._in_use.get(name)

    def forget(self, name: str) -> None:
        """The agent was purged, and its deployments with it."""
        self._in_use.pop(name, None)

    async def load(self) -> None:
        """Read what agents run on; before any of them is started."""
        self._in_use = await self._hive.store.read(deployments.in_use)

    async def recover(self) -> None:
        """Go on with what was under way when the daemon ended; before anything else is deployed."""
        for row in await self._hive.store.read(deployments.unended):
            self._found.add(row.id)
            self._go_on(row)

    async def deploy(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        """Put in what was approved; returns once that is written down. Told again, it goes on with it.

        Args:
            row: the approval.

        Raises:
            HiveError: it could not be written down.
        """
        build = row.build or {}
        system, base = build.get("system"), build.get("base")
        await self.carry_out(Order(row.id, row.agent, row.commit_hash, Path(system) if system else None, base))

    async def carry_out(self, order: Order) -> None:
        """Put in a system; returns once that is written down. What was ordered before goes on as it is.

        Raises:
            HiveError: it could not be written down.
        """
        at = self._hive.clock()
        system = str(order.system) if order.system else None
        new = NewDeployment(order.approval_id, order.agent, order.commit, system, order.base, at)
        self._go_on(await self._hive.store.submit(deployments.begin, new))

    def close(self) -> None:
        """Stop where it is; `recover` goes on from there."""
        for task in self._tasks.values():
            task.cancel()

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    # --- one deployment

    def _go_on(self, row: Row[Any]) -> None:
        if row.ended_at is None and row.id not in self._tasks:
            task = self._group.create_task(self._carry_out(row), name=f"deployment {row.id} of {row.agent}")
            self._tasks[row.id] = task
            task.add_done_callback(lambda _task: self._tasks.pop(row.id, None))

    async def _carry_out(self, row: Row[Any]) -> None:
        async with self._locks.setdefault(row.agent, asyncio.Lock()):
            while row.ended_at is None:
                try:
                    row = await self._steps[row.step](row)
                except HiveError as error:
                    _log.warning("deployment %d of '%s' waits at %s: %s", row.id, row.agent, row.step, error)
                    await asyncio.sleep(_AGAIN)
                except ValueError as error:
                    # Its row is gone or further: the agent was purged meanwhile.
                    _log.warning("deployment %d of '%s' is given up: %s", row.id, row.agent, error)
                    return
                except Exception as error:  # noqa: BLE001 - top of a task: the daemon goes on, the operator is told
                    _log.exception("deployment %d of '%s' is stuck at %s", row.id, row.agent, row.step)
                    self._hive.warn(f"deployment {row.id} of '{row.agent}'", f" is stuck at {row.step}: {error}")
                    return

    async def _to(self, row: Row[Any], after: str, error: str | None = None) -> Row[Any]:
        """Write down the next step, and with it what the agent should run on."""
        before = await self._hive.store.read(deployments.before, row) if after == "reverting" else None

        def taken(now: Row[Any]) -> None:
            if after == "switching" or (after, row.step) == ("keeping", "begun"):
                self._in_use[row.agent] = now
            elif before is not None:
                self._in_use[row.agent] = before
            elif after == "reverting":
                self._in_use.pop(row.agent, None)

        # What nobody approved, nobody is told of otherwise.
        shown = after == "failed" and row.approval_id is None
        step = Step(row.id, row.step, after, self._hive.clock(), error, shown)
        return await self._hive.store.submit(deployments.advance, step, taken)

    def _agent(self, row: Row[Any]) -> Agent | None:
        agent = self._hive.roster.agents.get(row.agent)
        return None if agent is None or agent.tombstone else agent

    async def _begin(self, row: Row[Any]) -> Row[Any]:
        await self._tag(row, "approved", None)
        if row.approval_id is not None:
            await self.decisions.deploying(row.approval_id)
        elif (now := self._in_use.get(row.agent)) is not None and now.commit_hash != row.commit_hash:
            return await self._failed(row, "something else was put in meanwhile")
        if self._agent(row) is None:
            return await self._failed(row, f"there is no agent '{row.agent}' any more")
        return await self._to(row, "switching" if row.system else "keeping")

    async def _switch(self, row: Row[Any]) -> Row[Any]:
        agent = self._agent(row)
        if agent is None:
            return await self._to(row, "reverting", f"there is no agent '{row.agent}' any more")
        try:
            # After a crash nobody knows whether the harness that runs is the new one.
            await self._hive.lifecycle.apply(agent, anew=row.id in self._found)
        except HiveError as error:
            return await self._to(row, "reverting", f"the new system does not start: {error.message}")
        return await self._to(row, "checking")

    async def _check(self, row: Row[Any]) -> Row[Any]:
        agent = self._agent(row)
        if agent is None:
            return await self._to(row, "reverting", f"there is no agent '{row.agent}' any more")
        why = await self._hive.lifecycle.connected(agent, self._patience)
        return await self._to(row, "keeping") if why is None else await self._to(row, "reverting", why)

    async def _keep(self, row: Row[Any]) -> Row[Any]:
        agent = self._agent(row)
        unchecked = row.system and agent is not None and agent.wanted == "stopped"
        note = "not checked: the agent is stopped" if unchecked else None
        await self._tag(row, "deployed", note)
        await self.tags.advance(row.agent, row.commit_hash)
        number = await self._hive.store.read(deployments.approval_of, row)
        if number is not None:
            await self._hive.builder.keep(row.agent, number)
        if row.approval_id is not None:
            await self.decisions.deployed(row.approval_id, note)
        else:
            await self._hive.upgrades.deployed(row)
        return await self._to(row, "deployed")

    async def _revert(self, row: Row[Any]) -> Row[Any]:
        error = row.error or "it does not work"
        if agent := self._agent(row):
            try:
                await self._hive.lifecycle.apply(agent, at_once=True, anew=True)
            except HiveError as again:
                error = f"{error}; and the system before does not start either: {again.message}"
        return await self._failed(row, error)

    async def _failed(self, row: Row[Any], error: str) -> Row[Any]:
        await self._tag(row, "failed", error[:_NOTE])
        if row.approval_id is not None:
            await self.decisions.deploy_failed(row.approval_id, error)
        else:
            await self._hive.upgrades.failed(row, error)
        number = await self._hive.store.read(deployments.approval_of, row)
        if number is not None:
            await self._hive.builder.forget(row.agent, number)
        ended = await self._to(row, "failed", error)
        self._hive.trouble.failed_deploys.deployment(ended)
        # What runs again may be from before the host was upgraded.
        self._hive.upgrades.look()
        return ended

    async def _tag(self, row: Row[Any], kind: Kind, note: str | None) -> None:
        if row.approval_id is not None:
            await self.tags.tag(row.agent, kind, row.approval_id, row.commit_hash, note)
