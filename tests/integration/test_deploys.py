"""Changed settings under agents that run: limits at once, the rest when the turn has ended, shown until then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hive_bed import short_place
from lifecycle_bed import Harness, Life, fake_runtime, life

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture
def place() -> Iterator[Path]:
    with short_place() as made:
        (made / "key").write_text("made up")
        yield made


@pytest.fixture
async def hive(place: Path) -> AsyncIterator[Life]:
    async with life(place, {"alice": {}}) as running:
        await running.running("alice")
        yield running


def _changed(hive: Life, key: str = "key", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Settings that take a restart."""
    return {"alice": {"credentials": {"ANTHROPIC_API_KEY": str(hive.place / key)}, **more}}


async def _busy(hive: Life) -> tuple[Harness, int]:
    """A harness in a turn, on a message."""
    alice = await hive.up("alice")
    number = await hive.send("alice")
    assert [m["id"] for m in await alice.recv()] == [number]
    await alice.report("thinking")
    return alice, number


async def test_limits_apply_at_once_and_disturb_nothing(hive: Life) -> None:
    await _busy(hive)
    await hive.reload({"alice": {"limits": {"memoryMax": "1G"}}})
    await hive.watch.operation("alice", "deploy", "done")
    assert hive.runtime.deployed == [("alice", "limits")]
    assert (len(hive.runtime.started), hive.runtime.stopped) == (1, [])
    row = await hive.row("alice")
    assert (row["state"], row["restartPending"]) == ("thinking", False)


async def test_what_is_as_it_was_deploys_nothing(hive: Life) -> None:
    await hive.up("alice")
    await hive.reload({"alice": {"model": "another"}})
    assert (hive.runtime.deployed, await hive.operations()) == ([], [("alice", "start", "done")])


async def test_a_restart_waits_for_the_end_of_the_turn_and_is_shown(hive: Life) -> None:
    alice, number = await _busy(hive)
    hive.watch.skip()
    await hive.reload(_changed(hive))
    assert (await hive.watch.agent("alice", restartPending=True))["state"] == "thinking"
    assert (await hive.row("alice"))["restartPending"] is True
    await alice.outcome(number)
    await hive.settled()
    assert hive.runtime.deployed == [], "the harness is still at it"
    await alice.report("idle")
    await hive.watch.operation("alice", "deploy", "done")
    assert hive.runtime.deployed == [("alice", "restart")]
    alice = await hive.up("alice", "second")
    row = await hive.row("alice")
    assert (row["state"], row["restartPending"]) == ("idle", False)
    assert await hive.waiting("crash") == []
    assert await alice.recv() == [], "nobody asked for it, nobody is woken"


async def test_a_harness_that_is_idle_first_and_done_later_is_waited_for_too(hive: Life) -> None:
    alice, number = await _busy(hive)
    await hive.reload(_changed(hive))
    await alice.report("idle")
    await hive.settled()
    assert hive.runtime.deployed == [], "its message is not done"
    await alice.outcome(number)
    await hive.watch.operation("alice", "deploy", "done")
    assert hive.runtime.deployed == [("alice", "restart")]


async def test_nothing_is_handed_out_while_it_is_restarted(hive: Life) -> None:
    alice, number = await _busy(hive)
    await hive.reload(_changed(hive))
    gate = hive.runtime.gate("alice")
    await alice.report("idle")
    parked = await alice.park(holding=[number])
    await alice.outcome(number)
    await gate.reached.wait()
    later = await hive.send("alice", "while it is restarted")
    await hive.settled()
    assert not parked.done() or parked.result()["deliveries"] == []
    assert (await hive.row("alice"))["unread"] == 1
    await alice.close()  # as the end of its process does
    await hive.settled()
    gate.opened.set()
    await hive.watch.operation("alice", "deploy", "done")
    alice = await hive.up("alice", "second")
    (got,) = await alice.recv()
    assert (got["id"], got["redelivered"]) == (later, False)


async def test_an_agent_that_waits_for_messages_is_restarted_at_once(hive: Life) -> None:
    alice = await hive.up("alice")
    await alice.park()
    await hive.reload(_changed(hive))
    await hive.watch.operation("alice", "deploy", "done")
    assert [plan.credentials for plan in hive.runtime.started] == [{}, {"ANTHROPIC_API_KEY": hive.place / "key"}]


async def test_a_deploy_that_fails_leaves_it_running_says_why_and_is_not_tried_at_every_turn(hive: Life) -> None:
    alice, number = await _busy(hive)
    await hive.reload(_changed(hive, "missing"))
    await alice.outcome(number)
    await alice.report("idle")
    await hive.watch.operation("alice", "deploy", "failed")
    row = await hive.row("alice")
    assert (row["state"], row["restartPending"]) == ("idle", False)
    assert "missing" in row["problem"]
    assert hive.runtime.running() == {"alice"}
    again = await hive.send("alice")
    assert [m["id"] for m in await alice.recv()] == [again], "it is handed messages again"
    await alice.outcome(again)
    await alice.report("idle")
    await hive.settled()
    assert [kind for _, kind, _ in await hive.operations()].count("deploy") == 1
    await hive.reload(_changed(hive))
    await hive.watch.operation("alice", "deploy", "done")
    assert (await hive.row("alice"))["problem"] is None


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("a mistake")])
async def test_a_deploy_that_fails_in_any_way_is_tried_once(place: Path, error: Exception) -> None:
    async with life(place, {"alice": {}}, expected=("deploy",)) as hive:
        await hive.up("alice")
        hive.runtime.deploy_refusal = error
        await hive.reload(_changed(hive))
        await hive.watch.operation("alice", "deploy", "failed")
        await hive.settled(30)
        assert [kind for _, kind, _ in await hive.operations()].count("deploy") == 1
        row = await hive.row("alice")
        assert (row["restartPending"], str(error) in row["problem"]) == (False, True)


async def test_settings_that_are_taken_back_in_time_restart_nothing(hive: Life) -> None:
    alice, number = await _busy(hive)
    await hive.reload(_changed(hive))
    assert (await hive.row("alice"))["restartPending"] is True
    await hive.reload({"alice": {}})
    assert (await hive.row("alice"))["restartPending"] is False
    await alice.outcome(number)
    await alice.report("idle")
    await hive.settled()
    assert hive.runtime.deployed == []


@pytest.mark.parametrize("action", ["restart", "stop"])
async def test_who_stops_and_starts_it_by_hand_gets_the_new_settings(hive: Life, action: str) -> None:
    await _busy(hive)
    await hive.reload(_changed(hive))
    await hive.do("alice", action)
    if action == "stop":
        assert (await hive.row("alice"))["restartPending"] is False
        await hive.do("alice", "start")
    assert hive.runtime.started[-1].credentials == {"ANTHROPIC_API_KEY": hive.place / "key"}
    alice = await hive.up("alice", "second")
    await alice.report("idle")
    await hive.settled()
    assert (await hive.row("alice"))["restartPending"] is False
    assert hive.runtime.deployed == []


async def test_a_crash_while_it_is_pending_is_started_on_the_new_settings(
    hive: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperhive.hive.crashes._FIRST", 0.001)
    await _busy(hive)
    await hive.reload(_changed(hive))
    hive.watch.skip()
    hive.runtime.crash("alice")
    await hive.watch.operation("alice", "start", "done")
    assert (await hive.row("alice"))["restartPending"] is False
    assert hive.runtime.started[-1].credentials == {"ANTHROPIC_API_KEY": hive.place / "key"}
    assert hive.runtime.deployed == []


async def test_a_turn_that_outlived_the_daemon_is_not_cut_short_by_new_settings(place: Path) -> None:
    """What the harness does is not known before it has said so."""
    runtime = fake_runtime(survives_daemon=True)
    async with life(place, {"alice": {}}, runtime) as hive:
        _alice, number = await _busy(hive)
        settings = _changed(hive)
    async with life(place, settings, runtime.successor()) as hive:
        alice = hive.harness("alice")
        await hive.settled()
        assert hive.runtime.deployed == []
        await alice.ask("/v1/commands", {})
        await hive.settled()
        assert hive.runtime.deployed == []
        await alice.report("thinking")
        assert (await hive.row("alice"))["restartPending"] is True
        await alice.outcome(number)
        await alice.report("idle")
        await hive.watch.operation("alice", "deploy", "done")
        assert hive.runtime.deployed == [("alice", "restart")]


async def test_a_harness_that_speaks_before_its_start_has_returned_is_heard(
    hive: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container is up after its harness: its first poll is not waited for again."""
    monkeypatch.setattr("hyperhive.hive.signs._FIRST", 0.05)
    harnesses: list[Harness] = []

    async def at_once(name: str) -> None:
        harnesses.append(await hive.harness(name, "second").up())
        await harnesses[-1].park("/v1/commands")

    await hive.up("alice")
    hive.runtime.after_start = at_once
    await hive.reload(_changed(hive))
    await hive.watch.operation("alice", "deploy", "done")
    assert (await hive.row("alice"))["state"] == "idle"
    await harnesses[0].close()
    await hive.settled()
    assert (await hive.do("alice", "restart"))["status"] == "done"
    assert (await hive.row("alice"))["state"] == "idle"
    # As long as the first poll may take, and longer.
    await asyncio.wait(harnesses[-1].parked, timeout=0.2)
    assert (await hive.row("alice"))["state"] == "idle"


async def test_restarts_for_new_settings_take_turns_like_other_starts(place: Path) -> None:
    names = [f"a{number}" for number in range(4)]
    async with life(place, {name: {} for name in names}, fake_runtime(starts_at_once=1)) as hive:
        for name in names:
            await hive.up(name)
        began = len(hive.runtime.started)
        key = {"credentials": {"ANTHROPIC_API_KEY": str(place / "key")}}
        await hive.reload(dict.fromkeys(names, key))
        for done in range(1, len(names) + 1):
            await hive.watch.until(lambda c: c["type"] == "operation" and c["data"]["status"] == "done")
            await hive.settled()
            assert len(hive.runtime.started) - began == done
            await hive.harness(hive.runtime.started[-1].name, "second").up()
