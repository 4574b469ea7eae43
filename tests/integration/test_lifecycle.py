"""What the operator can do to agents, and what the hive does by itself: the queue, pause, kicks, destroy, revive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from lifecycle_bed import Life, life, refusal

from hyperhive.hive.limits import Limits
from hyperhive.names import web_port
from hyperhive.store import agents as agents_store
from hyperhive.store.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_TWO: dict[str, Any] = {"alice": {}, "bob": {}}


@pytest.fixture
async def hive(place: Path) -> AsyncIterator[Life]:
    async with life(place, _TWO) as running:
        await running.running("alice", "bob")
        await running.settled()
        yield running


# --- the queue


async def test_operations_on_one_agent_wait_for_each_other_where_everybody_sees_them(hive: Life) -> None:
    await hive.do("alice", "stop")
    gate = hive.runtime.gate("alice")
    hive.watch.skip()
    start = hive.doing("alice", "start")
    await gate.reached.wait()
    pause = hive.doing("alice", "pause")
    queued = await hive.watch.operation("alice", "pause", "queued")
    assert (await hive.operations())[-2:] == [("alice", "start", "running"), ("alice", "pause", "queued")]
    row = await hive.row("alice")
    assert (row["operation"]["kind"], row["operation"]["status"]) == ("start", "running")
    assert row["wanted"] == "running"
    gate.opened.set()
    assert (await start)["status"] == (await pause)["status"] == "done"
    ended = await hive.watch.operation("alice", "pause", "done")
    assert (ended["id"], ended["endedAt"] is not None) == (queued["id"], True)
    kinds = [kind for agent, kind, _ in await hive.operations() if agent == "alice"]
    assert kinds == ["start", "stop", "start", "pause"]
    assert (await hive.row("alice"))["operation"] is None


async def test_another_agent_is_not_held_up(hive: Life) -> None:
    gate = hive.runtime.gate("alice")
    restart = hive.doing("alice", "restart")
    await gate.reached.wait()
    assert (await hive.do("bob", "restart"))["status"] == "done"
    assert not restart.done()
    gate.opened.set()
    assert (await restart)["status"] == "done"


async def test_an_operation_that_takes_long_is_answered_with_its_number(
    hive: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperhive.hive.operations.PATIENCE", 0.01)
    gate = hive.runtime.gate("alice")
    status, row = await hive.operator.call("POST", "/api/agents/alice/restart")
    assert (status, row["status"], row["endedAt"]) == (202, "running", None)
    gate.opened.set()
    await hive.watch.operation("alice", "restart", "done")
    assert (await hive.operator.ask("GET", f"/api/operations/{row['id']}"))["status"] == "done"


async def test_a_cancel_is_not_queued_behind_a_stop_that_waits_for_the_turn(hive: Life) -> None:
    alice = await hive.up("alice")
    await alice.report("thinking")
    poll = await alice.park("/v1/commands")
    stop = hive.doing("alice", "stop")
    (command,) = (await poll)["commands"]
    assert (command["kind"], command["args"]) == ("stop", {"graceSeconds": 60.0})
    poll = await alice.park("/v1/commands")
    cancel = hive.doing("alice", "cancel")
    (cancelling,) = (await poll)["commands"]
    assert cancelling["kind"] == "cancel"
    hive.watch.skip()
    await alice.park("/v1/commands", done=[{"id": cancelling["id"], "ok": True}])
    assert (await cancel)["status"] == "done"
    assert not stop.done()
    assert (await hive.row("alice"))["operation"]["kind"] == "stop", "it still runs"
    hive.runtime.crash("alice", 0)
    assert (await stop)["status"] == "done"
    assert (await hive.row("alice"))["state"] == "stopped"
    assert await hive.waiting("crash") == [], "it was asked to go"


async def test_what_was_queued_behind_a_destroy_is_refused(hive: Life) -> None:
    gate = hive.runtime.gate("alice")
    first = hive.doing("alice", "restart")
    await gate.reached.wait()
    later = [hive.doing("alice", action) for action in ("destroy", "kick", "pause", "start")]
    await hive.watch.operation("alice", "start", "queued")
    gate.opened.set()
    assert (await first)["status"] == (await later[0])["status"] == "done"
    assert [await refusal(task) for task in later[1:]] == ["unknown_agent"] * 3
    assert "alice" not in hive.runtime.running()
    states = dict([(kind, status) for agent, kind, status in await hive.operations() if agent == "alice"][1:])
    assert states == {"restart": "done", "destroy": "done", "kick": "failed", "pause": "failed", "start": "failed"}


async def test_a_start_after_a_stop_wins_whatever_reconciles_in_between(hive: Life) -> None:
    alice = await hive.up("alice")
    poll = await alice.park("/v1/commands")
    stop = hive.doing("alice", "stop")
    await poll
    await alice.park("/v1/commands")
    start = hive.doing("alice", "start")
    await hive.watch.operation("alice", "start", "queued")
    reconcile = asyncio.create_task(hive.operator.ask("POST", "/api/reconcile"))
    await hive.settled()
    hive.runtime.crash("alice", 0)
    await asyncio.gather(stop, start, reconcile)
    assert (await hive.row("alice"))["wanted"] == "running"
    assert "alice" in hive.runtime.running()


# --- pause


async def test_a_paused_agent_is_handed_nothing_and_gets_all_of_it_afterwards(hive: Life) -> None:
    alice = await hive.up("alice")
    parked = await alice.park()
    on_its_way = asyncio.create_task(hive.send("alice", "in flight"))
    await hive.do("alice", "pause")
    first = await on_its_way
    if not (await hive.row("alice"))["unread"]:  # handed out before the pause
        assert [m["id"] for m in (await parked)["deliveries"]] == [first]
        await alice.outcome(first)
        first = await hive.send("alice", "another")
    waits = [first, await hive.send("alice", "later")]
    row = await hive.row("alice")
    assert (row["state"], row["wanted"], row["unread"]) == ("paused", "paused", 2)
    parked = await alice.park()
    assert await hive.harness("alice").recv(most=1) == [], "a new recv"
    parked = await alice.park()
    assert not parked.done()
    await hive.do("alice", "resume")
    handed = (await parked)["deliveries"]
    assert [m["id"] for m in [*handed, *await alice.recv(holding=(handed[0]["id"],))]] == waits
    assert (await hive.row("alice"))["state"] == "idle"


async def test_a_turn_goes_on_under_a_pause_and_its_outcome_is_taken(hive: Life) -> None:
    alice = await hive.up("alice")
    number = await hive.send("alice")
    assert [m["id"] for m in await alice.recv()] == [number]
    await alice.report("thinking")
    await hive.send("alice", "second")
    await hive.do("alice", "pause")
    assert (await hive.row("alice"))["state"] == "thinking"
    assert await alice.recv(holding=(number,)) == [], "nothing joins the turn"
    await alice.outcome(number)
    hive.watch.skip()
    await alice.report("idle")
    assert (await hive.watch.agent("alice"))["state"] == "paused"
    (message,) = [m for m in (await hive.operator.ask("GET", "/api/messages"))["messages"] if m["id"] == number]
    assert message["state"] == "settled"
    assert await alice.recv() == []


async def test_a_pause_survives_the_daemon_and_a_restart_of_the_agent_but_not_a_start(place: Path) -> None:
    async with life(place, _TWO) as hive:
        await hive.up("alice")
        await hive.do("alice", "pause")
    async with life(place, _TWO) as hive:
        alice = await hive.up("alice")
        number = await hive.send("alice")
        assert await alice.recv() == []
        await hive.do("alice", "restart")
        alice = await hive.up("alice")
        assert (await hive.row("alice"))["state"] == "paused"
        assert await alice.recv() == []
        await hive.do("alice", "start")
        assert (await hive.row("alice"))["wanted"] == "running"
        assert number in [m["id"] for m in await alice.recv()]


async def test_a_stopped_agent_is_not_paused(hive: Life) -> None:
    await hive.do("alice", "stop")
    assert await refusal(hive.do("alice", "pause")) == "agent_not_running"
    assert await refusal(hive.do("alice", "resume")) == "wrong_state"


# --- rebuild, and the word after it


async def test_a_rebuild_removes_makes_anew_and_says_so_once(hive: Life) -> None:
    await hive.up("alice")
    assert (await hive.do("alice", "rebuild"))["status"] == "done"
    assert hive.runtime.destroyed == ["alice"]
    assert [plan.name for plan in hive.runtime.started].count("alice") == 2
    alice = await hive.up("alice", "second")
    (word,) = await alice.recv()
    assert (word["from"], "rebuilt" in word["body"]) == ("system", True)


@pytest.mark.parametrize("action", ["start", "restart", "rebuild"])
async def test_two_agents_are_both_told_that_they_were_started(hive: Life, action: str) -> None:
    for name in _TWO:
        if action == "start":
            await hive.do(name, "stop")
        assert (await hive.do(name, action))["status"] == "done"
    for name in _TWO:
        got = await (await hive.up(name)).recv()
        assert [m["from"] for m in got] == ["system"], name


async def test_nobody_is_woken_by_a_restart_of_the_daemon(place: Path) -> None:
    for _ in range(2):
        async with life(place, _TWO) as hive:
            assert await (await hive.up("alice")).recv() == []


async def test_a_full_inbox_does_not_make_a_start_fail(place: Path) -> None:
    """There is enough to wake it."""
    async with life(place, {"alice": {"autoStart": False}}, limits=Limits(unread=1)) as hive:
        await hive.send("alice")
        assert await refusal(hive.send("alice")) == "too_many_unread"
        assert (await hive.do("alice", "start"))["status"] == "done"
        assert "alice" in hive.runtime.running()


# --- destroy and revive


async def test_destroy_keeps_what_it_knows_and_takes_the_rest(hive: Life) -> None:
    alice = await hive.up("alice")
    notes = hive.place / "state" / "agents" / "alice" / "state" / "notes.md"
    notes.write_text("kept")
    before = await hive.send("alice", "waits")
    assert [m["id"] for m in await alice.recv()] == [before]
    await hive.do("alice", "destroy")
    assert hive.runtime.destroyed == ["alice"]
    assert notes.read_text() == "kept"
    assert not hive.agent_socket("alice").parent.exists()
    assert await refusal(hive.send("alice")) == "recipient_gone"
    assert await refusal(hive.do("alice", "start")) == "unknown_agent"
    (row,) = (await hive.operator.ask("GET", "/api/tombstones"))["tombstones"]
    assert (row["name"], row["unread"], row["declared"]) == ("alice", 1, True)
    assert (await hive.revive("alice"))["status"] == "done"
    alice = await hive.up("alice", "second")
    got = await alice.recv()
    assert [m["from"] for m in got] == ["operator", "system"]
    assert got[0]["id"] == before


async def test_the_stream_does_not_show_a_destroyed_agent_again(hive: Life) -> None:
    await hive.up("alice")
    await hive.do("alice", "destroy")
    await hive.watch.operation("alice", "destroy", "done")
    await hive.settled()
    gone = {"name": "alice", "removed": True}
    assert hive.watch.rows("alice")[-1] == gone
    seen = len(hive.watch.rows("alice"))
    await hive.purge("alice")
    await hive.watch.operation("alice", "purge", "done")
    await hive.settled()
    assert all(row == gone for row in hive.watch.rows("alice")[seen:])


async def test_a_destroyed_agent_stays_away_although_it_is_declared(place: Path) -> None:
    async with life(place, _TWO) as hive:
        await hive.do("alice", "destroy")
        assert await hive.operator.ask("POST", "/api/reconcile") == {"started": [], "stopped": []}
        await hive.reload(_TWO)
        assert "alice" not in hive.runtime.running()
    async with life(place, _TWO) as hive:
        await hive.running("bob")
        assert (await hive.tombstone("alice") or {})["declared"]
        await hive.reload({"bob": {}})
        assert not (await hive.tombstone("alice") or {})["declared"]
        await hive.reload(_TWO)
        await hive.running("alice")
        assert await hive.tombstone("alice") is None


async def test_who_left_the_settings_is_removed_and_not_wiped(hive: Life) -> None:
    await hive.up("alice")
    notes = hive.place / "state" / "agents" / "alice" / "state" / "notes.md"
    notes.write_text("kept")
    await hive.reload({"bob": {}})
    await hive.watch.operation("alice", "destroy", "done")
    assert (hive.runtime.running(), hive.runtime.destroyed) == ({"bob"}, ["alice"])
    assert notes.read_text() == "kept"
    assert not hive.agent_socket("alice").exists()
    await hive.reload(_TWO)
    await hive.running("alice")


async def test_who_leaves_the_settings_while_it_starts_does_not_run_on(hive: Life) -> None:
    gate = hive.runtime.gate("carol")
    await hive.reload({**_TWO, "carol": {}})
    await gate.reached.wait()
    await hive.reload(_TWO)
    gate.opened.set()
    await hive.watch.operation("carol", "destroy", "done")
    assert hive.runtime.running() == {"alice", "bob"}
    assert not hive.runtime.exists("carol")
    assert not hive.agent_socket("carol").exists()


async def test_who_crashed_for_good_and_left_the_settings_leaves_no_socket(
    hive: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperhive.hive.crashes._MOST", 0)
    hive.runtime.crash("alice")
    await hive.watch.agent("alice", state="failed")
    await hive.runtime.destroy("alice")  # as where a process was, and is no more
    await hive.reload({"bob": {}})
    await hive.watch.operation("alice", "destroy", "done")
    assert not hive.agent_socket("alice").exists()


async def test_a_revived_agent_that_nobody_declares_is_the_hives_own(place: Path) -> None:
    async with life(place, _TWO) as hive:
        await hive.up("alice")
        await hive.reload({"bob": {}})
        await hive.watch.operation("alice", "destroy", "done")
        assert (await hive.revive("alice"))["status"] == "done"
        assert (await hive.row("alice"))["origin"] == "spawned"
        await hive.reload({"bob": {}})
        assert "alice" in hive.runtime.running()
    async with life(place, {"bob": {}}) as hive:
        await hive.running("alice", "bob")
        assert (await hive.row("alice"))["origin"] == "spawned"


def _same_port() -> tuple[str, str]:
    seen: dict[int, str] = {}
    for number in range(5000):
        name = f"n{number}"
        if web_port(name) in seen:
            return seen[web_port(name)], name
        seen[web_port(name)] = name
    raise AssertionError


async def test_a_revive_is_refused_where_the_page_would_have_anothers_port(place: Path) -> None:
    one, other = _same_port()
    async with life(place, {one: {}}) as hive:
        await hive.running(one)
        await hive.reload({other: {}})
        await hive.running(other)
        await hive.watch.operation(one, "destroy", "done")
        assert await refusal(hive.revive(one)) == "port_collision"
        assert await hive.tombstone(one) is not None
        await hive.do(other, "destroy")
        assert (await hive.revive(one))["status"] == "done"


async def test_a_destroy_during_a_reload_is_a_destroy(hive: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reload read before it was destroyed says that it is an agent."""
    real, read, go = Store.read, asyncio.Event(), asyncio.Event()

    async def slow(store: Store, query: Any, *arguments: Any) -> Any:  # noqa: ANN401
        found = await real(store, query, *arguments)
        if query is agents_store.list_agents:
            monkeypatch.setattr(Store, "read", real)
            read.set()
            await go.wait()
        return found

    monkeypatch.setattr(Store, "read", slow)
    reload = asyncio.create_task(hive.reload(_TWO))
    reading = asyncio.create_task(read.wait())
    await asyncio.wait({reload, reading}, return_when=asyncio.FIRST_COMPLETED)
    reading.cancel()
    await hive.do("alice", "destroy")
    go.set()
    await reload
    assert await hive.tombstone("alice") is not None
    await hive.operator.ask("POST", "/api/reconcile")
    assert "alice" not in hive.runtime.running()
