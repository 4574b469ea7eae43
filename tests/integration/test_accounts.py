"""Agents that share an account rest together when it has reached its limit, and come back one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from broker_bed import FakeClock
from lifecycle_bed import DEADLINE, Harness, Life, life, moved_time

from hyperhive.hive.accounts import APART, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AGENTS: dict[str, Any] = {name: {} for name in ("alice", "bob", "carol", "other")}
CLOCK = FakeClock()
#: Seconds until a limit is over.
HOUR = 3600.0


@pytest.fixture(autouse=True)
def _time() -> Iterator[None]:
    with moved_time(CLOCK):
        yield


def _pass(much: timedelta) -> None:
    CLOCK.advance(much.total_seconds())


def _in(seconds: float) -> str:
    """An instant, as precise as the hive tells it."""
    return (CLOCK() + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


async def _up(hive: Life, *names: str, account: str | None = "shared") -> list[Harness]:
    found = []
    for name in names:
        found.append(await hive.up(name))
        await found[-1].report("idle", account=account)
    return found


async def _limited(harness: Harness, seconds: float, scope: str = "account", **more: Any) -> str:  # noqa: ANN401
    until = _in(seconds)
    said = {"until": until, "limitScope": scope, "problem": "5-hour limit", "since": _in(0)}
    await harness.report("rate_limited", **{**said, **more})
    return until


async def _well(harness: Harness, began: str) -> None:
    """Its turn that began then ended well."""
    ms = (CLOCK() - datetime.fromisoformat(began)).total_seconds() * 1000
    await harness.report("idle", until=None, limitScope=None, problem=None, lastTurn={
        "endedAt": _in(0), "ok": True, "durationMs": int(ms)})  # fmt: skip


async def _shown(hive: Life, name: str) -> tuple[str, str | None]:
    row = await hive.row(name)
    return row["state"], row["problem"]


async def _parked(*harnesses: Harness) -> dict[str, asyncio.Task[Any]]:
    return {harness.name: await harness.park() for harness in harnesses}


async def _done(parked: dict[str, asyncio.Task[Any]]) -> set[str]:
    return {name for name, task in parked.items() if task.done() and task.result()["deliveries"]}


async def _handed_out(hive: Life, *names: str) -> None:
    """The next hand-outs are to these, in this order."""
    for name in names:

        def handed(change: dict[str, Any]) -> bool:
            return change["type"] == "message" and change["data"]["state"] == "held"

        found = await hive.watch.until(handed)
        assert found["data"]["to"] == name


async def test_one_limit_parks_all_with_the_account_and_nobody_else(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, bob, carol = await _up(hive, "alice", "bob", "carol")
        (other,) = await _up(hive, "other", account="another")
        until = await _limited(alice, HOUR)
        for name in ("bob", "carol"):
            row = await hive.row(name)
            assert row["state"] == "rate_limited"
            assert row["problem"] == "the account that it shares with alice has reached its limit: 5-hour limit"
            assert datetime.fromisoformat(row["until"]) == datetime.fromisoformat(until)
        assert (await _shown(hive, "other"))[0] == "idle"
        for name in AGENTS:
            await hive.send(name)
        for harness in (alice, bob, carol):
            assert await harness.recv() == []
        assert len(await other.recv()) == 1


@pytest.mark.parametrize("scope", ["endpoint", None])
async def test_what_is_no_limit_of_the_account_parks_nobody_else(place: Path, scope: str | None) -> None:
    async with life(place, AGENTS) as hive:
        alice, _bob = await _up(hive, "alice", "bob")
        await _limited(alice, HOUR, scope)  # type: ignore[arg-type]
        assert (await _shown(hive, "bob"))[0] == "idle"


async def test_agents_without_a_login_are_no_group(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, _bob = await _up(hive, "alice", "bob", account=None)
        await _limited(alice, HOUR)
        assert (await _shown(hive, "bob"))[0] == "idle"


async def test_a_turn_goes_on_and_its_agent_rests_after_it(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, bob = await _up(hive, "alice", "bob")
        number = await hive.send("bob")
        await bob.recv()
        began = _in(-1)
        await bob.report("thinking")
        await _limited(alice, HOUR)
        assert (await _shown(hive, "bob"))[0] == "thinking"
        await bob.outcome(number)
        await _well(bob, began)
        # It began before the limit was reached, so that it ended well says nothing.
        assert (await _shown(hive, "bob"))[0] == "rate_limited"


async def test_one_goes_first_after_the_reset_and_the_others_follow_when_it_is_answered(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, bob, carol = await _up(hive, "alice", "bob", "carol")
        await _limited(alice, HOUR)
        ids = {name: await hive.send(name) for name in ("alice", "bob", "carol")}
        parked = await _parked(alice, bob, carol)
        CLOCK.advance(HOUR)
        await _handed_out(hive, "alice")
        assert await _done(parked) <= {"alice"}
        state, problem = await _shown(hive, "bob")
        assert state == "rate_limited"
        assert "alice tries first" in (problem or "")
        await alice.report("thinking", until=None, limitScope=None, problem=None)
        event = {"n": 1, "at": _in(0), "kind": "tool_call", "turn": 1, "data": {}}
        await alice.ask("/v1/events", {"instance": "first", "events": [event]})
        await _handed_out(hive, "bob")
        _pass(APART)
        await _handed_out(hive, "carol")
        for name in ("bob", "carol"):
            assert (await hive.row(name))["state"] == "idle"
        assert ids["bob"] in [d["id"] for d in (await parked["bob"])["deliveries"]]
        assert (await hive.row("bob"))["problem"] is None


async def test_the_words_of_an_error_are_no_answer(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, _bob = await _up(hive, "alice", "bob")
        await _limited(alice, HOUR)
        await hive.send("alice")
        await alice.park()
        CLOCK.advance(HOUR)
        await _handed_out(hive, "alice")
        event = {"n": 1, "at": _in(0), "kind": "text", "turn": 1, "data": {"text": "API Error: 429"}}
        await alice.ask("/v1/events", {"instance": "first", "events": [event]})
        assert (await _shown(hive, "bob"))[0] == "rate_limited"


async def test_whoever_goes_first_and_is_refused_parks_all_of_them_again(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, bob = await _up(hive, "alice", "bob")
        await _limited(alice, HOUR)
        for name in ("alice", "bob"):
            await hive.send(name)
        parked = await _parked(alice, bob)
        CLOCK.advance(HOUR)
        await _handed_out(hive, "alice")
        await alice.report("thinking")
        until = await _limited(alice, HOUR)
        row = await hive.row("bob")
        assert datetime.fromisoformat(row["until"]) == datetime.fromisoformat(until)
        assert await _done(parked) <= {"alice"}
        # And what it did well before that says nothing now.
        await hive.settled()
        assert (await _shown(hive, "bob"))[0] == "rate_limited"


async def test_one_of_those_that_follow_parks_them_again(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, bob, carol = await _up(hive, "alice", "bob", "carol")
        await _limited(alice, HOUR)
        for name in ("alice", "bob", "carol"):
            await hive.send(name)
        parked = await _parked(alice, bob, carol)
        CLOCK.advance(HOUR)
        await _handed_out(hive, "alice")
        began = _in(0)
        await alice.report("thinking")
        await alice.outcome(1)
        await _well(alice, began)
        await _handed_out(hive, "bob")
        CLOCK.advance(APART.total_seconds() / 2)
        await bob.report("thinking")
        await _limited(bob, HOUR)
        assert (await _shown(hive, "alice"))[0] == "rate_limited"
        assert "shares with bob" in ((await _shown(hive, "alice"))[1] or "")
        assert "carol" not in await _done(parked)


async def test_if_whoever_ran_into_it_is_gone_another_one_goes_first(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, bob, carol = await _up(hive, "alice", "bob", "carol")
        await _limited(alice, HOUR)
        for name in ("bob", "carol"):
            await hive.send(name)
        await hive.do("alice", "destroy")
        parked = await _parked(bob, carol)
        CLOCK.advance(HOUR)
        await _handed_out(hive, "bob")
        assert "carol" not in await _done(parked)
        # It says nothing for as long as it thinks, so the others go after a while.
        _pass(PATIENCE)
        await _handed_out(hive, "carol")


async def test_where_nobody_has_anything_to_do_the_reset_is_the_end(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, _bob = await _up(hive, "alice", "bob")
        await _limited(alice, HOUR)
        await hive.watch.agent("bob", state="rate_limited")
        CLOCK.advance(HOUR)
        await hive.watch.agent("bob", state="idle", problem=None)


async def test_another_login_ends_it_for_its_agent_alone(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, bob, _carol = await _up(hive, "alice", "bob", "carol")
        await _limited(alice, HOUR)
        await bob.report("idle", account="its-own")
        assert (await _shown(hive, "bob"))[0] == "idle"
        assert (await _shown(hive, "carol"))[0] == "rate_limited"
        await bob.report("idle", account="shared")
        assert (await _shown(hive, "bob"))[0] == "rate_limited"


async def test_one_that_comes_up_with_the_account_rests_too(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        (alice,) = await _up(hive, "alice")
        await _limited(alice, HOUR)
        (_bob,) = await _up(hive, "bob")
        assert (await _shown(hive, "bob"))[0] == "rate_limited"


async def test_whoever_ends_its_rest_before_the_time_tries_first(place: Path) -> None:
    """Its login or its model is another one, or its plan: when it is answered, all go on."""
    async with life(place, AGENTS) as hive:
        alice, bob = await _up(hive, "alice", "bob")
        await alice.report("idle", instance="first", n=1)
        await _limited(alice, HOUR, instance="first", n=2)
        number = await hive.send("alice")
        await hive.send("bob")
        await alice.report("idle", until=None, limitScope=None, problem=None, instance="first", n=3)
        assert [d["id"] for d in await alice.recv()] == [number]
        assert await bob.recv() == []
        began = _in(0)
        await alice.outcome(number)
        await _well(alice, began)
        parked = await _parked(bob)
        assert (await asyncio.wait_for(parked["bob"], DEADLINE))["deliveries"]


async def test_a_harness_that_only_starts_again_tries_nothing(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, _bob = await _up(hive, "alice", "bob")
        await alice.report("idle", instance="first", n=1)
        await _limited(alice, HOUR, instance="first", n=2)
        await hive.do("alice", "restart")
        await hive.running("alice")
        again = hive.harness("alice", "second")
        await again.ask("/v1/commands", {})
        await again.report("idle", account="shared", instance="second", n=1)
        assert (await _shown(hive, "alice"))[0] == "rate_limited"
        assert await again.recv() == []


@pytest.mark.parametrize("action", ["resume", "start"])
async def test_the_operator_can_have_one_try_before_the_reset(place: Path, action: str) -> None:
    async with life(place, AGENTS) as hive:
        alice, bob, carol = await _up(hive, "alice", "bob", "carol")
        await _limited(alice, HOUR)
        number = await hive.send("bob")
        await hive.send("carol")
        await hive.do("bob", action)
        hive.watch.skip()
        assert [d["id"] for d in await bob.recv()] == [number]
        assert await carol.recv() == []
        assert "bob tries first" in ((await _shown(hive, "carol"))[1] or "")
        # It is not answered in time, so all of them rest again.
        _pass(PATIENCE)
        row = await hive.watch.agent("bob", state="rate_limited")
        assert row["until"] > _in(1800)


async def test_a_limit_of_many_years_is_nobody_elses(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, _bob = await _up(hive, "alice", "bob")
        await _limited(alice, 86400 * 400)
        assert (await _shown(hive, "bob"))[0] == "idle"


async def test_a_limit_outlives_the_hive_and_nobody_asks_before_it_is_over(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, _bob, _other = await _up(hive, "alice", "bob", "carol")
        await _up(hive, "other", account="another")
        until = await _limited(alice, HOUR)
        await hive.send("bob")
    async with life(place, AGENTS) as hive:
        # Whose account it is, is known before its harness has said a word: its first recv may come before that.
        await hive.running("bob")
        bob = hive.harness("bob", "second")
        await bob.ask("/v1/commands", {})
        assert await bob.recv() == []
        await bob.report("idle", account="shared", instance="second", n=1)
        row = await hive.row("bob")
        assert (row["state"], row["problem"]) == (
            "rate_limited",
            "the account that it shares with alice has reached its limit: 5-hour limit",
        )
        assert datetime.fromisoformat(row["until"]) == datetime.fromisoformat(until)
        await hive.up("other", "second")
        assert (await _shown(hive, "other"))[0] == "idle"
        # Whoever ran into it says it once more, where its harness outlived the hive; that is no second limit.
        alice = await hive.up("alice")
        await _limited(alice, 3500)
        assert (await hive.row("bob"))["until"] == row["until"]
        await hive.do("bob", "resume")
        assert len(await bob.recv()) == 1, "the operator may have one try, as before"


async def test_a_limit_that_passed_while_the_hive_was_down_is_forgotten(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, _bob = await _up(hive, "alice", "bob")
        await _limited(alice, HOUR)
    with contextlib.closing(sqlite3.connect(place / "state" / "hive.sqlite")) as connection:
        connection.execute("UPDATE account_limits SET until = '2026-01-01 00:00:00'")
        connection.commit()
    async with life(place, AGENTS) as hive:
        (_bob,) = await _up(hive, "bob")
        assert (await _shown(hive, "bob"))[0] == "idle"
    assert _limits(place) == []


def _limits(place: Path) -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(place / "state" / "hive.sqlite")) as connection:
        return connection.execute("SELECT account, by FROM account_limits").fetchall()


@pytest.mark.parametrize("end", ["the reset", "an answer"])
async def test_a_limit_that_is_over_is_not_kept(place: Path, end: str) -> None:
    async with life(place, AGENTS) as hive:
        alice, bob = await _up(hive, "alice", "bob")
        await _limited(alice, HOUR)
        await hive.watch.agent("bob", state="rate_limited")
        if end == "an answer":
            number = await hive.send("alice")
            await alice.park()
            CLOCK.advance(HOUR)
            await _handed_out(hive, "alice")
            began = _in(0)
            await alice.report("thinking")
            await alice.outcome(number)
            await _well(alice, began)
        else:
            CLOCK.advance(HOUR)
        await hive.watch.agent("bob", state="idle", problem=None)
        await bob.report("idle")
    assert _limits(place) == []


async def test_a_login_that_changed_while_the_hive_was_down_counts_from_its_first_report(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, _bob = await _up(hive, "alice", "bob")
        await _limited(alice, HOUR)
        await hive.send("bob")
    assert _limits(place) == [("shared", "alice")]
    async with life(place, AGENTS) as hive:
        (bob,) = await _up(hive, "bob", account="its own")
        assert (await _shown(hive, "bob"))[0] == "idle"
        assert len(await bob.recv()) == 1


async def test_what_was_limited_is_the_same_message_and_not_counted(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        (alice,) = await _up(hive, "alice")
        number = await hive.send("alice")
        for _ in range(7):
            assert [d["id"] for d in await alice.recv()] == [number]
            await alice.outcome(number, kind="returned")
        assert await hive.waiting("dead_letter") == []
        found = await hive.operator.ask("GET", "/api/messages?to=alice")
        assert [(row["id"], row["state"]) for row in found["messages"]] == [(number, "waiting")]
