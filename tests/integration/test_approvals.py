"""Approvals on a real store: one decision each, bound to what was shown, and whatever follows it happens."""

# ruff: noqa: ANN401 - rows of the store and JSON

from __future__ import annotations

import asyncio
import contextlib
import copy
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
import pytest_asyncio
from approval_bed import BASE, ApprovalBed, commit
from broker_bed import refused
from drawn import drawn
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import event, update

from hyperhive.config import AgentSettings
from hyperhive.errors import HiveError
from hyperhive.hive.approval_rules import ENDS, ORPHAN, Step, allowed, target
from hyperhive.store import approvals as statements
from hyperhive.store.approvals import MOST_OPEN
from hyperhive.store.tables import ApprovalState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Connection


@pytest_asyncio.fixture
async def bed(tmp_path: Path) -> AsyncIterator[ApprovalBed]:
    made = await ApprovalBed(tmp_path).open()
    yield made
    await made.close()


# --- from the request to the end


async def test_a_commit_is_built_shown_approved_and_deployed(bed: ApprovalBed) -> None:
    row = await bed.apply(1, description="vim for alice")
    assert (row.status, row.commit_hash, row.base_hash, row.stale) == ("pending", commit(1), BASE, False)
    assert row.diff == f"from {BASE} to {commit(1)}"
    assert row.files == [{"status": "M", "path": "agent.nix", "oldMode": "100644", "newMode": "100644"}]
    assert row.build["status"] == "ok"
    assert row.build["units"] == ["sshd.service"]
    assert row.closure_diff == "vim: ∅ → 9.0"
    (item,) = bed.approvals.waiting()
    assert (item.id, item.kind, item.agent, item.ref, item.deadline) == (
        "approval-1", "approval", "alice", 1, row.expires_at,
    )  # fmt: skip
    assert item.title == f"manager asks to change 'alice' to commit {commit(1)[:12]}: vim for alice"
    assert (await bed.approve(row, reason="it is needed")).status == "approved"
    await bed.idle()
    row = await bed.get(1)
    assert (row.status, row.decided_by, row.reason, row.unfinished) == ("deployed", "operator", "it is needed", False)
    assert not list(bed.approvals.waiting())
    assert [status for _, status in bed.rows] == [
        "building", "building", "pending", "approved", "deploying", "deployed",
    ]  # fmt: skip
    assert bed.world.deployed == {1: row.build["system"]}
    assert {kind for _, kind, _ in bed.world.tags} == {"proposal", "building", "approved", "deployed"}
    assert await bed.events() == [(1, "deployed", "it is needed")]
    about = f"apply alice {commit(1)}"
    assert await bed.audit() == [
        ("manager", "propose", "approval 1", f"{about}: vim for alice"),
        ("operator", "approve", "approval 1", f"{about}: it is needed"),
        ("system", "deploy", "approval 1", f"{about}: it is needed"),
    ]


async def test_a_new_agent_is_made_once_the_operator_has_approved(bed: ApprovalBed) -> None:
    row = await bed.spawn("carl")
    assert (row.status, row.spec["description"], row.build) == ("pending", "tests", None)
    assert "carl" not in bed.world.agents
    await bed.approve(row)
    await bed.idle()
    row = await bed.get(row.id)
    made = bed.world.agents["carl"]
    assert (row.status, made.by, made.why, made.spec.description) == ("deployed", "operator", "approval 1", "tests")
    assert await bed.events() == [(1, "deployed", None)]


async def test_a_new_agent_that_cannot_be_made_has_failed(bed: ApprovalBed) -> None:
    bed.spawns.failing["carl"] = HiveError("port_taken", "its port is taken", "")
    row = await bed.spawn("carl")
    await bed.approve(row)
    await bed.idle()
    assert await bed.events() == [(1, "failed", "its port is taken")]
    row = await bed.get(1)
    assert (row.decided_by, row.shown_since) == ("operator", row.ended_at)


async def test_a_new_agent_that_was_made_and_does_not_start_was_made(bed: ApprovalBed) -> None:
    spawn = bed.spawns.spawn

    async def made_and_failed(*arguments: Any) -> None:
        await spawn(*arguments)
        raise HiveError("operation_failed", "no harness", "")

    bed.spawns.spawn = made_and_failed
    await bed.approve(await bed.spawn("carl"))
    await bed.idle()
    row = await bed.get(1)
    assert (row.status, row.note) == ("deployed", "it was made, and could not be started: no harness")


async def test_a_red_build_is_never_asked_about_and_the_manager_reads_why(bed: ApprovalBed) -> None:
    bed.reds.add(commit(1))
    row = await bed.apply(1)
    said = "it does not build: error: undefined variable 'foo'"
    assert (row.status, row.reason, row.build["status"], row.decided_by) == ("failed", said, "failed", None)
    assert "undefined variable" in row.build["log"]
    assert (1, "pending") not in bed.rows
    assert not list(bed.approvals.waiting())
    assert await bed.events() == [(1, "failed", said)]
    assert bed.world.tags["alice", "failed", 1] == (commit(1), said)
    assert (await refused(bed.approve(row))).code == "wrong_state"


async def test_a_denial_carries_its_reason_to_the_tag_and_to_the_manager(bed: ApprovalBed) -> None:
    row = await bed.apply(1)
    assert bed.world.roots == {1}
    denied = await bed.approvals.deny(row.id, "operator", "no vim here")
    await bed.idle()
    assert (denied.status, denied.decided_by) == ("denied", "operator")
    assert bed.world.tags["alice", "denied", 1] == (commit(1), "no vim here")
    assert await bed.events() == [(1, "denied", "no vim here")]
    assert bed.world.roots == set()
    assert bed.world.mains == {}


async def test_a_deployment_that_fails_says_so_and_main_stays(bed: ApprovalBed) -> None:
    bed.failing.add(commit(1))
    await bed.approve(await bed.apply(1), reason="try it")
    await bed.idle()
    row = await bed.get(1)
    assert (row.status, row.reason, row.decided_by) == ("failed", "no sign of life", "operator")
    assert bed.world.mains == {}
    assert await bed.events() == [(1, "failed", "no sign of life")]
    assert "has failed after it was approved by operator" in (await refused(bed.approve(row))).message


# --- who decides, and about what


async def test_an_approval_is_bound_to_the_commit_that_was_shown(bed: ApprovalBed) -> None:
    row = await bed.apply(1)
    assert (await refused(bed.approvals.approve(1, "operator"))).code == "malformed"
    assert (await refused(bed.approvals.approve(1, "operator", commit(2)))).code == "wrong_state"
    assert (await refused(bed.approvals.approve(1, "operator", commit(1)[:12]))).code == "wrong_state"
    assert (await bed.get(1)).status == "pending"
    await bed.approve(row)


async def test_only_the_operator_decides_and_only_who_asked_cancels(bed: ApprovalBed) -> None:
    row = await bed.apply(1)
    for by in ("manager", "alice"):
        assert (await refused(bed.approvals.approve(1, by, commit(1)))).code == "not_allowed"
        assert (await refused(bed.approvals.deny(1, by))).code == "not_allowed"
    for by in ("alice", "operator"):
        assert (await refused(bed.approvals.cancel(1, by))).code == "not_allowed"
    assert (await bed.approvals.cancel(row.id, "manager")).status == "cancelled"
    assert (await bed.approvals.cancel(row.id, "manager")).status == "cancelled", "said twice, it is the same"
    await bed.idle()
    assert await bed.events() == [(1, "cancelled", None)]
    assert bed.world.roots == set()


@pytest.mark.parametrize("second", ["approve", "deny"])
async def test_of_two_operators_at_once_one_wins_and_the_other_is_told(bed: ApprovalBed, second: str) -> None:
    row = await bed.apply(1)
    other = bed.approve(row) if second == "approve" else bed.approvals.deny(1, "operator", "no")
    done = await asyncio.gather(bed.approve(row), other, return_exceptions=True)
    errors = [one for one in done if isinstance(one, HiveError)]
    assert len(errors) == 1
    assert errors[0].code == "wrong_state"
    assert "by operator at 2026-01-02T03:04:05.000Z" in errors[0].message
    await bed.idle()
    decisions = [entry for entry in await bed.audit() if entry[1] in {"approve", "deny"}]
    assert len(decisions) == 1
    assert len(await bed.events()) == 1


async def test_twenty_open_requests_are_enough(bed: ApprovalBed) -> None:
    for number in range(1, MOST_OPEN + 1):
        await bed.apply(number, description=f"number {number}")
    assert (await refused(bed.propose(99))).code == "too_many_approvals"
    assert (await refused(bed.spawn("carl"))).code == "too_many_approvals"
    assert ("alice", "proposal", 21) not in bed.world.tags, "nothing was pinned for it"
    await bed.approvals.cancel(3, "manager")
    await bed.propose(99)


async def test_asked_twice_with_one_key_is_one_request(bed: ApprovalBed) -> None:
    first = await bed.propose(1, key="k")
    assert (await bed.propose(1, key="k")).id == first.id
    spawn = await bed.spawn("carl", key="l")
    assert (await bed.spawn("carl", key="l")).id == spawn.id
    await bed.approve(spawn)
    await bed.idle()
    assert (await bed.spawn("carl", key="l")).status == "deployed", "also once there is such an agent"


async def test_the_same_thing_is_not_asked_for_twice_at_a_time(bed: ApprovalBed) -> None:
    await bed.propose(1, key="a")
    error = await refused(bed.propose(1, key="b"))
    assert (error.code, error.data) == ("wrong_state", {"approval": 1})
    await bed.spawn("carl")
    assert (await refused(bed.spawn("carl"))).code == "wrong_state"
    await bed.idle()
    await bed.approvals.deny(1, "operator")
    assert (await bed.propose(1, key="c")).id == 4, "once it is decided, it can be asked for again"


async def test_what_changes_nothing_is_no_proposal(bed: ApprovalBed) -> None:
    bed.world.mains["alice"] = commit(1)
    assert (await refused(bed.propose(1))).code == "bad_proposal"
    assert not await bed.store.read(statements.page)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (AgentSettings(mutable=False), "mutable = false"),
        (AgentSettings(system="/nix/store/x"), "inline config"),
    ],
)
async def test_some_agents_take_no_proposals_and_say_why(bed: ApprovalBed, declared: AgentSettings, said: str) -> None:
    built_upon = AgentSettings(system="/nix/store/x", config_file="/nix/store/y.nix")
    bed.declared["alice"] = built_upon
    row = await bed.apply(1)
    bed.declared["alice"] = declared
    error = await refused(bed.propose(2))
    assert error.code == "not_mutable"
    assert said in error.message
    assert (await refused(bed.approve(row))).code == "not_mutable", "also where it has changed since"
    assert (await bed.get(1)).status == "pending"


async def test_there_is_nothing_to_propose_to_nobody(bed: ApprovalBed) -> None:
    assert (await refused(bed.propose(1, "carl"))).code == "unknown_agent"
    bed.world.agents["carl"] = bed.world.agents["alice"]
    assert (await refused(bed.propose(1, "carl"))).code == "wrong_state"


async def test_words_that_no_store_can_hold_are_refused(bed: ApprovalBed) -> None:
    assert (await refused(bed.propose(1, description="a\0b"))).code == "malformed"
    row = await bed.apply(1)
    assert (await refused(bed.approve(row, reason="\ud800"))).code == "malformed"
    assert (await refused(bed.approvals.deny(1, "operator", "a\0b"))).code == "malformed"


# --- time, and what moves


async def test_nobody_decides_for_too_long(bed: ApprovalBed) -> None:
    row = await bed.apply(1)
    await bed.pass_by(3599)
    assert (await bed.get(1)).status == "pending"
    await bed.pass_by(1)
    assert (await bed.get(1)).status == "expired"
    assert await bed.events() == [(1, "expired", "nobody decided in time")]
    assert (await refused(bed.approve(row))).message.startswith("approval 1 has expired at ")


async def test_what_expired_while_the_hive_was_down_is_over_before_anybody_can_decide(bed: ApprovalBed) -> None:
    row = await bed.apply(1)
    spawn = await bed.spawn("carl")
    await bed.restart(kill=False)
    assert {item.ref for item in bed.approvals.waiting()} == {1, 2}
    bed.clock.advance(3600)
    await bed.restart(kill=False)
    assert not list(bed.approvals.waiting())
    for one in (row, spawn):
        assert (await refused(bed.approve(one))).code == "wrong_state"
    await bed.idle()
    assert sorted((number, status) for number, status, _ in await bed.events()) == [(1, "expired"), (2, "expired")]


async def test_a_build_that_is_not_wanted_any_more_ends(bed: ApprovalBed) -> None:
    bed.builder.held = asyncio.Event()
    await bed.propose(1)
    assert await bed.builder.started.get() == 1
    await bed.approvals.deny(1, "operator", "not at all")
    await bed.idle()
    assert (await bed.get(1)).status == "denied"
    assert not list(bed.layout.state.glob("proposal-*"))


async def test_a_builder_that_cannot_be_used_is_tried_again(bed: ApprovalBed) -> None:
    bed.builder.broken.add(commit(1))
    row = await bed.apply(1)
    assert row.status == "building"
    assert "tried again: the builder is broken" in row.note
    bed.builder.broken.clear()
    await bed.pass_by(31)
    row = await bed.get(1)
    assert (row.status, row.note) == ("pending", None)


async def test_an_approval_whose_base_moved_is_built_anew_before_it_can_be_approved(bed: ApprovalBed) -> None:
    first, second, other = await bed.apply(1), await bed.apply(2), await bed.apply(3, "bob")
    await bed.approve(first)
    bed.builder.held = asyncio.Event()
    await bed.builder.started.get()
    while await bed.builder.started.get() != 2 or bed.builder.started.qsize():
        pass
    row = await bed.get(2)
    assert (row.status, row.stale) == ("building", True)
    assert "is being built" in (await refused(bed.approve(second))).message
    assert not [item for item in bed.approvals.waiting() if item.ref == 2]
    bed.builder.held.set()
    await bed.idle()
    row = await bed.get(2)
    assert (row.status, row.base_hash, row.diff) == ("pending", commit(1), f"from {commit(1)} to {commit(2)}")
    assert "undoes what came in between" in row.note
    assert (await bed.get(other.id)).stale is False
    await bed.approve(second)
    await bed.idle()
    assert bed.world.mains["alice"] == commit(2)


async def test_while_one_is_put_in_no_other_of_the_same_agent_is_approved(bed: ApprovalBed) -> None:
    first, second, other = await bed.apply(1), await bed.apply(2), await bed.apply(3, "bob")
    bed.deployment.held = asyncio.Event()
    await bed.approve(first)
    error = await refused(bed.approve(second))
    assert (error.code, "is being carried out" in error.message) == ("wrong_state", True)
    await bed.approve(other)
    bed.deployment.held.set()
    await bed.idle()
    assert bed.world.mains == {"alice": commit(1), "bob": commit(3)}
    assert (await bed.get(2)).status == "pending"


async def test_what_runs_moved_behind_our_back(bed: ApprovalBed) -> None:
    row = await bed.apply(1)
    bed.world.mains["alice"] = commit(9)
    error = await refused(bed.approve(row))
    assert "has changed since approval 1 was built" in error.message
    await bed.idle()
    row = await bed.get(1)
    assert (row.status, row.stale, row.base_hash) == ("pending", True, commit(9))


@pytest.mark.parametrize("when", ["at the start", "at a reload", "at the decision"])
async def test_what_was_built_upon_another_nixpkgs_is_built_anew(bed: ApprovalBed, when: str) -> None:
    row = await bed.apply(1)
    assert row.build["base"] == "nixpkgs 1"
    bed.upon = bed.builder.upon = "nixpkgs 2"
    if when == "at the start":
        await bed.restart(kill=False)
    elif when == "at a reload":
        await bed.approvals.look_again()
    else:
        assert "or is built upon, has changed" in (await refused(bed.approve(row))).message
    await bed.idle()
    row = await bed.get(1)
    assert (row.status, row.stale, row.build["base"]) == ("pending", True, "nixpkgs 2")


async def test_what_moved_while_it_was_built_is_never_shown(bed: ApprovalBed) -> None:
    bed.builder.held = asyncio.Event()
    row = await bed.propose(1)
    await bed.builder.started.get()
    # As a deployment does: main first, and what that means for others is written down after it.
    bed.world.mains["alice"] = commit(9)
    bed.builder.held.set()
    await bed.idle()
    assert [(await bed.get(row.id)).base_hash] == [commit(9)]
    assert [status for _, status in bed.rows].count("pending") == 1


async def test_what_is_built_anew_during_the_decision_is_not_decided(bed: ApprovalBed) -> None:
    row = await bed.apply(1)
    real = bed.repos.main

    async def main(agent: str) -> str:
        before = await real(agent)
        bed.repos.main = real
        bed.world.mains["alice"] = commit(9)
        await bed.approvals.moved(row)
        await bed.idle()
        return before

    bed.repos.main = main
    error = await refused(bed.approve(row))
    assert (error.code, "is built anew since" in error.message) == ("wrong_state", True)
    row = await bed.get(1)
    assert (row.status, row.base_hash) == ("pending", commit(9))


async def test_the_same_commit_deployed_meanwhile_leaves_nothing_to_do(bed: ApprovalBed) -> None:
    row = await bed.apply(1)
    bed.world.mains["alice"] = commit(1)
    await refused(bed.approve(row))
    await bed.idle()
    row = await bed.get(1)
    assert (row.status, row.reason) == ("failed", "it changes nothing any more: it is what runs")


async def test_it_is_compared_with_the_last_approved_too_where_that_does_not_run(bed: ApprovalBed) -> None:
    bed.failing.add(commit(1))
    await bed.approve(await bed.apply(1))
    await bed.idle()
    row = await bed.apply(2)
    assert (row.base_hash, row.approved_hash) == (BASE, commit(1))
    assert row.approved_diff == f"from {commit(1)} to {commit(2)}"


@pytest.mark.parametrize("when", ["at the start", "at a look", "at the decision"])
async def test_a_proposal_to_an_agent_whose_state_is_gone_has_failed_and_is_kept(bed: ApprovalBed, when: str) -> None:
    row, spawn = await bed.apply(1), await bed.spawn("carl")
    shutil.rmtree(bed.layout.of_agent("alice"))
    if when == "at the start":
        await bed.restart(kill=True)
    elif when == "at a look":
        await bed.approvals.look_again()
    else:
        assert ORPHAN in (await refused(bed.approve(row))).message
    await bed.idle()
    row = await bed.get(1)
    assert (row.status, row.reason, row.note) == ("failed", ORPHAN, ORPHAN)
    assert await bed.events() == [(1, "failed", ORPHAN)]
    assert (await bed.get(spawn.id)).status == "pending", "a new agent has no state yet"


@pytest.mark.parametrize("when", ["at once", "at the start"])
async def test_what_is_being_put_in_when_its_agent_is_purged_has_failed(bed: ApprovalBed, when: str) -> None:
    row = await bed.apply(1)
    bed.deployment.held = asyncio.Event()
    await bed.approve(row)
    bed.purge("alice")
    if when == "at once":
        await bed.approvals.look_again()
        bed.deployment.held.set()
    else:
        await bed.restart(kill=True)
    await bed.idle()
    row = await bed.get(1)
    assert (row.status, row.reason) == ("failed", ORPHAN)
    assert await bed.events() == [(1, "failed", ORPHAN)]


# --- whatever is tried in whatever order

_MOVES = st.one_of(
    st.tuples(st.sampled_from(["approve", "deny", "cancel", "wrong"]), st.integers(1, 6)),
    st.tuples(st.just("propose"), st.integers(1, 6)),
    st.tuples(st.just("spawn"), st.sampled_from(["carl", "dora"])),
    st.tuples(st.sampled_from(["wait", "restart", "kill", "orphan", "settle"]), st.just(0)),
)


@drawn(25)
@given(moves=st.lists(_MOVES, min_size=4, max_size=25))
@example(moves=[("propose", 2), ("settle", 0), ("approve", 1), ("orphan", 0)])
def test_whatever_is_tried_each_has_one_end_and_what_runs_was_approved(moves: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(_try(Path(place), moves))


async def _try(place: Path, moves: list[tuple[str, Any]]) -> None:
    bed = ApprovalBed(place)
    bed.reds, bed.failing = {commit(5)}, {commit(6)}
    await bed.open()
    try:
        for what, about in moves:
            with contextlib.suppress(HiveError):
                await _move(bed, what, about)
        await bed.idle()
        await _holds(bed)
    finally:
        await bed.close()


async def _move(bed: ApprovalBed, what: str, about: Any) -> None:
    if what == "propose":
        await bed.propose(about, "alice" if about % 2 else "bob")
    elif what == "spawn":
        await bed.spawn(about)
    elif what == "wait":
        await bed.pass_by(1500)
    elif what in {"restart", "kill"}:
        await bed.restart(kill=what == "kill")
    elif what == "orphan":
        bed.purge("bob")
        await bed.approvals.look_again()
    elif what == "settle":
        await bed.idle()
    elif what == "wrong":
        await bed.approvals.approve(about, "operator", commit(7))
    elif what == "approve":
        row = await bed.get(about)
        await bed.approvals.approve(about, "operator", row and row.commit_hash)
    elif what == "deny":
        await bed.approvals.deny(about, "operator", "no")
    else:
        await bed.approvals.cancel(about, "manager")


async def _holds(bed: ApprovalBed) -> None:
    rows = await bed.store.read(statements.page)
    events = [number for number, _, _ in await bed.events()]
    assert len(events) == len(set(events)), "told once"
    audited = [(action, subject) for _, action, subject, _ in await bed.audit()]
    for row in rows:
        subject = f"approval {row.id}"
        decided = [action for action, about in audited if about == subject and action in {"approve", "deny"}]
        assert len(decided) <= 1
        assert (row.status in ENDS) == (row.id in events) == (row.ended_at is not None)
        assert not row.unfinished
        if row.status in {"approved", "deploying", "deployed"}:
            assert decided == ["approve"]
        if row.status == "deployed" and row.kind == "apply":
            assert bed.world.tags[row.agent, "deployed", row.id][0] == row.commit_hash
        if row.kind == "apply" and row.status in {"denied", "failed"}:
            assert bed.world.tags[row.agent, row.status, row.id][0] == row.commit_hash
    running = {row.id: row for row in rows if row.status == "deployed" and row.kind == "apply"}
    for agent, main in bed.world.mains.items():
        assert main in {row.commit_hash for row in running.values() if row.agent == agent}
    assert set(bed.world.deployed) == set(running)
    kept = {row.id for row in rows if row.kind == "apply" and row.status in {"pending", "deployed"}}
    assert kept <= bed.world.roots <= kept | {row.id for row in rows if row.status == "building"}


async def test_the_store_takes_no_step_that_the_rules_do_not_have(bed: ApprovalBed) -> None:
    """Whoever asks for it, out of whichever state."""
    bed.approvals.work._begun = False
    row = await bed.propose(1)
    for status in get_args(ApprovalState):
        for step in get_args(Step):
            await bed.store.submit(_put, (row.id, status))
            done = await bed.approvals.step(row, step)
            assert done.fresh == allowed(step, "apply", status)
            assert done.row.status == (target(step) if done.fresh else status)


def _put(connection: Connection, items: list[tuple[int, str]]) -> list[None]:
    table = statements._approvals
    for number, status in items:
        connection.execute(update(table).where(table.c.id == number).values(status=status))
    return [None] * len(items)


# --- killed at any instant


@pytest.mark.parametrize("case", ["deployed", "failed", "denied", "red", "spawned"])
async def test_killed_after_any_commit_it_ends_the_same(tmp_path: Path, case: str) -> None:
    """Every state that the disk was ever in is a start from which the same end is reached, once."""
    bed = ApprovalBed(tmp_path / "first")
    _set_up(bed, case)
    await bed.open()
    shots: list[tuple[Path, Any]] = []

    def committed(_connection: Any) -> None:
        copied = tmp_path / f"shot-{len(shots)}.sqlite"
        with (
            contextlib.closing(sqlite3.connect(bed.database)) as before,
            contextlib.closing(sqlite3.connect(copied)) as now,
        ):
            before.backup(now)
        # The world is one commit further at most: all that it does, it may be asked to do twice.
        shots.append((copied, copy.deepcopy(bed.world)))

    # The one before the commit that comes next is what the disk has once this one is done.
    event.listen(bed.store._engine, "begin", committed)
    _set_up(bed, case)
    row = await bed.spawn("carl") if case == "spawned" else await bed.apply(1)
    asked = len(shots)
    if case == "denied":
        await bed.approvals.deny(1, "operator", "no")
    elif case != "red":
        await bed.approve(row)
    await bed.idle()
    wanted = ((await bed.get(1)).status, await bed.events(), bed.world)
    await bed.close()
    assert len(shots) >= 3
    for number, (shot, world) in enumerate(shots):
        place = tmp_path / f"again-{number}"
        again = ApprovalBed(place)
        shutil.copy(shot, again.database)
        again.world = world
        if "carl" in world.agents:
            (again.layout.of_agent("carl") / "state").mkdir(parents=True)
        _set_up(again, case)
        await again.open()
        await again.idle()
        row = await again.get(1)
        if row is None:
            assert number < asked
        else:
            if row.status == "pending":
                await (again.approvals.deny(1, "operator", "no") if case == "denied" else again.approve(row))
                await again.idle()
            assert ((await again.get(1)).status, await again.events(), again.world.tags) == (
                wanted[0], wanted[1], wanted[2].tags,
            ), number  # fmt: skip
            assert again.world.mains == wanted[2].mains
            assert again.world.roots == wanted[2].roots
        await again.close()


def _set_up(bed: ApprovalBed, case: str) -> None:
    bed.failing |= {commit(1)} if case == "failed" else set()
    bed.reds |= {commit(1)} if case == "red" else set()
