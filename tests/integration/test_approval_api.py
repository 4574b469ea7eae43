"""Approvals through the sockets of a daemon: what the operator sees, decides and is told, also across a kill."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from broker_bed import DEADLINE
from hive_bed import RunningHive, hive_process, running_hive, short_place

from hyperhive.client import HiveClient
from hyperhive.errors import HiveError
from hyperhive.shapes import ApprovalRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_AGENTS: dict[str, Any] = {"alice": {}, "bob": {}}


@pytest_asyncio.fixture
async def hive() -> AsyncIterator[RunningHive]:
    with short_place() as place:
        async with running_hive(place, _AGENTS) as running:
            yield running


@pytest_asyncio.fixture
async def operator(hive: RunningHive) -> AsyncIterator[HiveClient]:
    async with HiveClient(hive.ready.host_socket) as client:
        yield client


async def ended(client: HiveClient, number: int, since: Any) -> list[ApprovalRow]:  # noqa: ANN401 - a snapshot
    """What the stream said of an approval, to its end."""
    rows = []
    async with asyncio.timeout(DEADLINE), contextlib.aclosing(client.follow(since.seq, since.epoch)) as changes:
        async for change in changes:
            if change.type == "approval" and change.data["id"] == number:
                rows.append(ApprovalRow.model_validate(change.data))
                if rows[-1].ended_at:
                    break
    return rows


async def test_a_new_agent_from_the_request_to_its_first_start(operator: HiveClient) -> None:
    before = await operator.state()
    asked = await operator.request_spawn("coder", description="writes code", model="opus", prompt="Write code.")
    assert (asked.id, asked.kind, asked.status, asked.requested_by) == (1, "spawn", "pending", "operator")
    assert asked.spec is not None
    assert (asked.spec.description, asked.spec.model, asked.spec.prompt) == ("writes code", "opus", "Write code.")
    state = await operator.state()
    assert state.approvals == [asked]
    (item,) = [one for one in state.waiting if one.kind == "approval"]
    assert (item.id, item.ref, item.deadline) == ("approval-1", 1, asked.expires_at)
    assert item.title == "operator asks for a new agent 'coder': writes code"
    assert [row.id for row in await operator.approvals(status="pending")] == [1]
    assert (await operator.approve(1, reason="we need one")).status == "approved"
    rows = await ended(operator, 1, before)
    assert [row.status for row in rows] == ["pending", "approved", "deploying", "deployed"]
    state = await operator.state()
    assert (state.approvals, [one for one in state.waiting if one.kind == "approval"]) == ([], [])
    coder = await operator.agent("coder")
    assert (coder.origin, coder.model) == ("spawned", "opus")
    said = [(row.actor, row.action, row.subject, row.detail) for row in await operator.audit()]
    assert ("operator", "approve", "approval 1", "spawn coder: we need one") in said
    assert ("operator", "spawn", "coder", "approval 1: we need one") in said


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "alice"}, "name_taken"),
        ({"name": "../x"}, "bad_name"),
        ({"name": "operator"}, "reserved_name"),
        ({"name": "coder", "model": "gpt"}, "malformed"),
        ({"name": "coder", "description": "a\0b"}, "malformed"),
        ({"name": "coder", "shell": "bash"}, "malformed"),
        ({}, "malformed"),
    ],
)
async def test_what_cannot_be_is_refused_before_there_is_an_approval(
    hive: RunningHive, operator: HiveClient, body: dict[str, Any], code: str
) -> None:
    answer = await (await hive.operator()).post("/api/spawn-requests", json=body)
    assert answer.json()["error"]["code"] == code
    assert await operator.approvals() == []


async def test_a_decision_is_one(hive: RunningHive, operator: HiveClient) -> None:
    await operator.request_spawn("coder")
    assert (await operator.deny(1, "not now")).reason == "not now"
    for work in (operator.approve(1), operator.deny(1), operator.cancel_approval(1)):
        with pytest.raises(HiveError) as caught:
            await work
        assert caught.value.code == "wrong_state"
        assert "approval 1 was denied by operator at " in caught.value.message
    client = await hive.operator()
    for path in ("/api/approvals/9", "/api/approvals/9/approve", "/api/approvals/9/deny", "/api/approvals/9/cancel"):
        answer = await (client.get(path) if path.endswith("9") else client.post(path, json={}))
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_approval")
    assert (await client.post("/api/approvals/x/approve", json={})).status_code == 422
    assert (await client.get("/api/approvals?status=nothing")).status_code == 422


async def test_no_agent_reaches_a_decision(hive: RunningHive, operator: HiveClient) -> None:
    await operator.request_spawn("coder")
    alice = await hive.agent("alice")
    for path in ("/api/approvals/1/approve", "/v1/approvals/1/approve", "/v1/approvals/1/deny", "/api/spawn-requests"):
        assert (await alice.post(path, json={})).status_code == 404
    browser = await hive.browser()
    assert (await browser.post("/api/approvals/1/approve", json={})).status_code == 401
    assert (await operator.approval(1)).status == "pending"


async def test_what_is_long_comes_whole_only_when_asked_for(operator: HiveClient) -> None:
    asked = await operator.request_spawn("coder", prompt="x" * 90_000)
    assert asked.truncated
    (listed,) = await operator.approvals()
    assert listed.spec is not None
    assert len(listed.spec.prompt or "") == 8192
    assert len(json.dumps((await operator.state()).model_dump(mode="json"))) < 20_000
    whole = await operator.approval(1)
    assert whole.spec is not None
    assert (len(whole.spec.prompt or ""), whole.truncated) == (90_000, False)


async def test_killed_after_the_decision_it_is_carried_out_by_the_next_hive() -> None:
    with short_place() as place:
        async with hive_process(place) as hive:
            await hive.start(_AGENTS)
            async with HiveClient(hive.host_socket) as operator:
                await operator.request_spawn("coder")
                await operator.request_spawn("tester")
            await hive.kill()
            # As the disk is when the hive is killed between the decision and all that follows from it.
            with contextlib.closing(sqlite3.connect(hive.database)) as connection:
                connection.execute("UPDATE approvals SET status = 'approved', decided_by = 'operator' WHERE id = 1")
                connection.commit()
            await hive.start(_AGENTS)
            async with HiveClient(hive.host_socket) as operator:
                rows = await ended(operator, 1, _From(0))
                assert rows[-1].status == "deployed"
                assert (await operator.agent("coder")).origin == "spawned"
                assert (await operator.approval(2)).status == "pending"


class _From:
    """The beginning of a stream."""

    def __init__(self, seq: int) -> None:
        self.seq, self.epoch = seq, None


def _stored(hive: RunningHive, *rows: dict[str, Any]) -> None:
    """Approvals, written behind the hive's back."""
    for row in rows:
        values = {"kind": "apply", "agent": "bob", "status": "pending", "requested_by": "manager",
                  "requested_at": "2026-01-01 00:00:00", "expires_at": "2999-01-01 00:00:00", "truncated": 0,
                  "commit_hash": "a" * 40, "stale": 0, "unfinished": 0, **row}  # fmt: skip
        with contextlib.closing(sqlite3.connect(hive.place / "state" / "hive.sqlite")) as connection:
            marks = ", ".join(f":{name}" for name in values)
            connection.execute(f"INSERT INTO approvals ({', '.join(values)}) VALUES ({marks})", values)  # noqa: S608
            connection.commit()


async def test_what_is_open_is_found_behind_many_that_are_over(hive: RunningHive, operator: HiveClient) -> None:
    _stored(hive, {"id": 1}, {"id": 2, "status": "deploying"}, *({"id": n, "status": "denied"} for n in range(3, 9)))
    assert [row.id for row in await operator.approvals(status="open", limit=3)] == [2, 1]
    assert [row.id for row in await operator.approvals(limit=3)] == [8, 7, 6]


async def test_the_whole_log_of_a_build(hive: RunningHive, operator: HiveClient) -> None:
    build = json.dumps({"status": "ok", "log": "the end of it"})
    _stored(hive, {"id": 1, "build": build}, {"id": 2, "status": "building"}, {"id": 3, "kind": "spawn"}, {"id": 4})
    client = await hive.operator()
    assert await operator.approval_log(1) == "the end of it", "where there is no file, nothing was left out"
    builds = hive.place / "state" / "builds"
    builds.mkdir()
    (builds / "1.log").write_bytes(b"<script>\xff all that was said\n")
    answer = await client.get("/api/approvals/1/log")
    assert answer.text == "<script>\N{REPLACEMENT CHARACTER} all that was said\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    (builds / "1.log").write_bytes(b"x" * 3_000_000 + b"end")
    whole = await operator.approval_log(1)
    assert (len(whole), whole[-3:]) == (1024 * 1024, "end")
    for number, code in ((2, "wrong_state"), (3, "wrong_state"), (4, "not_found"), (9, "unknown_approval")):
        with pytest.raises(HiveError) as caught:
            await operator.approval_log(number)
        assert caught.value.code == code
    assert (await (await hive.agent("alice")).get("/api/approvals/1/log")).status_code == 404
    assert (await (await hive.browser()).get("/api/approvals/1/log")).status_code == 401


async def test_a_purged_agent_takes_its_proposals_with_it(hive: RunningHive, operator: HiveClient) -> None:
    _stored(hive, {"id": 1, "base_hash": "b" * 40})
    before = await operator.state()
    shutil.rmtree(hive.place / "state" / "agents" / "bob")
    await operator.reconcile()
    rows = await ended(operator, 1, before)
    assert (rows[-1].status, rows[-1].note) == ("failed", "agent state dir missing")
