"""The manager: an agent like the others, with routes that only its socket has, and none of them on itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from unittest import mock

import pytest
from fastapi.routing import APIRoute
from lifecycle_bed import DEADLINE, Harness, Life, fake_runtime, life, refusal

from hyperhive.errors import HiveError
from hyperhive.hive.manager_events import ManagerEvent
from hyperhive.web.api.agent import agent_app
from hyperhive.web.api.caller import manager_alone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_TWO: dict[str, Any] = {"alice": {}, "bob": {}}
_MANAGER: dict[str, Any] = {"manager": {"enable": True, "model": "opus", "prompt": "Keep it small."}}


def _manager_routes() -> list[tuple[str, str]]:
    """Method and path of every route that asks who calls."""
    routes = [route for route in agent_app(mock.MagicMock()).routes if isinstance(route, APIRoute)]
    guarded = [r for r in routes if any(d.call is manager_alone for d in r.dependant.dependencies)]
    return [(method, route.path) for route in guarded for method in sorted(route.methods)]


@pytest.fixture
async def hive(place: Path) -> AsyncIterator[Life]:
    async with life(place, _TWO, **_MANAGER) as running:
        await running.running("alice", "bob", "manager")
        yield running


async def _told(hive: Life, manager: Harness) -> list[dict[str, Any]]:
    """The events that it was told of until now and has not read yet."""
    # What was told before is written before this.
    last = await hive.send("manager", "the last one")
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(DEADLINE):
        while last not in [message["id"] for message in found]:
            holding = tuple(message["id"] for message in found)
            body = {"max": 32, "waitSeconds": 5, "holding": list(holding), "instance": manager.instance}
            found += (await manager.ask("/v1/recv", body))["deliveries"]
    await manager.outcome(*(message["id"] for message in found))
    told = [message["body"] for message in found if message["from"] == "system"]
    return [json.loads(body) for body in told if body.startswith("{")]


async def test_it_is_an_agent_with_a_role(hive: Life) -> None:
    manager = await hive.harness("manager").up("needs_login")
    row = await hive.row("manager")
    assert (row["role"], row["origin"], row["port"], row["model"]) == ("manager", "declared", 8000, "opus")
    assert row["state"] == "needs_login"
    about = await manager.ask("/v1/self")
    assert (about["role"], about["model"], about["prompt"]) == ("manager", "opus", "Keep it small.")
    alice = await hive.up("alice")
    assert (await alice.ask("/v1/self"))["role"] == "agent"
    roles = {peer["name"]: peer["role"] for peer in (await alice.ask("/v1/peers"))["peers"]}
    assert roles == {"bob": "agent", "manager": "manager", "operator": "operator"}
    await alice.ask("/v1/messages", {"to": "manager", "body": "hello"})
    assert [message["body"] for message in await manager.recv()] == ["hello"]


async def test_it_comes_and_goes_with_the_settings(hive: Life) -> None:
    await hive.reload(_TWO, manager={"enable": False})
    await hive.watch.operation("manager", "destroy", "done")
    tombstone = await hive.tombstone("manager")
    assert tombstone is not None
    assert tombstone["declared"] is False
    await hive.reload(_TWO, manager={"enable": True})
    await hive.running("manager")
    assert (await hive.row("manager"))["model"] == "haiku"


async def test_a_destroyed_one_comes_back_by_a_revive(hive: Life) -> None:
    await hive.do("manager", "destroy")
    await hive.reload(_TWO, **_MANAGER)
    tombstone = await hive.tombstone("manager")
    assert tombstone is not None
    assert tombstone["declared"] is True
    await hive.revive("manager")
    assert (await hive.row("manager"))["origin"] == "declared"


async def test_its_routes_are_refused_on_every_other_socket(hive: Life) -> None:
    routes = _manager_routes()
    assert {("POST", "/v1/agents/{name}/{action}"), ("GET", "/v1/agents/{name}/logs")} <= set(routes)
    alice = await hive.up("alice")
    for method, path in routes:
        for name in ("bob", "alice", "manager", "..", "nobody"):
            asked = path.format(name=name, action="stop", number=1)
            # Whatever is sent with it, it is not looked at.
            body = None if method == "GET" else {"name": "coder"}
            assert await refusal(alice.client.ask(method, asked, body)) == "not_allowed", (method, asked)
    assert hive.runtime.running() == {"alice", "bob", "manager"}
    assert hive.runtime.stopped == []
    assert (await hive.operator.ask("GET", "/api/audit"))["audit"] == []


async def test_the_operators_routes_are_not_on_its_socket(hive: Life) -> None:
    manager = await hive.up("manager")
    for path in ("/api/state", "/api/agents", "/api/agents/bob/stop", "/api/approvals", "/api/audit"):
        assert await refusal(manager.client.ask("GET", path)) == "not_found"
        assert await refusal(manager.client.ask("POST", path, {})) == "not_found"


@pytest.mark.parametrize("action", ["start", "stop", "restart", "rebuild"])
async def test_it_does_nothing_to_itself(hive: Life, action: str) -> None:
    manager = await hive.up("manager")
    assert await refusal(manager.ask(f"/v1/agents/manager/{action}", {})) == "not_allowed"
    assert hive.runtime.stopped == []


async def test_it_proposes_no_change_of_itself(hive: Life) -> None:
    manager = await hive.up("manager")
    path = "/v1/config-proposals?agent=manager&commit=0123456789"
    assert await refusal(manager.client.ask("POST", path, {})) == "not_allowed"


async def test_its_words_stand_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "manager.md").read_text(encoding="utf-8")
    assert [event for event in get_args(ManagerEvent) if f"`{event}`" not in text] == []
    assert [
        path for _, path in _manager_routes() if path.replace("{name}", "{n}").replace("{number}", "{id}") not in text
    ] == []


async def test_it_does_not_read_its_own_log(hive: Life) -> None:
    manager = await hive.up("manager")
    assert await refusal(manager.ask("/v1/agents/manager/logs")) == "not_allowed"


@pytest.mark.parametrize("name", ["..", "Bob", "operator", "bob%2Fstate", "a" * 10, "%00", "bob%0a"])
async def test_a_name_in_a_path_is_a_name(hive: Life, name: str) -> None:
    manager = await hive.up("manager")
    for path, body in ((f"/v1/agents/{name}/stop", {}), (f"/v1/agents/{name}/logs", None)):
        assert await refusal(manager.ask(path, body)) in {"malformed", "not_found"}
    assert hive.runtime.stopped == []


@pytest.mark.parametrize("action", ["destroy", "purge", "pause", "resume", "kick", "cancel", "logs", ""])
async def test_it_may_not_do_more(hive: Life, action: str) -> None:
    manager = await hive.up("manager")
    assert await refusal(manager.ask(f"/v1/agents/bob/{action}", {})) in {
        "malformed",
        "not_found",
        "method_not_allowed",
    }
    assert hive.runtime.stopped == []


async def test_what_it_does_is_done_and_stands_in_the_audit_log(hive: Life) -> None:
    manager, bob = await hive.up("manager"), await hive.up("bob")
    await bob.close()
    for action, runs in (("stop", False), ("start", True), ("restart", True), ("rebuild", True)):
        done = await manager.ask(f"/v1/agents/bob/{action}", {})
        assert (done["agent"], done["kind"], done["status"], done["error"]) == ("bob", action, "done", None)
        assert ("bob" in hive.runtime.running()) is runs
    audit = (await hive.operator.ask("GET", "/api/audit"))["audit"]
    assert [(row["actor"], row["action"]) for row in reversed(audit)] == [
        ("manager", action) for action in ("stop", "start", "restart", "rebuild")
    ]
    assert await _told(hive, manager) == [], "it knows what it did itself"
    woken = [message["body"] for message in await hive.harness("bob", "second").recv()]
    assert "the manager started you" in woken[0]


async def test_what_fails_is_said_to_it(hive: Life) -> None:
    manager = await hive.up("manager")
    assert await refusal(manager.ask("/v1/agents/nobody/stop", {})) == "unknown_agent"
    await hive.do("bob", "stop")
    hive.runtime.refusal = HiveError("operation_failed", "no room", "make some")
    with pytest.raises(HiveError, match="no room"):
        await manager.ask("/v1/agents/bob/start", {})


async def test_it_waits_for_a_turn_to_end(hive: Life) -> None:
    """A stop lets the turn end, which takes longer than an operator's request is kept waiting."""
    manager, bob = await hive.up("manager"), await hive.up("bob")
    commands = await bob.park("/v1/commands")
    stopping = asyncio.create_task(manager.ask("/v1/agents/bob/stop", {}))
    (command,) = (await commands)["commands"]
    assert command["kind"] == "stop"
    assert not stopping.done()
    hive.runtime.crash("bob", 0)
    assert (await stopping)["status"] == "done"


async def test_it_reads_the_logs_of_others(hive: Life) -> None:
    manager = await hive.up("manager")
    log = hive.place / "state" / "logs" / "bob.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text("".join(f"line {number}\n" for number in range(300)))
    assert (await manager.ask("/v1/agents/bob/logs?lines=2"))["lines"] == ["line 298", "line 299"]
    assert len((await manager.ask("/v1/agents/bob/logs"))["lines"]) == 100
    for wrong in ("0", "501", "x"):
        assert await refusal(manager.ask(f"/v1/agents/bob/logs?lines={wrong}")) == "malformed"


async def test_it_hears_what_the_operator_does_and_nothing_of_itself(hive: Life) -> None:
    manager = await hive.up("manager")
    await hive.do("bob", "stop")
    await hive.do("bob", "stop")
    await hive.do("bob", "rebuild")
    await hive.do("bob", "destroy")
    assert await _told(hive, manager) == [
        {"event": "killed", "agent": "bob", "by": "operator"},
        {"event": "rebuilt", "agent": "bob", "by": "operator"},
        {"event": "destroyed", "agent": "bob", "by": "operator"},
    ]
    await hive.do("manager", "rebuild")
    assert await _told(hive, await hive.harness("manager", "second").up()) == []


async def test_it_hears_of_agents_that_left_the_settings(hive: Life) -> None:
    manager = await hive.up("manager")
    await hive.reload({"alice": {}}, **_MANAGER)
    await hive.watch.operation("bob", "destroy", "done")
    assert await _told(hive, manager) == [{"event": "destroyed", "agent": "bob", "by": "the settings"}]


async def test_it_asks_for_an_agent_and_hears_what_was_decided(hive: Life) -> None:
    manager = await hive.up("manager")
    asked = await manager.ask("/v1/spawn-requests", {"name": "coder", "description": "writes code", "model": "opus"})
    assert (asked["kind"], asked["agent"], asked["status"]) == ("spawn", "coder", "pending")
    (item,) = await hive.waiting("approval")
    assert item["agent"] == "coder"
    await hive.operator.ask("POST", f"/api/approvals/{asked['id']}/approve", {})
    await hive.running("coder")
    row = await hive.watch.agent("coder", origin="spawned")
    assert (row["model"], row["description"]) == ("opus", "writes code")
    told: list[dict[str, Any]] = []
    while len(told) < 2:
        told += await _told(hive, manager)
    assert {event["event"] for event in told} == {"spawned", "approval_resolved"}
    assert [e["status"] for e in told if e["event"] == "approval_resolved"] == ["deployed"]
    assert [row["status"] for row in (await manager.ask("/v1/approvals"))["approvals"]] == ["deployed"]


async def test_what_cannot_be_is_refused_before_anybody_is_asked(hive: Life) -> None:
    manager = await hive.up("manager")
    for body, code in (
        ({"name": "alice"}, "name_taken"),
        ({"name": "manager"}, "reserved_name"),
        ({"name": ".."}, "bad_name"),
        ({"name": "coder", "model": "gpt"}, "malformed"),
        ({"name": "coder", "by": "operator"}, "malformed"),
        ({}, "malformed"),
    ):
        assert await refusal(manager.ask("/v1/spawn-requests", body)) == code
    assert await hive.waiting("approval") == []


async def test_it_takes_back_what_it_asked_for_and_nothing_else(hive: Life) -> None:
    manager = await hive.up("manager")
    mine = await manager.ask("/v1/spawn-requests", {"name": "coder"})
    theirs = await hive.operator.ask("POST", "/api/spawn-requests", {"name": "tester"})
    # The newest of its own, however many others there are since.
    assert [row["id"] for row in (await manager.ask("/v1/approvals?limit=1"))["approvals"]] == [mine["id"]]
    assert (await manager.ask(f"/v1/approvals/{mine['id']}/cancel", {}))["status"] == "cancelled"
    assert await refusal(manager.ask(f"/v1/approvals/{theirs['id']}/cancel", {})) == "not_allowed"
    for route in ("approve", "deny"):
        assert await refusal(manager.ask(f"/v1/approvals/{theirs['id']}/{route}", {})) == "not_found"


async def test_it_hears_of_the_first_crash_and_of_the_last(hive: Life) -> None:
    manager = await hive.up("manager")
    for number in range(6):
        await hive.running("bob")
        hive.runtime.crash("bob", 1, (f"crash {number}",))
        await hive.settled()
    row = await hive.watch.agent("bob", state="failed")
    assert "crash 5" in row["problem"]
    told = await _told(hive, manager)
    assert [(event["event"], event["agent"], event["crashes"], event["restarts"]) for event in told] == [
        ("container_crash", "bob", 1, True),
        ("container_crash", "bob", 6, False),
    ]
    assert told[0]["reason"] == "the harness ended with status 1: crash 0"


async def test_it_hears_of_a_login_only_when_it_changes(place: Path) -> None:
    runtime = fake_runtime(survives_daemon=True)
    async with life(place, _TWO, runtime, **_MANAGER) as hive:
        manager, bob = await hive.up("manager"), await hive.up("bob")
        for state in ("idle", "thinking", "idle", "needs_login", "needs_login", "idle", "thinking"):
            await bob.report(state, until=None)
        await hive.settled()
        expected = [{"event": "needs_login", "agent": "bob"}, {"event": "logged_in", "agent": "bob"}]
        assert await _told(hive, manager) == expected
        await bob.report("needs_login", until=None)
        await manager.report("needs_login", until=None)
        await hive.settled()
        assert await _told(hive, manager) == expected[:1], "and nothing of itself"
    async with life(place, _TWO, runtime.successor(), **_MANAGER) as hive:
        manager = await hive.up("manager", "second")
        await hive.running("bob")
        bob = await hive.harness("bob", "second").up("needs_login")
        await hive.settled()
        assert await _told(hive, manager) == [], "a restart is no news"
        await bob.report("idle")
        await hive.settled()
        assert await _told(hive, manager) == expected[1:]


async def test_a_login_that_is_tried_again_by_itself_is_no_storm(hive: Life) -> None:
    manager, bob = await hive.up("manager"), await hive.up("bob")
    for _ in range(5):
        await bob.report("needs_login", until="2099-01-01T00:00:00Z")
        await bob.report("idle", until=None)
        await bob.report("thinking")
        last = {"endedAt": "2020-01-01T00:00:00Z", "ok": False, "durationMs": 1}
        await bob.report("thinking", lastTurn=last)
    await hive.settled()
    assert await _told(hive, manager) == [{"event": "needs_login", "agent": "bob"}]
    await bob.report("idle", lastTurn={"endedAt": "2099-01-01T00:00:00Z", "ok": True, "durationMs": 1})
    await hive.settled()
    assert await _told(hive, manager) == [{"event": "logged_in", "agent": "bob"}]


async def test_it_hears_what_the_operator_answered(hive: Life) -> None:
    manager, alice, bob = await hive.up("manager"), await hive.up("alice"), await hive.up("bob")
    for asker, to in ((alice, "operator"), (alice, "bob"), (manager, "operator")):
        number = (await asker.ask("/v1/questions", {"text": "Which?", "to": to}))["id"]
        if to == "bob":
            await bob.ask(f"/v1/questions/{number}/answer", {"text": "this"})
        else:
            await hive.operator.ask("POST", f"/api/questions/{number}/answer", {"text": "that"})
    await hive.settled()
    told = await _told(hive, manager)
    assert told == [{"event": "question_answered", "agent": "alice", "question": 1, "by": "operator"}]


async def test_without_a_manager_nobody_is_told(place: Path) -> None:
    async with life(place, _TWO) as hive:
        bob = await hive.up("bob")
        await bob.report("needs_login")
        await hive.do("bob", "stop")
        await hive.settled()
        assert [m for m in (await hive.operator.ask("GET", "/api/messages"))["messages"] if m["to"] == "manager"] == []
