"""Agents that fail again and again are held after three dead letters in a row; crashes are remembered."""

from __future__ import annotations

import asyncio
import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from broker_bed import migrated
from drawn import drawn
from hive_bed import short_place
from hypothesis import given
from hypothesis import strategies as st
from lifecycle_bed import Harness, Life, fake_runtime, life, one_turn

from hyperhive.hive.limits import Limits
from hyperhive.store import holds
from hyperhive.store.engine import sqlite_url
from hyperhive.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path

#: The first failure of a message is its last.
ONCE = Limits(attempts=1)
AGENTS: dict[str, Any] = {"alice": {}, "bob": {}}


async def _held(hive: Life, harness: Harness) -> list[int]:
    return [await one_turn(hive, harness) for _ in range(3)]


async def _is_handed_nothing(hive: Life, harness: Harness) -> None:
    number = await hive.send(harness.name, "and now?")
    assert await harness.recv() == []
    assert (await hive.row(harness.name))["unread"] >= 1
    assert number


# --- the hold


async def test_three_dead_letters_in_a_row_hold_their_agent(place: Path) -> None:
    async with life(place, AGENTS, limits=ONCE) as hive:
        alice, bob = await hive.up("alice"), await hive.up("bob")
        first, second = await one_turn(hive, alice), await one_turn(hive, alice)
        assert (await hive.row("alice"))["state"] == "idle"
        await hive.watch.agent("alice", unread=0)
        hive.watch.skip()
        third = await one_turn(hive, alice, reason="the third\nwith a line of stderr")
        row = await hive.row("alice")
        assert (row["state"], row["wanted"], row["until"]) == ("paused", "running", None)
        assert f"{first}, {second}, {third}" in row["problem"]
        assert "the third" in row["problem"]
        assert "hyperhive resume alice" in row["problem"]
        (item,) = await hive.waiting("hold")
        assert (item["id"], item["agent"], item["ref"]) == ("hold-alice", "alice", "alice")
        assert item["since"] == row["since"]
        await _is_handed_nothing(hive, alice)
        # Of the others nothing is held.
        await one_turn(hive, bob, "settled")


async def test_what_waits_behind_the_third_is_not_handed_to_the_parked_recv(place: Path) -> None:
    async with life(place, AGENTS, limits=ONCE) as hive:
        alice = await hive.up("alice")
        await one_turn(hive, alice)
        await one_turn(hive, alice)
        third, behind = await hive.send("alice"), await hive.send("alice")
        await alice.recv()
        parked = await alice.park(holding=[third, behind])
        await alice.outcome(third, behind, kind="failed")
        await hive.settled()
        assert not parked.done()
        await hive.do("alice", "resume")
        assert [delivery["id"] for delivery in (await parked)["deliveries"]] == [behind]


@pytest.mark.parametrize(("between", "held"), [("settled", False), ("cancelled", True), ("returned", True)])
async def test_only_a_turn_that_ended_well_begins_the_count_anew(place: Path, between: str, held: bool) -> None:  # noqa: FBT001
    async with life(place, AGENTS, limits=ONCE) as hive:
        alice = await hive.up("alice")
        await one_turn(hive, alice)
        await one_turn(hive, alice)
        number = await one_turn(hive, alice, between)
        if between == "returned":
            assert [d["id"] for d in await alice.recv()] == [number]
            await alice.outcome(number, kind="failed")
        else:
            await one_turn(hive, alice)
        assert bool(await hive.waiting("hold")) is held
        if not held:
            await one_turn(hive, alice)
            await one_turn(hive, alice)
            assert await hive.waiting("hold")


async def test_the_same_message_is_not_counted_twice(place: Path) -> None:
    async with life(place, AGENTS, limits=ONCE) as hive:
        alice = await hive.up("alice")
        number = await one_turn(hive, alice)
        for _ in range(3):
            await hive.operator.ask("POST", f"/api/dead-letters/{number}/requeue")
            assert [d["id"] for d in await alice.recv()] == [number]
            await alice.outcome(number, kind="failed")
        assert not await hive.waiting("hold")


async def test_the_count_and_the_hold_outlive_the_daemon(place: Path) -> None:
    async with life(place, AGENTS, limits=ONCE) as hive:
        alice = await hive.up("alice")
        await one_turn(hive, alice)
        await one_turn(hive, alice)
    async with life(place, AGENTS, limits=ONCE) as hive:
        alice = await hive.up("alice")
        await one_turn(hive, alice)
        (before,) = await hive.waiting("hold")
    async with life(place, AGENTS, limits=ONCE) as hive:
        alice = await hive.up("alice")
        assert (await hive.row("alice"))["state"] == "paused"
        assert await hive.waiting("hold") == [before]
        await _is_handed_nothing(hive, alice)


async def test_restart_rebuild_and_stop_leave_a_hold(place: Path) -> None:
    async with life(place, AGENTS, limits=ONCE) as hive:
        await _held(hive, await hive.up("alice"))
        for number, action in enumerate(("restart", "rebuild")):
            await hive.do("alice", action)
            alice = await hive.up("alice", f"again-{number}")
            assert (await hive.row("alice"))["state"] == "paused"
            await _is_handed_nothing(hive, alice)
        await hive.do("alice", "stop")
        assert (await hive.row("alice"))["state"] == "stopped"
        assert await hive.waiting("hold")


@pytest.mark.parametrize("action", ["resume", "start"])
async def test_resume_and_start_lift_it_and_the_count_begins_anew(place: Path, action: str) -> None:
    async with life(place, AGENTS, limits=ONCE) as hive:
        alice = await hive.up("alice")
        await _held(hive, alice)
        number = await hive.send("alice")
        await hive.do("alice", action)
        assert await hive.waiting("hold") == []
        row = await hive.row("alice")
        assert (row["state"], row["problem"]) == ("idle", None)
        assert number in [d["id"] for d in await alice.recv()]
        await alice.outcome(number, kind="failed")
        await one_turn(hive, alice)
        assert await hive.waiting("hold") == []
        await one_turn(hive, alice)
        assert await hive.waiting("hold")
    async with life(place, AGENTS, limits=ONCE) as hive:
        await hive.do("alice", action)
    async with life(place, AGENTS, limits=ONCE) as hive:
        await hive.up("alice")
        assert await hive.waiting("hold") == []


async def test_a_pause_and_a_hold_end_together(place: Path) -> None:
    async with life(place, AGENTS, limits=ONCE) as hive:
        alice = await hive.up("alice")
        await _held(hive, alice)
        await hive.do("alice", "pause")
        row = await hive.row("alice")
        assert (row["state"], row["wanted"]) == ("paused", "paused")
        assert await hive.waiting("hold")
        number = await hive.send("alice")
        await hive.do("alice", "resume")
        assert [d["id"] for d in await alice.recv()] == [number]


async def test_a_tombstone_keeps_its_hold_out_of_sight_and_a_revive_lifts_it(place: Path) -> None:
    async with life(place, AGENTS, limits=ONCE) as hive:
        await _held(hive, await hive.up("alice"))
        await hive.do("alice", "destroy")
        assert await hive.waiting("hold") == []
        await hive.revive("alice")
        alice = await hive.up("alice", "revived")
        assert await hive.waiting("hold") == []
        assert [d["from"] for d in await alice.recv()] == ["system"]


async def test_one_that_comes_back_by_its_declaration_is_held_still(place: Path) -> None:
    async with life(place, AGENTS, limits=ONCE) as hive:
        await _held(hive, await hive.up("alice"))
        await hive.reload({"bob": {}})
        await hive.watch.operation("alice", "destroy", "done")
        assert await hive.waiting("hold") == []
        await hive.reload(AGENTS)
        await hive.up("alice", "again")
        assert [item["id"] for item in await hive.waiting("hold")] == ["hold-alice"]


async def test_a_purge_forgets_it(place: Path) -> None:
    async with life(place, AGENTS, limits=ONCE) as hive:
        await _held(hive, await hive.up("alice"))
        await hive.do("alice", "destroy")
        await hive.purge("alice")
        await hive.operator.ask("POST", "/api/reconcile")
        alice = await hive.up("alice", "new")
        assert (await hive.row("alice"))["state"] == "idle"
        await one_turn(hive, alice)
        assert await hive.waiting("hold") == []
    async with life(place, AGENTS, limits=ONCE) as hive:
        await hive.up("alice")
        assert await hive.waiting("hold") == []


async def test_a_hold_ends_no_turn_and_is_shown_after_it(place: Path) -> None:
    async with life(place, AGENTS, limits=ONCE) as hive:
        alice = await hive.up("alice")
        ids = [await hive.send("alice") for _ in range(4)]
        await alice.recv(most=4)
        await alice.report("thinking")
        for number in ids[:3]:
            await alice.outcome(number, kind="failed")
        assert (await hive.row("alice"))["state"] == "thinking"
        await alice.outcome(ids[3])
        await alice.report("idle")
        assert (await hive.row("alice"))["state"] == "paused"


_STEPS = st.lists(st.one_of(st.integers(1, 4), st.sampled_from(["well", "lift"])), max_size=14)


@drawn(60)
@given(_STEPS)
def test_whatever_comes_three_different_ones_in_a_row_and_nothing_else_is_a_hold(steps: list[Any]) -> None:
    async def play() -> None:
        with short_place() as place:
            shutil.copy(migrated(), place / "hive.sqlite")
            store = await Store.open(sqlite_url(place / "hive.sqlite"))
            row, held, at = [], None, datetime(2026, 1, 2, tzinfo=UTC)
            for step in steps:
                at += timedelta(seconds=1)
                if step == "lift":
                    await store.submit(holds.lift, "alice")
                    row, held = [], None
                else:
                    dead = None if step == "well" else step
                    found = await store.submit(holds.judge, holds.Judged("alice", (), at, dead, f"of {step}"))
                    row = row if held and dead is None else [] if dead is None else list(dict.fromkeys([*row, dead]))
                    held = held or (at if len(row) >= 3 else None)
                    assert (list(found.messages), found.held_at) == (row, held)
                known = await store.read(holds.list_holds)
                assert [(list(one.messages), one.held_at) for one in known] == ([(row, held)] if row else [])
            await store.close()

    asyncio.run(play())


# --- crashes are remembered


async def test_a_crash_waits_until_it_is_dismissed_also_over_a_restart(place: Path) -> None:
    runtime = fake_runtime()
    async with life(place, AGENTS, runtime) as hive:
        for number in range(2):
            await hive.up("alice", f"{number}")
            runtime.crash("alice", 1, (f"crash {number}",))
            await hive.watch.until(lambda c: c["type"] == "waiting" and f"crash {number}" in json.dumps(c))  # noqa: B023
        (before,) = await hive.waiting("crash")
        assert before["ref"] == 2
    async with life(place, AGENTS) as hive:
        assert await hive.waiting("crash") == [before]
        await hive.operator.ask("POST", "/api/waiting/crash-alice/dismiss")
        assert await hive.waiting("crash") == []
    async with life(place, AGENTS) as hive:
        assert await hive.waiting("crash") == []


async def test_a_purge_forgets_crashes_for_good(place: Path) -> None:
    runtime = fake_runtime()
    async with life(place, AGENTS, runtime) as hive:
        await hive.up("alice")
        runtime.crash("alice", 1, ("crash",))
        await hive.watch.until(lambda c: c["type"] == "waiting" and "crash-alice" in json.dumps(c))
        await hive.do("alice", "destroy")
        await hive.purge("alice")
    async with life(place, AGENTS) as hive:
        await hive.up("alice")
        assert await hive.waiting("crash") == []
