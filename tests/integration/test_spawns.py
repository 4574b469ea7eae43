"""Agents made at run time: what keeps one from being made, and that one that was made is an agent like the others."""

from __future__ import annotations

import asyncio
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from lifecycle_bed import DEADLINE, Life, fake_runtime, life, refusal

from hyperhive.errors import HiveError
from hyperhive.hive.spawns import MOST
from hyperhive.names import web_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_ONE: dict[str, Any] = {"alice": {}}
_MANAGER: dict[str, Any] = {"manager": {"enable": True}}
#: Two names that get one port.
_TWINS = next(
    pair
    for pair in combinations([f"{a}{b}{c}" for a in "abcdef" for b in "ghijkl" for c in "mnopqrstu"], 2)
    if web_port(pair[0]) == web_port(pair[1])
)


@pytest.fixture
async def hive(place: Path) -> AsyncIterator[Life]:
    async with life(place, _ONE) as running:
        await running.running("alice")
        yield running


async def _spawn(hive: Life, name: str, **spec: Any) -> Any:  # noqa: ANN401 - JSON
    return await hive.operator.ask("POST", "/api/agents", {"name": name, **spec})


async def _messages(hive: Life, **query: str) -> list[dict[str, Any]]:
    asked = "&".join(f"{key}={value}" for key, value in query.items())
    found: list[dict[str, Any]] = (await hive.operator.ask("GET", f"/api/messages?{asked}"))["messages"]
    return found


async def test_a_spawned_agent_runs_and_is_one_of_the_others(hive: Life) -> None:
    done = await _spawn(hive, "coder", description="writes code", model="opus", prompt="Be brief.")
    assert (done["kind"], done["status"]) == ("spawn", "done")
    coder = await hive.up("coder")
    row = await hive.row("coder")
    assert (row["origin"], row["model"], row["state"], row["description"]) == ("spawned", "opus", "idle", "writes code")
    assert row["operation"] is None
    about = await coder.ask("/v1/self")
    assert (about["name"], about["model"], about["prompt"], about["role"]) == ("coder", "opus", "Be brief.", "agent")
    alice = await hive.up("alice")
    assert "coder" in [peer["name"] for peer in (await alice.ask("/v1/peers"))["peers"]]
    await alice.ask("/v1/messages", {"to": "coder", "body": "hello"})
    first, second = await coder.recv()
    assert first["from"] == "system"
    assert "What you are for: writes code" in first["body"]
    assert (second["from"], second["body"]) == ("alice", "hello")
    audit = (await hive.operator.ask("GET", "/api/audit"))["audit"]
    assert [(row["actor"], row["action"], row["subject"]) for row in audit] == [("operator", "spawn", "coder")]


async def test_it_survives_the_daemon_and_a_rebuild(place: Path) -> None:
    runtime = fake_runtime(survives_daemon=True)
    async with life(place, _ONE, runtime) as hive:
        await _spawn(hive, "coder", model="opus", prompt="Be brief.", description="writes code")
        assert (await hive.do("coder", "rebuild"))["status"] == "done"
    async with life(place, _ONE, runtime.successor()) as hive:
        await hive.running("alice", "coder")
        row = await hive.row("coder")
        assert (row["origin"], row["model"], row["description"]) == ("spawned", "opus", "writes code")
        about = await hive.harness("coder").ask("/v1/self")
        assert (about["model"], about["prompt"]) == ("opus", "Be brief.")
        await hive.reload(_ONE)
        assert (await hive.row("coder"))["model"] == "opus"
        assert await hive.tombstone("coder") is None


async def test_a_declaration_of_its_name_takes_over_its_state(hive: Life) -> None:
    await _spawn(hive, "coder", model="opus", prompt="Be brief.")
    note = hive.place / "state" / "agents" / "coder" / "state" / "notes.md"
    note.write_text("kept")
    await hive.reload({"alice": {}, "coder": {"model": "sonnet"}})
    row = await hive.row("coder")
    assert (row["origin"], row["model"], row["wanted"]) == ("declared", "sonnet", "running")
    assert (await hive.harness("coder").ask("/v1/self"))["prompt"] is None
    assert note.read_text() == "kept"
    await hive.reload(_ONE)
    await hive.watch.operation("coder", "destroy", "done")
    tombstone = await hive.tombstone("coder")
    assert tombstone is not None
    assert tombstone["origin"] == "declared"
    await hive.revive("coder")
    assert (await hive.row("coder"))["model"] == "opus", "it is the hive's own again, as it was spawned"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("alice", "name_taken"),
        ("manager", "reserved_name"),
        ("operator", "reserved_name"),
        ("..", "bad_name"),
        ("Alice", "bad_name"),
        ("ten-letter", "bad_name"),
        ("a/b", "bad_name"),
        ("", "bad_name"),
    ],
)
async def test_a_name_that_cannot_be_is_refused(hive: Life, name: str, code: str) -> None:
    assert await refusal(_spawn(hive, name)) == code
    assert [row["name"] for row in (await hive.operator.ask("GET", "/api/agents"))["agents"]] == ["alice"]


async def test_what_could_be_somebody_elses_is_not_given_to_a_new_agent(hive: Life) -> None:
    await _spawn(hive, "coder")
    await hive.do("coder", "destroy")
    with pytest.raises(HiveError, match="hyperhive revive coder") as caught:
        await _spawn(hive, "coder")
    assert caught.value.code == "name_taken", "a tombstone has a login"
    await hive.purge("coder")
    left = hive.place / "state" / "agents" / "coder"
    (left / "claude").mkdir(parents=True)
    assert await refusal(_spawn(hive, "coder")) == "name_taken", "directories of nobody have one, too"
    (left / "claude").rmdir()
    left.rmdir()
    await _spawn(hive, "coder")


async def test_two_agents_never_have_one_port(hive: Life) -> None:
    one, other = _TWINS
    await _spawn(hive, one)
    assert await refusal(_spawn(hive, other)) == "port_collision"
    assert sorted(row["name"] for row in (await hive.operator.ask("GET", "/api/agents"))["agents"]) == sorted(
        ["alice", one]
    )
    await hive.reload({"alice": {}, other: {}})
    row = await hive.watch.agent(other, state="failed")
    assert one in row["problem"]
    assert other not in hive.runtime.running()
    await hive.do(one, "destroy")
    assert (await hive.do(other, "start"))["status"] == "done"


async def test_two_that_are_made_at_once_never_have_one_port(hive: Life) -> None:
    done = await asyncio.gather(*(_spawn(hive, name) for name in _TWINS), return_exceptions=True)
    assert sorted(str(getattr(one, "code", None)) for one in done) == ["None", "port_collision"]
    assert len((await hive.operator.ask("GET", "/api/agents"))["agents"]) == 2


async def test_what_is_declared_has_its_port_before_what_is_spawned(place: Path) -> None:
    one, other = _TWINS
    async with life(place, {}) as hive:
        await _spawn(hive, one)
    async with life(place, {other: {}}) as hive:
        await hive.running(other)
        assert await hive.watch.agent(one, state="failed") if (await hive.row(one))["state"] != "failed" else True
        assert one not in hive.runtime.running()


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"model": "gpt"}, "model"),
        ({"model": "opus; rm -rf /"}, "model"),
        ({"description": "x" * 4001}, "description"),
        ({"description": "a\0b"}, "description"),
        ({"prompt": "é" * 60_000}, "prompt"),
        ({"prompt": "a\0b"}, "prompt"),
        ({"promt": "x"}, "promt"),
        ({"model": 7}, "model"),
    ],
)
async def test_a_spec_that_cannot_be_is_refused_by_field(hive: Life, spec: dict[str, Any], field: str) -> None:
    with pytest.raises(Exception, match=field) as caught:
        await _spawn(hive, "coder", **spec)
    assert getattr(caught.value, "code", None) == "malformed"


async def test_two_spawns_of_one_name_make_one_agent(hive: Life) -> None:
    done = await asyncio.gather(*(_spawn(hive, "coder", model=m) for m in ("opus", "haiku")), return_exceptions=True)
    codes = [getattr(one, "code", None) for one in done]
    assert codes == [None, "name_taken"]
    assert (await hive.row("coder"))["model"] == "opus"


async def test_one_that_cannot_start_is_there_and_shown(hive: Life) -> None:
    hive.runtime.refusal = HiveError("operation_failed", "no room", "make some")
    assert await refusal(_spawn(hive, "coder")) == "operation_failed"
    row = await hive.row("coder")
    assert (row["state"], row["origin"]) == ("failed", "spawned")
    assert "no room" in row["problem"]
    assert (await hive.do("coder", "start"))["status"] == "done"


async def test_there_is_an_end_to_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST == 100
    monkeypatch.setattr("hyperhive.hive.spawns.MOST", 1)
    async with life(place, {}) as hive:
        await _spawn(hive, "coder")
        assert await refusal(_spawn(hive, "other")) == "too_many_agents"
        await hive.do("coder", "destroy")
        await _spawn(hive, "other")


async def test_the_manager_hears_of_it(place: Path) -> None:
    async with life(place, _ONE, **_MANAGER) as hive:
        manager = await hive.up("manager")
        await manager.recv()
        async with asyncio.timeout(DEADLINE):
            await _spawn(hive, "coder")
        (told,) = await manager.recv()
        assert (told["from"], told["body"]) == ("system", '{"event": "spawned", "agent": "coder", "by": "operator"}')


async def test_a_list_of_recipients_may_name_one_that_is_made_later(place: Path) -> None:
    async with life(place, {"alice": {"allowedRecipients": ["coder"]}}) as hive:
        alice = await hive.up("alice")
        assert await refusal(alice.ask("/v1/messages", {"to": "coder", "body": "hello"})) == "unknown_recipient"
        await _spawn(hive, "coder")
        await _spawn(hive, "tester")
        sent = await alice.ask("/v1/messages", {"to": "coder", "body": "hello"})
        assert sent["recipients"] == ["coder"]
        assert await refusal(alice.ask("/v1/messages", {"to": "tester", "body": "hello"})) == "not_allowed"
        assert (await alice.ask("/v1/messages", {"to": "*", "body": "hello"}))["recipients"] == ["coder"]
