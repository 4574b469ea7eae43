"""Turns that failed, as the manager hears of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from unittest import mock

from lifecycle_bed import Harness, Life, fake_runtime, life, one_turn

from hyperhive.hive.dead_letters import DeadLetters
from hyperhive.hive.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

#: The first failure of a message is its last.
ONCE = Limits(attempts=1)
AGENTS: dict[str, Any] = {"alice": {}, "bob": {}}
MANAGED: dict[str, Any] = {"manager": {"enable": True}}


async def _held(hive: Life, harness: Harness) -> list[int]:
    return [await one_turn(hive, harness) for _ in range(3)]


async def _events(manager: Harness) -> list[dict[str, Any]]:
    """The hive's words to the manager, all of them settled."""
    found = [d for d in await manager.recv() if d["from"] == "system"]
    for delivery in found:
        await manager.outcome(delivery["id"])
    return [json.loads(d["body"]) for d in found]


async def _event(hive: Life, manager: Harness, name: str) -> dict[str, Any]:
    def told(change: dict[str, Any]) -> bool:
        data = change["data"]
        new = change["type"] == "message" and data["to"] == "manager" and data["state"] == "waiting"
        return new and f'"event": "{name}"' in data["body"]

    await hive.watch.until(told)
    (found,) = [event for event in await _events(manager) if event["event"] == name]
    return found


async def test_a_failed_turn_is_told_with_its_reason_and_the_last_of_stderr(place: Path) -> None:
    async with life(place, AGENTS, **MANAGED) as hive:
        manager, alice = await hive.up("manager"), await hive.up("alice")
        number = await one_turn(hive, alice, reason="API Error: 400 no\nstderr 1\nstderr 2")
        assert await _event(hive, manager, "turn_failed") == {
            "event": "turn_failed",
            "agent": "alice",
            "message": number,
            "from": "operator",
            "attempt": 1,
            "deadLetter": False,
            "reason": "API Error: 400 no\nstderr 1\nstderr 2",
            "notTold": 0,
        }


async def test_a_hold_is_told_once(place: Path) -> None:
    async with life(place, AGENTS, **MANAGED, limits=ONCE) as hive:
        manager, alice = await hive.up("manager"), await hive.up("alice")
        ids = await _held(hive, alice)
        event = await _event(hive, manager, "held")
        assert event == {"event": "held", "agent": "alice", "messages": ids, "reason": "it broke"}
    async with life(place, AGENTS, **MANAGED, limits=ONCE) as hive:
        manager = await hive.up("manager")
        await hive.settled()
        assert [event["event"] for event in await _events(manager)] in ([], ["turn_failed"])


async def test_many_failures_are_one_message_at_a_time(place: Path) -> None:
    async with life(place, AGENTS, **MANAGED, limits=Limits(attempts=5, back_off=0)) as hive:
        manager, alice, bob = await hive.up("manager"), await hive.up("alice"), await hive.up("bob")
        for harness in (alice, bob):
            number = await hive.send(harness.name)
            for _ in range(4):
                assert [d["id"] for d in await harness.recv()] == [number]
                await harness.outcome(number, kind="failed")
        await hive.settled()
        told = await _events(manager)
        assert [(event["agent"], event["attempt"]) for event in told] == [("alice", 1), ("bob", 1)]
        # What came meanwhile is one more of each, the newest.
        await hive.settled()
        told = await _events(manager)
        assert [(e["agent"], e["attempt"], e["notTold"]) for e in told] == [("alice", 4, 2), ("bob", 4, 2)]
        await hive.settled()
        assert await _events(manager) == []


async def test_a_requeued_message_that_fails_again_is_told_again(place: Path) -> None:
    async with life(place, AGENTS, **MANAGED, limits=ONCE) as hive:
        manager, alice = await hive.up("manager"), await hive.up("alice")
        number = await one_turn(hive, alice)
        assert (await _event(hive, manager, "turn_failed"))["deadLetter"] is True
        await hive.operator.ask("POST", f"/api/dead-letters/{number}/requeue")
        await alice.recv()
        await alice.outcome(number, kind="failed")
        assert (await _event(hive, manager, "turn_failed"))["message"] == number


async def test_what_is_not_counted_is_not_told(place: Path) -> None:
    async with life(place, AGENTS, **MANAGED) as hive:
        manager, alice = await hive.up("manager"), await hive.up("alice")
        await one_turn(hive, alice, "returned")
        (again,) = await alice.recv()
        await alice.outcome(again["id"])
        await hive.settled()
        assert await _events(manager) == []


async def test_of_its_own_failures_the_manager_is_told_nothing(place: Path) -> None:
    async with life(place, AGENTS, **MANAGED, limits=ONCE) as hive:
        manager = await hive.up("manager")
        ids = await _held(hive, manager)
        await hive.settled()
        assert (await hive.row("manager"))["unread"] == 0
        assert [item["ref"] for item in await hive.waiting("dead_letter")] == ids
        assert [item["id"] for item in await hive.waiting("hold")] == ["hold-manager"]


def _to_operator(hive: Life) -> set[int]:
    """Messages to the operator, as the stream has told so far."""
    messages = [change["data"] for change in hive.watch.changes if change["type"] == "message"]
    return {row["id"] for row in messages if row["to"] == "operator"}


async def _inbox(hive: Life) -> list[str]:
    found = (await hive.operator.ask("GET", "/api/inbox"))["messages"]
    return [row["body"] for row in found if row["from"] == "system"]


async def test_what_the_manager_cannot_take_is_the_operators_to_read_and_no_dead_letter(place: Path) -> None:
    async with life(place, AGENTS, **MANAGED, limits=ONCE) as hive:
        manager, alice = await hive.up("manager"), await hive.up("alice")
        await one_turn(hive, alice, reason="a broken build")
        word = await hive.watch.until(lambda c: c["type"] == "message" and c["data"]["to"] == "manager")
        await manager.recv()
        await manager.ask("/v1/outcome", {"ids": [word["data"]["id"]], "outcome": "failed", "reason": "manager broke"})
        await hive.watch.until(lambda c: c["type"] == "message" and c["data"]["state"] == "discarded")
        (told,) = await _inbox(hive)
        assert '"event": "turn_failed"' in told
        assert "a broken build" in told
        assert told.endswith("\n\nmanager broke")
        assert [item["agent"] for item in await hive.waiting("dead_letter")] == ["alice"]
        assert len(await hive.waiting("mail")) == 1
        # Of that it is told nothing.
        assert (await hive.row("manager"))["unread"] == 0
    async with life(place, AGENTS, **MANAGED, limits=ONCE) as hive:
        assert len(await _inbox(hive)) == 1


async def test_three_of_them_in_a_row_hold_the_manager(place: Path) -> None:
    async with life(place, {"carol": {}, **AGENTS}, **MANAGED, limits=ONCE) as hive:
        manager = await hive.up("manager")
        new = {"to": "manager", "state": "waiting"}
        for name in ("alice", "bob", "carol"):
            await one_turn(hive, await hive.up(name))
            await hive.watch.until(lambda c: c["type"] == "message" and new.items() <= c["data"].items())
            (word,) = await manager.recv()
            await manager.outcome(word["id"], kind="failed")
        assert [item["id"] for item in await hive.waiting("hold")] == ["hold-manager"]
        # The last is passed on after its outcome was answered.
        await hive.watch.since(0, lambda _change: len(_to_operator(hive)) == 3)
        assert len(await _inbox(hive)) == 3


async def test_one_that_was_left_half_passed_on_is_passed_on_once_at_the_next_start(place: Path) -> None:
    async with life(place, AGENTS, expected=("was not passed on",), **MANAGED, limits=ONCE) as hive:
        manager, alice = await hive.up("manager"), await hive.up("alice")
        await one_turn(hive, alice)
        word = await hive.watch.until(lambda c: c["type"] == "message" and c["data"]["to"] == "manager")
        number = word["data"]["id"]
        await manager.recv()
        with mock.patch.object(DeadLetters, "discard", side_effect=RuntimeError("killed here")):
            await manager.outcome(number, kind="failed")
            await hive.watch.until(lambda c: c["type"] == "message" and c["data"]["to"] == "operator")
            await hive.settled()
        left = (await hive.operator.ask("GET", "/api/dead-letters"))["messages"]
        assert number in [row["id"] for row in left]
    async with life(place, AGENTS, **MANAGED, limits=ONCE) as hive:
        await hive.settled()
        left = (await hive.operator.ask("GET", "/api/dead-letters"))["messages"]
        assert number not in [row["id"] for row in left]
        assert len(await _inbox(hive)) == 1


async def test_a_crash_in_a_turn_is_a_failed_turn(place: Path) -> None:
    runtime = fake_runtime()
    async with life(place, AGENTS, runtime, **MANAGED) as hive:
        manager, alice = await hive.up("manager"), await hive.up("alice")
        number = await hive.send("alice")
        await alice.recv()
        runtime.crash("alice", 137, ("Out of memory",))
        told = await _event(hive, manager, "turn_failed")
        assert (told["message"], told["attempt"]) == (number, 1)
        assert "Out of memory" in told["reason"]


async def test_a_hold_waits_for_the_operator_and_is_not_the_managers_to_lift(place: Path) -> None:
    async with life(place, AGENTS, **MANAGED, limits=ONCE) as hive:
        manager, alice = await hive.up("manager"), await hive.up("alice")
        await _held(hive, alice)
        await manager.ask("/v1/agents/alice/start", {})
        assert [item["id"] for item in await hive.waiting("hold")] == ["hold-alice"]
        await hive.do("alice", "start")
        assert await hive.waiting("hold") == []
