"""What needs the operator's yes: asked for, built, decided, carried out; and told to whoever waits for it.

Every change of an approval is one step of `approval_rules`, written by `step` and by nothing else, together with its
entry in the audit log. What has to follow a step (a build, a deployment, a tag, a word to the manager) is known from
the row alone: `ApprovalWork` looks at it and does what is left, after each step and after each start of the hive. So a
crash between two of them loses nothing, and each of them may be done twice.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from hyperhive.clock import parse_span
from hyperhive.errors import HiveError
from hyperhive.hive.approval_rules import (
    ENDS,
    FIRST,
    OPEN,
    ORPHAN,
    UNDER_WAY,
    Step,
    check,
    check_shown,
    sources,
    target,
    too_late,
)
from hyperhive.hive.approval_words import audited, title
from hyperhive.hive.approval_work import ApprovalWork
from hyperhive.hive.deadlines import Deadlines
from hyperhive.hive.limits import check_text
from hyperhive.hive.proposable import check_takes_proposals, has_state
from hyperhive.names import SYSTEM
from hyperhive.shapes import WaitingItem
from hyperhive.store import approvals
from hyperhive.store.approvals import MOST_OPEN, Move, NewApproval, Written
from hyperhive.wire import MAX_DESCRIPTION, MAX_REASON, SpawnSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from hyperhive.hive.hive import Hive

#: What ends an approval that is under way, whichever it is in.
_UNDONE: Final[tuple[Step, ...]] = ("undeployable", "broken")
_DECISIONS: Final = frozenset[str]({"approve", "deny", "cancel"})
#: Bytes that a character may have.
_WIDEST: Final = 4


class Approvals:
    """The approvals of a hive.

    Args:
        hive: the parts that it works with.
        tell: called with the row of an approval after each change.
    """

    def __init__(self, hive: Hive, tell: Callable[[Any], None]) -> None:
        self._hive = hive
        self._tell = tell
        #: When those that are open expire.
        self.deadlines = Deadlines[int](hive.clock, self._expire)
        #: Does what has to follow each step.
        self.work = ApprovalWork(hive, self)
        self._pending: dict[int, WaitingItem] = {}

    async def load(self) -> None:
        """Take up what is open, and end what expired or lost its agent while the hive was down."""
        for row in await self._hive.store.read(approvals.unsettled):
            self._changed(row)
        self.deadlines.look()
        await self.deadlines.idle()
        await self.look_again()

    async def begin(self) -> None:
        """Do what is left to be done, from now on; once agents can be started."""
        await self.work.begin()

    async def close(self) -> None:
        """End what is being done; it is taken up at the next start."""
        self.deadlines.close()
        await self.deadlines.idle()
        await self.work.close()

    def waiting(self) -> Iterator[WaitingItem]:
        """Those that wait for the operator."""
        yield from self._pending.values()

    # --- asking

    async def request_spawn(self, by: str, name: str, spec: SpawnSpec, key: str | None = None) -> Any:  # noqa: ANN401 - a row of the store
        """Ask for a new agent.

        Args:
            by: who asks.
            name: what it would be called.
            spec: what it would be.
            key: the same one again from the same requester gives the same approval.

        Raises:
            HiveError: as for `Spawns.check`, `too_many_approvals`, `wrong_state` where it was asked for already.
        """
        if key is not None and (known := await self._hive.store.read(approvals.asked_before, by, key)) is not None:
            return known
        _check_words(description=spec.description)
        self._hive.spawns.check(name, spec)
        values = {"spec": spec.model_dump(mode="json", by_alias=False)}
        return await self._request("spawn", by, name, spec.description, key, values=values)

    async def request_apply(  # noqa: PLR0913, PLR0917 - what makes up a proposal
        self, by: str, agent: str, commit: str, bundle: Path, description: str | None = None, key: str | None = None
    ) -> Any:  # noqa: ANN401 - a row of the store
        """Ask for a commit of an agent's configuration to be put in; from here on only that commit counts.

        Args:
            by: who asks.
            agent: whose configuration it is.
            commit: 7 to 40 digits of its hash.
            bundle: a file that brings it, as `refs/hive/proposal`.
            description: what it is about.
            key: the same one again from the same requester gives the same approval.

        Raises:
            HiveError: `unknown_agent`, `not_mutable`, `bad_proposal`, `too_many_approvals`, `wrong_state`.
        """
        if key is not None and (known := await self._hive.store.read(approvals.asked_before, by, key)) is not None:
            return known
        _check_words(description=description)
        check_takes_proposals(self._hive, agent)
        if not has_state(self._hive.layout, agent):
            hint = f"hyperhive start {agent} makes it"
            raise HiveError("wrong_state", f"'{agent}' has no state directory, so there is nothing to change yet", hint)
        if await self._hive.store.read(approvals.count_open) >= MOST_OPEN:
            raise _too_many()
        # Before the row: it is made once there is something to decide about, under the number that the tag has.
        number = await self._hive.store.submit(approvals.take_number, None)
        whole = await self._hive.repos.pin(agent, number, commit, bundle)
        if whole == await self._hive.repos.main(agent):
            what = f"commit {whole[:12]} changes nothing: it is what '{agent}' runs"
            raise HiveError("bad_proposal", what, "Commit a change, and propose that")
        return await self._request("apply", by, agent, description, key, number, {"commit_hash": whole})

    async def _request(  # noqa: PLR0913, PLR0917
        self,
        kind: str,
        by: str,
        agent: str,
        description: str | None,
        key: str | None,
        number: int | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - a row of the store
        now = self._hive.clock()
        ttl = parse_span(self._hive.settings.approvals.ttl)
        first = FIRST["apply" if kind == "apply" else "spawn"]
        action = "request-spawn" if kind == "spawn" else "propose"
        new = NewApproval(
            kind, agent, first, by, now, now + ttl, description, key, number, values or {}, audited(now, by, action)
        )
        written = await asyncio.shield(self._hive.store.submit(approvals.request, new, self._written))
        if written.row is None:
            raise _too_many()
        if written.twin:
            what = f"approval {written.row.id} is about the same thing and is {written.row.status}"
            raise HiveError("wrong_state", what, "Wait for its end, or cancel it first", approval=written.row.id)
        return written.row

    # --- deciding

    async def approve(self, number: int, by: str, commit: str | None = None, reason: str | None = None) -> Any:  # noqa: ANN401 - a row
        """Say yes. On return the decision is on disk; what was approved is carried out from then on.

        Args:
            number: the approval's id.
            by: who decides.
            commit: of an `apply`, the whole hash of the commit that was shown.
            reason: why, for the audit log.

        Raises:
            HiveError: `unknown_approval`, `not_allowed`, `malformed`; `wrong_state` where somebody was first, another
                commit was shown, or it is no more what it was; and whatever would keep it from being carried out.
        """
        _check_words(reason=reason)
        row = await self.find(number)
        check("approve", row, by)
        check_shown(row, commit)
        await self._check_possible(row)
        # Built on what runs now, and nothing else is put in meanwhile: both hold at the moment of the commit.
        expected = {"commit_hash": row.commit_hash, "base_hash": row.base_hash} if row.kind == "apply" else {}
        done = await self.step(row, "approve", by, reason, expected=expected, alone=True)
        if done.busy:
            what = f"something else that was approved for '{row.agent}' is being carried out"
            raise HiveError("wrong_state", what, "Wait for its end, then look at this one once more")
        if not done.fresh:
            raise too_late(done.row, "approve")
        return done.row

    async def _check_possible(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        if row.kind == "spawn":
            self._hive.spawns.check(row.agent, SpawnSpec.model_validate(row.spec))
            return
        if not has_state(self._hive.layout, row.agent):
            await self.step(row, "orphan", reason=ORPHAN, note=ORPHAN)
            raise HiveError("wrong_state", f"approval {row.id} has failed: {ORPHAN}", "Nothing was changed")
        check_takes_proposals(self._hive, row.agent)
        same = self._builds_upon_the_same(row)
        if not same or await self._hive.repos.main(row.agent) != row.base_hash:
            await self.moved(row)
            upon = "" if same else ", or is built upon,"
            what = f"what '{row.agent}' runs{upon} has changed since approval {row.id} was built"
            raise HiveError("wrong_state", what, "It is built anew; look at what it changes then")

    async def deny(self, number: int, by: str, reason: str | None = None) -> Any:  # noqa: ANN401 - a row of the store
        """Say no; whoever asked is told why.

        Raises:
            HiveError: `unknown_approval`, `not_allowed`, `wrong_state`.
        """
        return await self._decide(number, "deny", by, reason)

    async def cancel(self, number: int, by: str) -> Any:  # noqa: ANN401 - a row of the store
        """Take back what `by` has asked for. Taken back once more by the same, it changes nothing.

        Raises:
            HiveError: `unknown_approval`, `not_allowed`, `wrong_state`.
        """
        row = await self.find(number)
        if row.status == "cancelled" and row.decided_by == by:
            return row
        return await self._decide(number, "cancel", by, None)

    async def _decide(self, number: int, step: Step, by: str, reason: str | None) -> Any:  # noqa: ANN401 - a row
        _check_words(reason=reason)
        row = await self.find(number)
        check(step, row, by)
        done = await self.step(row, step, by, reason)
        if not done.fresh:
            raise too_late(done.row, step)
        return done.row

    async def find(self, number: int) -> Any:  # noqa: ANN401 - a row of the store
        """An approval.

        Raises:
            HiveError: `unknown_approval`.
        """
        row = await self._hive.store.read(approvals.get, number)
        if row is None:
            raise HiveError("unknown_approval", f"there is no approval {number}", "See: hyperhive approvals --all")
        return row

    # --- what a deployment says; told twice, it is told once

    async def deploying(self, number: int) -> None:
        """What was approved is being put in."""
        await self.step(await self.find(number), "deploy")

    async def deployed(self, number: int, note: str | None = None) -> None:
        """It works."""
        await self.step(await self.find(number), "done", note=note, moves_others=True)

    async def deploy_failed(self, number: int, reason: str) -> None:
        """It does not, and the agent runs on what it did before."""
        await self.undone(await self.find(number), reason)

    async def undone(self, row: Any, reason: str, note: str | None = None) -> None:  # noqa: ANN401 - a row
        """What was approved will not be."""
        for step in _UNDONE:
            await self.step(row, step, reason=reason, note=note)

    # --- what happens by itself

    async def _expire(self, number: int) -> None:
        await self.step(await self.find(number), "expire", reason="nobody decided in time")

    async def look_again(self) -> None:
        """Look whether what is not over still is what it was: agents go, and so does what was built upon.

        Proposals to agents whose state directory is gone have failed, and so have those that were being put in. What
        was built with another nixpkgs than a build of today has to be built anew.
        """
        for row in await self._hive.store.read(approvals.page, (*OPEN, *UNDER_WAY)):
            if row.kind != "apply":
                continue
            if not has_state(self._hive.layout, row.agent):
                if row.status in OPEN:
                    await self.step(row, "orphan", reason=ORPHAN, note=ORPHAN)
                elif row.agent not in self._hive.roster.agents:
                    await self.undone(row, ORPHAN, note=ORPHAN)
            elif row.status == "pending" and not self._builds_upon_the_same(row):
                await self.moved(row)

    async def compare_again(self, agent: str) -> None:
        """What an agent runs on is another system, of the same commit: what is shown was compared with that before."""
        for row in await self._hive.store.read(approvals.page, OPEN):
            if row.kind == "apply" and row.agent == agent:
                await self.moved(row)

    def _builds_upon_the_same(self, row: Any) -> bool:  # noqa: ANN401 - a row of the store
        return bool((row.build or {}).get("base") == self._hive.builder.base(row.agent))

    async def moved(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        """What was found out about it holds no more."""
        await self.step(row, "moved", values={"stale": True, "base_hash": None})

    # --- the one way from one state to another

    async def step(  # noqa: PLR0913 - what makes up a step
        self,
        row: Any,  # noqa: ANN401 - a row of the store
        step: Step,
        by: str = SYSTEM,
        reason: str | None = None,
        *,
        note: str | None = None,
        values: Mapping[str, Any] | None = None,
        expected: Mapping[str, Any] | None = None,
        alone: bool = False,
        moves_others: bool = False,
    ) -> Written:
        """Take a step, where the approval is in a state for it; what its row is then, and whether this made it so.

        Args:
            row: the approval.
            step: which.
            by: who takes it.
            reason: why it is decided or ends so.
            note: what else there is to say.
            values: further columns that it sets.
            expected: columns that still have to be as they were when this was decided.
            alone: whether something else under way for the same agent keeps it from being taken.
            moves_others: whether what is open for the same agent has to be built anew.

        Raises:
            HiveError: `storage_full`, `storage_unavailable`, `shutting_down`.
        """
        now, state = self._hive.clock(), target(step)
        changes = dict(values or {})
        if step in _DECISIONS:
            changes |= {"decided_by": by, "decided_at": now}
        if state in ENDS:
            changes |= {"ended_at": now, "unfinished": True}
        if step in _UNDONE:
            changes["shown_since"] = now
        changes |= {name: text for name, text in (("reason", reason), ("note", note)) if text is not None}
        audit = audited(now, by, step) if step in _DECISIONS or state in ENDS else None
        move = Move(row.id, sources(step), state, changes, expected or {}, alone, moves_others, audit)
        return await asyncio.shield(self._hive.store.submit(approvals.move, move, self._written))

    def _written(self, done: Written) -> None:
        if done.fresh:
            for row in (done.row, *done.moved):
                self._changed(row)
            self.deadlines.look()
            self.work.look()

    def amended(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        """More is known about an approval that stays in its state."""
        self._tell(row)

    def _changed(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        if row.status in OPEN:
            self.deadlines.set(row.id, row.expires_at)
        else:
            self.deadlines.drop(row.id)
        if row.status == "pending":
            self._pending[row.id] = WaitingItem(
                id=f"approval-{row.id}",
                kind="approval",
                title=title(row),
                since=row.requested_at,
                agent=row.agent,
                deadline=row.expires_at,
                ref=row.id,
            )
        else:
            self._pending.pop(row.id, None)
        self.work.changed(row)
        self._tell(row)


def _check_words(**texts: str | None) -> None:
    for name, text in texts.items():
        if text is not None:
            most = MAX_REASON if name == "reason" else MAX_DESCRIPTION
            check_text(f"the {name}", text, most * _WIDEST)


def _too_many() -> HiveError:
    what = f"{MOST_OPEN} requests wait for the operator already"
    return HiveError("too_many_approvals", what, "Wait for a decision, or cancel one of yours")
