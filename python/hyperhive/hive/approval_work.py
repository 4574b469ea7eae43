"""What has to follow each step of an approval: a build, a deployment, a new agent, a tag, a word to the manager.

What that is, is known from the row alone. It is looked at after each step and after each start of the hive, and all of
it may be done twice; what fails for a reason of this machine is tried again a little later.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from hyperhive.errors import HiveError
from hyperhive.hive import proposals
from hyperhive.hive.approval_rules import ENDS, ORPHAN, UNDER_WAY
from hyperhive.hive.approval_words import carried_out
from hyperhive.hive.deadlines import Deadlines
from hyperhive.store import approvals, deployments
from hyperhive.store.approvals import Amend, Finished
from hyperhive.wire import SpawnSpec

if TYPE_CHECKING:
    from hyperhive.hive.approval_rules import Step
    from hyperhive.hive.approvals import Approvals
    from hyperhive.hive.hive import Hive

#: Errors that say nothing about what was to be done.
_PASSING: Final = frozenset({"shutting_down", "storage_full", "storage_unavailable"})


class ApprovalWork:
    """Does it.

    Args:
        hive: the parts that it works with.
        approvals: takes the steps.
    """

    def __init__(self, hive: Hive, approvals_: Approvals) -> None:
        self._hive = hive
        self._approvals = approvals_
        #: Those about which something is to be done.
        self.todo = Deadlines[int](hive.clock, self._work)
        self._builds: dict[int, asyncio.Task[proposals.Verdict]] = {}
        #: Kept for the whole run: one that is let go of may have somebody waiting.
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._begun = False

    async def begin(self) -> None:
        """Do what is left to be done, from now on."""
        await proposals.sweep(self._hive.layout)
        left = await self._hive.store.read(approvals.unsettled)
        upgrading = await self._hive.store.read(deployments.upgrading)
        await self._hive.builder.sweep([*(row.id for row in left), *upgrading])
        self._begun = True
        self.todo.look()

    async def close(self) -> None:
        """End what is being done."""
        self._begun = False
        await self.todo.end()

    def changed(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        """An approval took a step, or was read at the start; `look` begins with what follows."""
        building = self._builds.get(row.id)
        if building is not None and (row.status != "building" or row.base_hash is None):
            building.cancel()
        if row.status != "pending" and (row.status not in ENDS or row.unfinished):
            self.todo.set(row.id, self._hive.clock())

    def look(self) -> None:
        """Begin with what is to be done."""
        if self._begun:
            self.todo.look()

    async def _work(self, number: int) -> None:
        """Do what is left to be done about an approval."""
        async with self._locks[number]:
            row = await self._approvals.find(number)
            if row.status == "building":
                await self._build(row)
            elif row.status in UNDER_WAY:
                await self._carry_out(row)
            elif row.status in ENDS and row.unfinished:
                await self._finish(row)

    async def _build(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        """Compare, build, and ask the operator; or say why not."""
        compared = await proposals.compare(self._hive.repos, row)
        base = compared["base_hash"]
        if base == row.commit_hash:
            await self._approvals.step(row, "red", reason="it changes nothing any more: it is what runs")
            return
        amended = await self._hive.store.submit(approvals.amend, Amend(row.id, "building", compared))
        if amended is None:
            return
        self._approvals.amended(amended)
        await self._hive.repos.tag(row.agent, "building", row.id, row.commit_hash)
        verdict = await self._built(row)
        if verdict is None:
            return
        if await self._hive.repos.main(row.agent) != base:
            # Whoever moves it says so after that, also to what becomes pending in between.
            await self._approvals.moved(row)
            return
        step: Step = "built" if verdict.red is None else "red"
        await self._approvals.step(row, step, reason=verdict.red, values=verdict.values, expected={"base_hash": base})

    async def _built(self, row: Any) -> proposals.Verdict | None:  # noqa: ANN401 - a row of the store
        """What building gave; None where the row went another way meanwhile."""
        building = asyncio.ensure_future(proposals.build(self._hive.repos, self._hive.builder, self._hive.layout, row))
        self._builds[row.id] = building
        try:
            await asyncio.wait({building})
            return None if building.cancelled() else building.result()
        except HiveError as error:
            note = f"it cannot be built now, and is tried again: {error}"
            await self._hive.store.submit(approvals.amend, Amend(row.id, "building", {"note": note}))
            raise
        finally:
            del self._builds[row.id]
            building.cancel()
            await asyncio.wait({building})

    async def _carry_out(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        if row.kind == "apply":
            if row.agent in self._hive.roster.agents:
                await self._hive.deployment.deploy(row)
            else:
                await self._approvals.undone(row, ORPHAN, note=ORPHAN)
            return
        if row.status == "approved":
            await self._approvals.step(row, "deploy")
        try:
            if not self._is_made(row.agent):
                await self._hive.spawns.spawn(row.agent, SpawnSpec.model_validate(row.spec), *carried_out(row))
        except HiveError as error:
            if error.code in _PASSING:
                raise
            if not self._is_made(row.agent):
                await self._approvals.step(row, "broken", reason=error.message)
                return
            await self._approvals.step(row, "done", note=f"it was made, and could not be started: {error.message}")
        else:
            if not self._is_made(row.agent):
                raise HiveError("operation_failed", f"'{row.agent}' is still being made", "It is looked at again")
            await self._approvals.step(row, "done")

    def _is_made(self, name: str) -> bool:
        agent = self._hive.roster.agents.get(name)
        return agent is not None and not agent.tombstone and agent.origin == "spawned"

    async def _finish(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        """An end: tag it, let go of what was built, tell whoever asked."""
        if row.kind == "apply":
            if row.status in {"denied", "failed"}:
                # A deployment that failed has said so already; to say it again changes nothing.
                # Of an agent that was purged there may be nothing left to be tagged, or a repository begun anew.
                with suppress(*((HiveError,) if row.note == ORPHAN else ())):
                    await self._hive.repos.tag(row.agent, row.status, row.id, row.commit_hash, row.reason)
            if row.status != "deployed":
                await self._hive.builder.forget(row.agent, row.id)
        await self._hive.manager_events.tell(
            "approval_resolved",
            once=f"approval-{row.id}-{row.status}",
            id=row.id,
            kind=row.kind,
            agent=row.agent,
            status=row.status,
            reason=row.reason,
        )
        await self._hive.store.submit(approvals.finish, Finished(row.id, row.status))
