"""What agents use, and what their budgets do, through the sockets of a real daemon."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from bare_http import RawClient
from hive_bed import HiveProcess, hive_process, short_place
from lifecycle_bed import DEADLINE, Harness, Life, life, refusal

from hyperhive.clock import utc_now
from hyperhive.hive import deadlines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_AT = "2026-01-01T00:00:00Z"


@asynccontextmanager
async def _hive(agents: dict[str, Any], **more: Any) -> AsyncIterator[Life]:  # noqa: ANN401 - JSON
    with short_place() as place:
        async with life(place, agents, **more) as hive:
            yield hive


async def _turn(harness: Harness, n: int, *, ok: bool = True, **used: Any) -> list[int]:  # noqa: ANN401 - JSON
    """A turn as a harness has it: a message, a report of what it used, the outcome. Empty where there was none."""
    ids = [delivery["id"] for delivery in await harness.recv(most=1)]
    if ids:
        await _report(harness, n, ok=ok, **used)
        await harness.outcome(*ids)
    return ids


async def _report(harness: Harness, n: int, *, ok: bool = True, **used: Any) -> None:  # noqa: ANN401 - JSON
    turn = {"endedAt": utc_now().isoformat(), "ok": ok, "durationMs": 5}
    await harness.ask(
        "/v1/report", {"instance": harness.instance, "n": n, "state": "idle", "usage": used, "lastTurn": turn}
    )


async def _usage(hive: Life, query: str = "") -> Any:  # noqa: ANN401 - JSON
    return await hive.operator.ask("GET", f"/api/usage{query}")


# --- counting


async def test_a_turn_is_counted_by_day_agent_and_model() -> None:
    async with _hive({"alice": {"model": "opus"}, "bob": {}}) as hive:
        alice, bob = await hive.up("alice"), await hive.up("bob")
        await _report(alice, 1, inputTokens=100, outputTokens=10, cacheReadTokens=7, cacheWriteTokens=3, costUsd=0.1)
        await _report(alice, 2, inputTokens=50, costUsd=0.2, model="claude-sonnet-5")
        await _report(bob, 1, ok=False, outputTokens=1, costUsd=0.7)
        # between two turns: no turn, but it costs
        await alice.ask("/v1/report", {"instance": "first", "n": 3, "usage": {"costUsd": 0.05, "contextTokens": 9}})
        found = await _usage(hive)
        rows = {(row["agent"], row["model"]): row for row in found["usage"]}
        assert {key: (row["turns"], row["failed"], row["costUsd"]) for key, row in rows.items()} == {
            ("alice", "opus"): (1, 0, 0.15),
            ("alice", "claude-sonnet-5"): (1, 0, 0.2),
            ("bob", "haiku"): (1, 1, 0.7),
        }
        assert {row["day"] for row in found["usage"]} == {found["day"]}
        assert found["total"]["costUsd"] == found["today"]["costUsd"] == 1.05, "to the millionth, not almost"
        row = await hive.row("alice")
        assert row["usage"] == row["today"] | {"contextTokens": 9, "contextWindow": None}
        assert (row["today"]["turns"], row["today"]["inputTokens"], row["today"]["cacheWriteTokens"]) == (2, 150, 3)
        assert (await _usage(hive, "?agent=bob"))["total"]["turns"] == 1
        assert await refusal(_usage(hive, "?agent=nobody")) == "unknown_agent"
        assert await refusal(_usage(hive, "?days=0")) == "malformed"


@pytest.mark.parametrize(
    "used",
    [
        {"costUsd": -1},
        {"costUsd": 1e9},
        {"inputTokens": -5},
        {"outputTokens": 10**30},
        {"cacheReadTokens": 1.5},
        {"model": "x" * 300},
    ],
)
async def test_what_nobody_can_have_used_is_refused_and_counts_nothing(used: dict[str, Any]) -> None:
    async with _hive({"alice": {}}) as hive:
        alice = await hive.up("alice")
        assert await refusal(_report(alice, 1, **used)) == "malformed"
        assert (await _usage(hive))["usage"] == []


async def test_models_that_an_agent_makes_up_fill_no_table() -> None:
    async with _hive({"alice": {}}) as hive:
        alice = await hive.up("alice")
        for number, model in enumerate(["<script>", "a\nb", *(f"model-{n}" for n in range(40))]):
            await _report(alice, number, model=model)
        found = await _usage(hive)
        assert found["total"]["turns"] == 42
        assert len(found["usage"]) <= 13
        assert next(row["turns"] for row in found["usage"] if row["model"] == "other") >= 30


async def test_a_report_that_comes_again_counts_once_also_at_the_next_daemon() -> None:
    with short_place() as place:
        async with hive_process(place) as process:
            await process.start({"alice": {}})
            report = {
                "instance": "i", "n": 1, "state": "idle", "usage": {"costUsd": 0.5, "contextTokens": 7},
                "lastTurn": {"endedAt": utc_now().isoformat(), "ok": True, "durationMs": 1234},
            }  # fmt: skip
            for _ in range(3):
                await _say(process, report)
                await _say(process, report)
                # What was answered is on disk: nothing is given time to be written.
                await process.end(signal.SIGKILL)
                await process.start({"alice": {}})
            operator = RawClient(process.host_socket)
            row = await operator.ask("GET", "/api/agents/alice")
            await operator.close()
            assert (row["usage"]["turns"], row["usage"]["costUsd"], row["today"]["turns"]) == (1, 0.5, 1)
            assert (row["usage"]["contextTokens"], row["lastTurn"]["durationMs"]) == (7, 1234), "as before the kill"


async def _say(process: HiveProcess, body: object) -> None:
    client = RawClient(process.agent_socket("alice"))
    try:
        await client.ask("POST", "/v1/report", body)
    finally:
        await client.close()


async def test_turns_are_counted_exactly_whenever_the_daemon_is_killed() -> None:
    """A harness says each turn until it was heard; the daemon dies in the middle of it again and again."""
    with short_place() as place:
        async with hive_process(place) as process:
            await process.start({"alice": {}})
            for n in range(1, 41):
                body = {
                    "instance": "i", "n": n, "usage": {"costUsd": 0.01, "inputTokens": n},
                    "lastTurn": {"endedAt": utc_now().isoformat(), "ok": True, "durationMs": 1},
                }  # fmt: skip
                asking = asyncio.create_task(_say(process, body))
                if n % 5 == 0:
                    # Somewhere between the first byte and the answer; whether it was heard then, nobody knows.
                    for _ in range(n // 5 % 7):
                        await asyncio.sleep(0)
                    await process.end(signal.SIGKILL)
                    await process.start({"alice": {}})
                    await asyncio.wait([asking])
                    if asking.exception() is not None:
                        await _say(process, body)
                await asyncio.wait([asking])
            operator = RawClient(process.host_socket)
            row = await operator.ask("GET", "/api/agents/alice")
            await operator.close()
            assert (row["usage"]["turns"], row["usage"]["inputTokens"]) == (40, sum(range(1, 41)))
            assert row["usage"]["costUsd"] == 0.4


async def test_a_turn_that_died_with_its_harness_is_counted_as_lost() -> None:
    async with _hive({"alice": {}}, limits=None) as hive:
        alice = await hive.up("alice")
        await hive.send("alice", "one")
        await hive.send("alice", "two")
        assert await alice.recv(most=1)
        again = await hive.harness("alice", "second").up()
        await again.recv(most=1)
        row = await hive.row("alice")
        assert (row["today"]["turns"], row["today"]["failed"], row["today"]["lost"]) == (1, 1, 1)
        assert row["today"]["costUsd"] == 0, "nobody knows"
        assert [(one["model"], one["lost"]) for one in (await _usage(hive))["usage"]] == [("haiku", 1)]


async def test_what_was_refused_before_anything_was_used_uses_up_no_budget() -> None:
    """An agent that waits for its limit to end, and asks now and then, has had no turn."""
    async with _hive({"alice": {"budget": {"turns": 1}}}) as hive:
        alice = await hive.up("alice")
        for n in range(5):
            await _report(alice, n, ok=False)
        row = await hive.row("alice")
        assert (row["today"]["turns"], row["today"]["failed"], row["state"]) == (0, 5, "idle")
        await _report(alice, 9, ok=False, inputTokens=1)
        assert (await hive.row("alice"))["state"] == "over_budget", "failed, but not for nothing"


async def test_a_turn_that_was_reported_before_its_harness_died_is_not_lost() -> None:
    async with _hive({"alice": {}}) as hive:
        alice = await hive.up("alice")
        await hive.send("alice")
        assert await alice.recv(most=1)
        await _report(alice, 1, costUsd=0.25)
        again = await hive.harness("alice", "second").up()
        await again.recv(most=1)
        row = await hive.row("alice")
        assert (row["today"]["turns"], row["today"]["lost"], row["today"]["costUsd"]) == (1, 0, 0.25)


async def test_a_purge_forgets_the_agent_and_keeps_the_sums() -> None:
    async with _hive({"alice": {}, "bob": {}}) as hive:
        alice = await hive.up("alice")
        await _report(alice, 1, costUsd=0.25)
        await hive.do("alice", "destroy")
        assert (await _usage(hive, "?agent=alice"))["total"]["costUsd"] == 0.25, "a tombstone's is known"
        await hive.purge("alice")
        await hive.watch.operation("alice", "purge", "done")
        found = await _usage(hive)
        assert [(row["agent"], row["costUsd"]) for row in found["usage"]] == [("(purged)", 0.25)]
        assert found["today"]["costUsd"] == 0.25, "the hive's day has it"
        assert await refusal(_usage(hive, "?agent=alice")) == "unknown_agent"
        assert (await _usage(hive, "?agent=(purged)"))["total"]["turns"] == 1


# --- budgets


async def test_the_turn_after_the_last_allowed_one_waits_until_the_operator_allows_more() -> None:
    async with _hive({"alice": {"budget": {"turns": 2}}, "bob": {}}) as hive:
        alice, bob = await hive.up("alice"), await hive.up("bob")
        for _ in range(3):
            await hive.send("alice")
        assert await _turn(alice, 1)
        assert (await hive.row("alice"))["state"] == "idle"
        assert await _turn(alice, 2)
        assert not await _turn(alice, 3)
        row = await hive.row("alice")
        assert (row["state"], row["unread"]) == ("over_budget", 1)
        assert "2 of 2 turns" in row["problem"]
        assert "hyperhive budget alice" in row["problem"]
        assert row["until"] == row["budget"]["until"] == (await _usage(hive))["until"]
        (item,) = await hive.waiting("over_budget")
        assert (item["id"], item["agent"], item["deadline"]) == ("over_budget-alice", "alice", row["until"])
        assert item["since"] == row["since"]
        assert await refusal(hive.operator.ask("POST", "/api/waiting/over_budget-alice/dismiss")) == "wrong_state"
        await hive.send("bob")
        assert await _turn(bob, 1), "the others go on"

        parked = await alice.park(max=1)
        answer = await hive.operator.ask("POST", "/api/agents/alice/budget", {"today": {"turns": 3}})
        assert answer["budget"]["turns"] == {"used": 2, "allowed": 3, "raised": True}
        (delivery,) = (await parked)["deliveries"]
        assert not delivery["redelivered"], "it waited uncounted, and was handed out to nobody before"
        assert await hive.waiting("over_budget") == []
        await _report(alice, 3)
        await alice.outcome(delivery["id"])
        assert (await hive.row("alice"))["state"] == "over_budget"
        audit = (await hive.operator.ask("GET", "/api/audit"))["audit"]
        assert [(e["actor"], e["subject"], e["detail"]) for e in audit if e["action"] == "budget"] == [
            ("operator", "alice", "today: turns 3")
        ]


@pytest.mark.parametrize(
    ("budget", "used"),
    [
        ({"usd": 1}, {"costUsd": 1.0}),
        ({"usd": 0.3}, {"costUsd": 0.1 + 0.2}),
        ({"tokens": 100}, {"inputTokens": 50, "outputTokens": 30, "cacheWriteTokens": 20}),
    ],
)
async def test_dollars_and_tokens_hold_back_too(budget: dict[str, Any], used: dict[str, Any]) -> None:
    async with _hive({"alice": {}}, defaults={"budget": budget}) as hive:
        alice = await hive.up("alice")
        for _ in range(2):
            await hive.send("alice")
        assert await _turn(alice, 1, **used)
        assert not await _turn(alice, 2)
        assert (await hive.row("alice"))["budget"]["share"] == 1


async def test_cache_reads_are_dollars_but_no_tokens_of_a_budget() -> None:
    async with _hive({"alice": {"budget": {"tokens": 100}}}) as hive:
        alice = await hive.up("alice")
        await _report(alice, 1, cacheReadTokens=10**6)
        row = await hive.row("alice")
        assert (row["state"], row["today"]["cacheReadTokens"], row["budget"]["share"]) == ("idle", 10**6, 0)


async def test_a_running_turn_goes_on_and_what_it_takes_itself_is_of_it() -> None:
    async with _hive({"alice": {"budget": {"turns": 1}}}) as hive:
        alice = await hive.up("alice")
        first, second = await hive.send("alice"), await hive.send("alice")
        assert [d["id"] for d in await alice.recv(most=1)] == [first]
        assert [d["id"] for d in await alice.recv(most=1, holding=(first,))] == [second]
        await alice.report("thinking")
        await _report(alice, 1)
        await alice.outcome(first, second)
        assert (await hive.row("alice"))["state"] == "over_budget"


async def test_the_hives_budget_holds_everybody_back() -> None:
    async with _hive({"alice": {}, "bob": {}, "carol": {}}, budgets={"turns": 2}) as hive:
        alice, bob, carol = [await hive.up(name) for name in ("alice", "bob", "carol")]
        for name in ("alice", "bob", "carol", "alice"):
            await hive.send(name)
        running = await carol.recv(most=1)
        assert await _turn(alice, 1)
        assert await _turn(bob, 1)
        assert not await _turn(alice, 2)
        assert [(i["id"], i["agent"]) for i in await hive.waiting("over_budget")] == [("over_budget-*", None)]
        state = await hive.operator.ask("GET", "/api/state")
        assert state["usage"]["budget"]["turns"] == {"used": 2, "allowed": 2, "raised": False}
        await _report(carol, 1)
        await carol.outcome(running[0]["id"])
        rows = [await hive.row(name) for name in ("alice", "bob", "carol")]
        assert [row["state"] for row in rows] == ["over_budget"] * 3
        assert "the hive's budget" in rows[0]["problem"]
        parked = await alice.park(max=1)
        await hive.operator.ask("POST", "/api/budget", {"today": {"turns": 4}})
        assert (await parked)["deliveries"]
        assert {row["state"] for row in [await hive.row(name) for name in ("bob", "carol")]} == {"idle"}


async def test_little_left_is_said_once_a_day_and_taken_away_by_the_operator() -> None:
    with short_place() as place:
        agents = {"alice": {"budget": {"turns": 10}}}
        async with life(place, agents) as hive:
            alice = await hive.up("alice")
            for n in range(1, 8):
                await _report(alice, n)
            assert await hive.waiting("budget_warning") == []
            await _report(alice, 8)
            (item,) = await hive.waiting("budget_warning")
            assert (item["id"], item["title"]) == ("budget_warning-alice", "alice has used 8 of 10 turns for today")
            assert (await hive.row("alice"))["state"] == "idle"
        async with life(place, agents) as hive:
            (again,) = await hive.waiting("budget_warning")
            assert again == item, "the same one after a restart, so that nobody is told twice"
            await hive.operator.ask("POST", "/api/waiting/budget_warning-alice/dismiss")
            alice = await hive.up("alice", "second")
            await _report(alice, 9)
            assert await hive.waiting("budget_warning") == []
            assert await refusal(hive.operator.ask("POST", "/api/waiting/budget_warning-alice/dismiss")) == "not_found"
        async with life(place, agents) as hive:
            assert await hive.waiting("budget_warning") == []
            alice = await hive.up("alice", "third")
            await _report(alice, 10)
            assert await hive.waiting("budget_warning") == []
            assert [item["id"] for item in await hive.waiting("over_budget")] == ["over_budget-alice"]
            await hive.operator.ask("POST", "/api/agents/alice/budget", {"today": {"turns": 12}})
            assert len(await hive.waiting("budget_warning")) == 1, "of what was raised it was not warned yet"


async def test_a_raise_and_a_hold_outlive_the_daemon() -> None:
    with short_place() as place:
        agents = {"alice": {"budget": {"usd": 1}}}
        async with life(place, agents) as hive:
            alice = await hive.up("alice")
            await _report(alice, 1, costUsd=1.5)
            await hive.operator.ask("POST", "/api/agents/alice/budget", {"today": {"usd": 1.25}})
            before = await hive.row("alice")
            (item,) = await hive.waiting("over_budget")
        async with life(place, agents) as hive:
            alice = await hive.up("alice", "second")
            row = await hive.row("alice")
            assert (row["state"], row["since"], row["budget"]) == ("over_budget", before["since"], before["budget"])
            assert await hive.waiting("over_budget") == [item]
            await hive.send("alice")
            assert not await _turn(alice, 1)
            await hive.operator.ask("POST", "/api/agents/alice/budget", {"today": {"usd": 2}})
            assert await _turn(alice, 1)
        async with life(place, agents) as hive:
            await hive.up("alice", "third")
            assert (await hive.row("alice"))["budget"]["usd"] == {"used": 1.5, "allowed": 2, "raised": True}
            answer = await hive.operator.ask("POST", "/api/agents/alice/budget", {"today": {"usd": None}})
            assert answer["budget"]["usd"] == {"used": 1.5, "allowed": 1, "raised": False}
            assert (await hive.row("alice"))["state"] == "over_budget", "as declared again"


async def test_what_can_be_no_budget_is_refused() -> None:
    async with _hive({"alice": {}}) as hive:
        for body in ({}, {"today": {}}, {"today": {"turns": -1}}, {"today": {"usd": "much"}}, {"today": {"euro": 1}}):
            assert await refusal(hive.operator.ask("POST", "/api/budget", body)) == "malformed"
        assert await refusal(hive.operator.ask("POST", "/api/agents/zoe/budget", {"today": {"turns": 1}})) == (
            "unknown_agent"
        )
        answer = await hive.operator.ask("POST", "/api/agents/alice/budget", {"today": {"turns": 0}})
        assert answer["budget"]["share"] == 1, "also where none was declared, also nothing at all"


async def test_new_settings_are_other_budgets_at_once() -> None:
    async with _hive({"alice": {"budget": {"turns": 1}}}) as hive:
        alice = await hive.up("alice")
        await _report(alice, 1)
        assert (await hive.row("alice"))["state"] == "over_budget"
        await hive.reload({"alice": {"budget": {"turns": 5}}, "bob": {}}, budgets={"turns": 1})
        assert "the hive's" in (await hive.row("alice"))["problem"]
        bob = await hive.up("bob")
        await hive.send("bob")
        assert not await _turn(bob, 1), "also who is new"
        await hive.reload({"alice": {}, "bob": {}})
        assert (await hive.row("alice"))["state"] == "idle"
        assert (await hive.row("alice"))["budget"] is None
        assert await _turn(bob, 1)


# --- midnight


class Evening:
    """A daemon's clock that goes as ours does, and is set forward to midnight in UTC when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = utc_now()
        self._midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        self._shift = self._midnight - timedelta(hours=6) - now
        monkeypatch.setattr("hyperhive.hive.daemon.utc_now", lambda: utc_now() + self._shift)
        monkeypatch.setattr(deadlines, "_LOOK", 0.05)

    def ends(self) -> None:
        """Half a second before midnight."""
        self._shift = self._midnight - timedelta(seconds=0.5) - utc_now()


async def test_at_midnight_everything_begins_anew_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    evening = Evening(monkeypatch)
    async with _hive({"alice": {"budget": {"turns": 1}}}, timeZone="UTC") as hive:
        alice = await hive.up("alice")
        for _ in range(2):
            await hive.send("alice")
        assert await _turn(alice, 1)
        before = await hive.row("alice")
        assert before["state"] == "over_budget"
        parked = await alice.park(max=1)
        evening.ends()
        deliveries = (await asyncio.wait_for(parked, DEADLINE))["deliveries"]
        assert len(deliveries) == 1
        after = await hive.row("alice")
        assert (after["today"]["turns"], after["usage"]["turns"], after["budget"]["turns"]["used"]) == (0, 1, 0)
        assert after["budget"]["until"] > before["budget"]["until"]
        assert await hive.waiting("over_budget") == []
        found = await _usage(hive)
        assert found["day"] > found["usage"][0]["day"]


async def test_a_day_that_ended_while_the_hive_was_down_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with short_place() as place:
        agents = {"alice": {"budget": {"turns": 1}}}
        async with life(place, agents) as hive:
            alice = await hive.up("alice")
            await hive.send("alice")
            await _report(alice, 1)
            await hive.operator.ask("POST", "/api/agents/alice/budget", {"today": {"tokens": 0}})
        monkeypatch.setattr("hyperhive.hive.daemon.utc_now", lambda: utc_now() + timedelta(days=1))
        async with life(place, agents) as hive:
            alice = await hive.up("alice", "second")
            row = await hive.row("alice")
            assert (row["state"], row["budget"]["tokens"], row["today"]["turns"]) == ("idle", None, 0)
            assert await _turn(alice, 1)
