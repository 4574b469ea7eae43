"""Building what was approved once more, where the host was upgraded: on another nixpkgs, or another configFile.

An agent runs on the system that was deployed for it, and that is made of what the host was when it was built. So after
an upgrade the same commit is built on what the host is made of now, in the same bounds as a proposal, and put in as
what was approved is: with a health check, and back where it does not work. Until then, and where it does not build,
the agent stays on the system that it has; that is shown as its problem, and the manager is told. Nobody is asked: the
commit was approved, and the operator has upgraded the host.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hyperhive.errors import HiveError
from hyperhive.hive import proposals
from hyperhive.hive.deployment import Order
from hyperhive.hive.proposable import check_can_be_built_upon
from hyperhive.store import deployments

if TYPE_CHECKING:
    from sqlalchemy import Row

    from hyperhive.hive.hive import Hive

_log = logging.getLogger(__name__)

_STAYS: Final = "it stays on the system from before the host's upgrade"


@dataclass(frozen=True, slots=True)
class _Commit:
    """What is built, in the words of an approval."""

    id: int
    agent: str
    commit_hash: str


class Upgrades:
    """Sees who runs on what the host was before, and has it built anew.

    Args:
        hive: the parts that it works with.
        group: owns what goes on in the background.
    """

    def __init__(self, hive: Hive, group: asyncio.TaskGroup) -> None:
        self._hive = hive
        self._group = group
        self._tasks: dict[str, asyncio.Task[None]] = {}
        #: Of each agent, the commit and the base that did not work together.
        self._failed: dict[str, tuple[str, str]] = {}
        #: Who is tried once more whatever was before.
        self._again: set[str] = set()
        self._begun = False

    def begin(self) -> None:
        """Build what has to be built, from now on; once the builder has swept what a crash left."""
        self._begun = True
        self.look()

    def close(self) -> None:
        """End what is being built; it is begun anew at the next start."""
        self._begun = False
        for task in self._tasks.values():
            task.cancel()

    def look(self) -> None:
        """See whose system was built with something else than one would be now. Idempotent."""
        if not self._begun or not self._hive.builder.builds:
            return
        for name in list(self._hive.roster.agents):
            row = self._hive.deployment.in_use(name)
            if row is not None and name not in self._tasks and self._base(row) is not None:
                task = self._group.create_task(self._work(row), name=f"upgrade of {name}")
                self._tasks[name] = task
                task.add_done_callback(partial(self._ended, name))

    def _ended(self, name: str, _task: asyncio.Task[None]) -> None:
        self._tasks.pop(name, None)

    def again(self, name: str) -> None:
        """Try it once more for an agent for which it has failed: the operator asks for it."""
        self._failed.pop(name, None)
        self._again.add(name)
        self.look()

    async def idle(self) -> None:
        """Wait until nothing is being built."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    def _base(self, row: Row[Any]) -> str | None:
        """What the system of a deployment should be built with; None where it is, or there is nothing to be done."""
        agent = self._hive.roster.agents.get(row.agent)
        if agent is None or agent.tombstone or row.system is None:
            return None
        try:
            base = self._hive.builder.base(row.agent)
        except HiveError as error:
            _log.warning("whether '%s' runs on an old base cannot be told: %s", row.agent, error)
            return None
        if base == row.base:
            self._show(row.agent, None)
            return None
        return None if self._failed.get(row.agent) == (row.commit_hash, base) else base

    async def _work(self, row: Row[Any]) -> None:
        base = self._base(row)
        if base is None or any(other.agent == row.agent for other in await self._hive.store.read(deployments.unended)):
            return
        try:
            await self._upgrade(row, base)
        except HiveError as error:
            # For a reason of this machine: the next look tries it again.
            self._show(row.agent, f"{_STAYS}: it cannot be built now: {error}")
        except Exception as error:  # noqa: BLE001 - the top of a task: the daemon goes on, the operator is told
            _log.exception("the system of '%s' cannot be built anew", row.agent)
            self._show(row.agent, f"{_STAYS}: {error}")

    async def _upgrade(self, row: Row[Any], base: str) -> None:
        hive, name = self._hive, row.agent
        before = await hive.store.read(deployments.failed_upgrade, row, base)
        if before is not None and name not in self._again:
            self._not_done(row, base, before, tell=False)
            return
        self._again.discard(name)
        number = await hive.store.read(deployments.approval_of, row)
        try:
            check_can_be_built_upon(hive, name)
        except HiveError as error:
            self._not_done(row, base, error.message)
            return
        if number is None:
            self._not_done(row, base, "it is not known under which approval it was put in")
            return
        self._show(name, "its system is being built anew, on what the host was upgraded to")
        commit = _Commit(number, name, row.commit_hash)
        verdict = await proposals.build(hive.repos, hive.builder, hive.layout, commit)
        if verdict.red is not None:
            await hive.builder.forget(name, number)
            self._not_done(row, base, verdict.red)
        elif hive.deployment.in_use(name) is not row:
            # Something else was approved meanwhile, which was built on what the host is now.
            await hive.builder.forget(name, number)
            self._show(name, None)
        else:
            built = verdict.values["build"]
            await hive.deployment.carry_out(Order(None, name, row.commit_hash, _path(built["system"]), built["base"]))

    # --- what a deployment says

    async def deployed(self, row: Row[Any]) -> None:
        """An agent runs on what was built anew; what waits for the operator was compared with the system before."""
        self._show(row.agent, None)
        self._tell(row, ok=True, reason=None)
        await self._hive.approvals.compare_again(row.agent)

    async def failed(self, row: Row[Any], error: str) -> None:
        """What was built anew does not work, and the agent is back on the system before."""
        now = self._hive.deployment.in_use(row.agent)
        if now is not None and now.commit_hash != row.commit_hash:
            self._show(row.agent, None)
            return
        if row.base is not None:
            self._failed[row.agent] = (row.commit_hash, row.base)
        self._show(row.agent, f"{_STAYS}: {error}")
        self._tell(row, ok=False, reason=error)

    def _not_done(self, row: Row[Any], base: str, why: str, *, tell: bool = True) -> None:
        self._failed[row.agent] = (row.commit_hash, base)
        self._show(row.agent, f"{_STAYS}: {why}")
        _log.warning("'%s': %s: %s", row.agent, _STAYS, why)
        if tell:
            self._tell(row, ok=False, reason=why, base=base)

    def _show(self, name: str, problem: str | None) -> None:
        agent = self._hive.roster.agents.get(name)
        if agent is not None and agent.system_problem != problem:
            agent.system_problem = problem
            self._hive.roster.touch(agent)

    def _tell(self, row: Row[Any], *, ok: bool, reason: str | None, base: str | None = None) -> None:
        facts = {"agent": row.agent, "commit": row.commit_hash, "ok": ok, "reason": reason}
        once = f"upgraded {row.agent} {row.commit_hash} {base or row.base} {ok}"
        self._hive.trouble.failures.tell("upgraded", once, facts)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
