"""What happens by itself: crashes, starts in turns, signs of life, refused settings, and the daemon's own end."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from bare_http import GoneError
from hive_bed import settings_json
from lifecycle_bed import DEADLINE, Change, Life, fake_runtime, life, refusal

from hyperhive.clock import utc_now
from hyperhive.errors import HiveError
from hyperhive.hive.crashes import Crashes
from hyperhive.hive.lifecycle import STOP_GRACE
from hyperhive.hive.operations import Operations
from hyperhive.store import messages
from hyperhive.store.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_TWO: dict[str, Any] = {"alice": {}, "bob": {}}


@pytest.fixture
async def hive(place: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Life]:
    monkeypatch.setattr("hyperhive.hive.crashes._FIRST", 0.001)
    async with life(place, _TWO, expected=("not taken in",)) as running:
        await running.running("alice", "bob")
        await running.settled()
        yield running


def _crashes(count: int) -> Any:  # noqa: ANN401 - a predicate
    def wanted(change: Change) -> bool:
        items = change["data"].get("waiting", []) if change["type"] == "waiting" else []
        return any(item["kind"] == "crash" and item["ref"] == count for item in items)

    return wanted


# --- crashes


async def test_a_crash_is_something_that_waits_until_it_is_dismissed(hive: Life) -> None:
    for count in (1, 2):
        hive.runtime.crash("alice", 3, ("the last words",))
        await hive.watch.until(_crashes(count))
        await hive.running("alice")
    (item,) = await hive.waiting("crash")
    assert (item["agent"], item["ref"], item["id"]) == ("alice", 2, "crash-alice")
    assert "the last words" in item["title"]
    assert "2 times" in item["title"]
    assert await hive.operator.ask("POST", "/api/waiting/crash-alice/dismiss") == {"ok": True}
    assert await hive.waiting("crash") == []
    assert await refusal(hive.operator.ask("POST", "/api/waiting/crash-alice/dismiss")) == "not_found"
    hive.runtime.crash("alice")
    await hive.watch.until(_crashes(1))


async def test_only_what_is_to_be_seen_can_be_dismissed(hive: Life) -> None:
    alice = await hive.up("alice", "first")
    await alice.report("needs_login")
    await alice.ask("/v1/messages", {"to": "operator", "body": "help"})
    for number in ("needs_login-alice", "mail"):
        assert await refusal(hive.operator.ask("POST", f"/api/waiting/{number}/dismiss")) == "wrong_state", number
    for number in ("crash-bob", "crash-", "nothing", "dead_letter-1"):
        assert await refusal(hive.operator.ask("POST", f"/api/waiting/{number}/dismiss")) == "not_found", number


async def test_nobody_is_woken_by_a_restart_after_a_crash_and_what_it_held_comes_again(hive: Life) -> None:
    alice = await hive.up("alice")
    await hive.send("alice")
    assert len(await alice.recv()) == 1
    await hive.send("alice", "behind it")
    hive.runtime.crash("alice")
    await hive.watch.until(lambda c: c["type"] == "operation" and c["data"]["status"] == "done")
    alice = await hive.up("alice", "second")
    assert await alice.recv() == [], "of the same sender, behind one that backs off"
    assert (await hive.row("alice"))["unread"] == 2


async def test_after_five_restarts_it_is_left_and_a_start_by_hand_forgives(hive: Life) -> None:
    for count in range(1, 7):
        hive.runtime.crash("alice")
        await hive.watch.until(_crashes(count))
        if count <= 5:
            await hive.running("alice")
    row = await hive.watch.agent("alice", state="failed")
    assert "6 times in 10 minutes" in row["problem"]
    assert len([plan for plan in hive.runtime.started if plan.name == "alice"]) == 6
    (item,) = await hive.waiting("failed")
    assert item["agent"] == "alice"
    assert "bob" in hive.runtime.running()
    assert (await hive.do("alice", "start"))["status"] == "done"
    hive.runtime.crash("alice")
    await hive.running("alice")
    assert await hive.waiting("failed") == []


async def test_each_restart_waits_twice_as_long_as_the_last() -> None:
    crashes, now = Crashes(), utc_now()
    waits = [crashes.add("alice", now) for _ in range(6)]
    assert waits == [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (5, 1.6), (6, None)]
    crashes.forgive("alice")
    assert crashes.add("alice", now) == (1, 0.1)


async def test_a_stop_during_a_crash_stays_a_stop(hive: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where what it held takes longer to write than the stop takes."""
    real, go, written = Store.submit, asyncio.Event(), asyncio.Event()

    def slow(store: Store, operation: Any, *arguments: Any) -> asyncio.Future[Any]:  # noqa: ANN401
        async def later() -> None:
            await go.wait()
            await real(store, operation, *arguments)
            written.set()

        slowly = operation is messages.change_messages
        return asyncio.ensure_future(later()) if slowly else real(store, operation, *arguments)

    alice = await hive.up("alice")
    await hive.send("alice")
    await alice.recv()
    monkeypatch.setattr(Store, "submit", slow)
    hive.runtime.crash("alice")
    await hive.do("alice", "stop")
    go.set()
    await written.wait()
    await hive.settled(30)
    row = await hive.row("alice")
    assert (row["state"], row["wanted"]) == ("stopped", "stopped")
    assert hive.runtime.running() == {"bob"}


async def test_what_runs_although_its_start_failed_is_heard(hive: Life) -> None:
    """A container that took too long comes up in the end."""
    await hive.do("alice", "stop")
    plan = hive.runtime.started[0]

    async def fail(_name: str) -> None:
        raise HiveError("operation_failed", "it took too long", "Look at the journal")

    hive.runtime.after_start = fail
    assert await refusal(hive.do("alice", "start")) == "operation_failed"
    assert (await hive.row("alice"))["state"] == "failed"
    assert plan.name in hive.runtime.running()
    await hive.harness("alice").up()
    row = await hive.row("alice")
    assert (row["state"], row["problem"]) == ("idle", None)


# --- starts in turns


async def test_only_so_many_start_at_a_time(place: Path) -> None:
    names = [f"a{number}" for number in range(6)]
    runtime = fake_runtime(starts_at_once=2)
    async with life(place, {name: {} for name in names}, runtime) as hive:
        for came in range(len(names)):
            await hive.settled()
            assert len(runtime.started) == min(2 + came, 6), "two between start and first poll"
            await hive.harness(runtime.started[came].name).up()
        assert runtime.running() == set(names)


async def test_who_cannot_start_or_ends_at_once_makes_room(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperhive.hive.crashes._MOST", 0)
    runtime = fake_runtime(starts_at_once=1)
    runtime.refusal = HiveError("bad_config", "no", "Correct it")
    async with life(place, {name: {} for name in ("alice", "bob", "carol", "dave")}, runtime) as hive:
        await hive.running("bob")
        assert [plan.name for plan in runtime.started] == ["bob"], "alice failed"
        runtime.crash("bob")
        await hive.settled()
        assert [plan.name for plan in runtime.started] == ["bob", "carol"]
        await hive.do("carol", "stop")
        await hive.settled()
        assert [plan.name for plan in runtime.started] == ["bob", "carol", "dave"]
        await asyncio.wait_for(hive.do("dave", "restart"), DEADLINE)
        assert runtime.running() == {"dave"}


async def test_a_harness_that_never_reports_does_not_keep_the_place(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperhive.hive.starts._SETTLED", 0.05)
    async with life(place, _TWO, fake_runtime(starts_at_once=1)) as hive:
        await hive.running("alice", "bob")


# --- signs of life


async def test_a_lost_poll_is_looked_into_and_many_are_one_look(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperhive.hive.signs._SILENCE", 0.02)
    names = [f"a{number}" for number in range(20)]
    async with life(place, {name: {} for name in names}) as hive:
        harnesses = [await hive.up(name) for name in names]
        polls = [await harness.park("/v1/commands") for harness in harnesses]
        await hive.settled()
        hive.runtime.looks = 0
        gate = hive.runtime.block_looks()
        for harness in harnesses[:10]:
            await harness.close()
        async with asyncio.timeout(DEADLINE):
            await gate.reached.wait()
        assert hive.runtime.looks == 1
        for harness in harnesses[10:]:
            await harness.close()
        await asyncio.wait(polls)
        await asyncio.wait([asyncio.ensure_future(gate.opened.wait())], timeout=0.1)  # five times the silence
        assert hive.runtime.looks == 1, "one is under way"
        gate.opened.set()
        await hive.settled()
        assert hive.runtime.looks == 2, "and one more, for those that fell silent meanwhile"


async def test_a_look_that_fails_does_not_end_the_hive(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperhive.hive.signs._SILENCE", 0.01)

    async with life(place, _TWO) as hive:
        looked = asyncio.Event()

        async def fail() -> frozenset[str]:
            looked.set()
            raise HiveError("operation_failed", "systemd does not answer", "Wait")

        monkeypatch.setattr(hive.runtime, "look", fail)
        await hive.up("alice")
        async with asyncio.timeout(DEADLINE):
            await looked.wait()
        await hive.settled()


async def test_who_does_not_poll_is_unreachable_until_it_does(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperhive.hive.signs._NEXT", 0.05)
    async with life(place, _TWO) as hive:
        alice = await hive.up("alice")
        row = await hive.watch.agent("alice", state="unreachable")
        assert "does not poll" in row["problem"]
        (item,) = await hive.waiting("unreachable")
        assert item["agent"] == "alice"
        await alice.park("/v1/commands")
        assert (await hive.row("alice"))["state"] == "idle"
        assert await hive.waiting("unreachable") == []


async def test_who_never_polls_is_unreachable_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperhive.hive.signs._FIRST", 0.05)
    runtime = fake_runtime()
    gate = runtime.gate("alice")
    async with life(place, {"alice": {}}, runtime) as hive:
        gate.opened.set()
        await hive.watch.agent("alice", state="unreachable")


# --- settings that are refused


async def test_refused_settings_are_a_warning_until_good_ones_come(hive: Life) -> None:
    told = await hive.reload_raw('{"version": 1, "stateDri": "typo"}')
    assert "stateDri" in told[-1]
    answer = await hive.operator.ask("GET", "/api/agents")
    assert [warning for warning in answer["warnings"] if "stateDri" in warning] == told[-1:]
    assert "stateDri" in (await hive.operator.ask("GET", "/api/state"))["warnings"][-1]
    assert hive.runtime.running() == {"alice", "bob"}
    told = await hive.reload_raw("{")
    assert len([warning for warning in told if "not taken in" in warning]) == 1, "the newest one alone"
    told = await hive.reload_raw(settings_json(hive.place, _TWO))
    assert not [warning for warning in told if "not taken in" in warning]
    assert (await hive.operator.ask("GET", "/api/agents"))["warnings"] == []


# --- the daemon's end


async def test_nothing_is_begun_once_the_end_has_begun() -> None:
    async def work() -> None:
        pytest.fail("it was done")

    async with asyncio.TaskGroup() as group:
        operations = Operations(group, utc_now, lambda _row: None)
        operations.cancel_all()
        with pytest.raises(HiveError) as error:
            operations.begin("alice", "stop", work)
    assert error.value.code == "shutting_down"


@pytest.mark.parametrize("survives", [False, True])
async def test_an_end_during_a_start_is_healed_by_the_next(place: Path, *, survives: bool) -> None:
    runtime = fake_runtime(survives_daemon=survives)
    gate = runtime.gate("alice")
    async with life(place, _TWO, runtime) as hive:
        await gate.reached.wait()
        await hive.running("bob")
    assert runtime.running() == ({"bob"} if survives else frozenset())
    runtime = runtime.successor()
    async with life(place, _TWO, runtime) as hive:
        await hive.running("alice", "bob")
        assert (await (await hive.up("alice")).recv()) == []
        assert [plan.name for plan in runtime.started] == (["alice"] if survives else ["alice", "bob"])


async def test_an_end_during_a_deploy_is_healed_by_the_next(place: Path) -> None:
    (place / "key").write_text("made up")
    settings = {"alice": {"credentials": {"ANTHROPIC_API_KEY": str(place / "key")}}}
    runtime = fake_runtime(survives_daemon=True)
    async with life(place, {"alice": {}}, runtime) as hive:
        await hive.up("alice")
        gate = runtime.gate("alice")
        await hive.reload(settings)
        await gate.reached.wait()
    runtime = runtime.successor()
    assert runtime.running() == frozenset()
    async with life(place, settings, runtime) as hive:
        alice = await hive.up("alice")
        number = await hive.send("alice")
        assert [m["id"] for m in await alice.recv()] == [number]
        assert (await hive.row("alice"))["restartPending"] is False


async def test_an_end_while_a_stop_waits_for_the_turn_waits_for_nothing(place: Path) -> None:
    async with life(place, _TWO) as hive:
        alice = await hive.up("alice")
        poll = await alice.park("/v1/commands")
        stop = hive.doing("alice", "stop")
        assert (await poll)["commands"][0]["kind"] == "stop"
        ending = asyncio.get_running_loop().time()
        stop.cancel()
        with contextlib.suppress(asyncio.CancelledError, GoneError):
            await stop
    assert asyncio.get_running_loop().time() - ending < STOP_GRACE / 2
    async with life(place, _TWO) as hive:
        await hive.running("bob")
        assert (await hive.row("alice"))["wanted"] == "stopped"
        assert hive.runtime.running() == {"bob"}


async def test_an_end_while_a_crash_waits_for_its_restart_waits_for_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperhive.hive.crashes._FIRST", 1000)
    async with life(place, _TWO) as hive:
        await hive.running("alice")
        hive.runtime.crash("alice")
        await hive.watch.until(_crashes(1))
        hive.leave_in_order = True
