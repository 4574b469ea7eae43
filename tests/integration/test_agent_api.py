"""The agent API over real sockets, with real peer credentials."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from bare_http import RawClient
from broker_bed import DEADLINE
from hive_bed import RunningHive, running_hive, short_place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

#: A client with another uid: it changes after its imports, so that it needs to read nothing.
_AS_ANOTHER = """
import os, socket, sys
client = socket.socket(socket.AF_UNIX)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
client.connect(sys.argv[1])
client.sendall(b"GET /v1/self HTTP/1.1\\r\\nHost: hive\\r\\nConnection: close\\r\\n\\r\\n")
while part := client.recv(4096):
    sys.stdout.write(part.decode())
"""


@pytest_asyncio.fixture
async def hive() -> AsyncIterator[RunningHive]:
    with short_place() as place:
        async with running_hive(place, {"alice": {"model": "sonnet", "prompt": "Build."}, "bob": {}}) as running:
            yield running


async def _error(client: Any, method: str, path: str, **request: Any) -> tuple[int, dict[str, Any]]:  # noqa: ANN401
    answer = await client.request(method, path, **request)
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert {"code", "message", "hint"} <= error.keys()
    return answer.status_code, error


async def test_the_socket_is_the_identity(hive: RunningHive) -> None:
    for name in ("alice", "bob"):
        client = await hive.agent(name)
        about = (await client.get("/v1/self", headers={"X-Agent": "manager", "Host": "manager"})).json()
        assert about["name"] == name
    alice = await hive.agent("alice")
    about = (await alice.get("/v1/self")).json()
    assert (about["model"], about["prompt"], about["role"], about["keepWarmSeconds"]) == (
        "sonnet", "Build.", "agent", 120,
    )  # fmt: skip
    peers = (await alice.get("/v1/peers")).json()["peers"]
    assert [(peer["name"], peer["role"]) for peer in peers] == [("bob", "agent"), ("operator", "operator")]


async def test_a_message_goes_from_socket_to_socket(hive: RunningHive) -> None:
    alice, bob = await hive.agent("alice"), await hive.agent("bob")
    waiting = asyncio.create_task(bob.post("/v1/recv", json={"waitSeconds": 60}))
    sent = await alice.post("/v1/messages", json={"to": "bob", "body": "ping ✓", "inReplyTo": 5})
    assert sent.status_code == 201
    number = sent.json()["id"]
    assert sent.json() == {"id": number, "broadcastId": None, "recipients": ["bob"]}
    delivery = (await waiting).json()["deliveries"][0]
    assert delivery["sentAt"].endswith("Z")
    assert (delivery["id"], delivery["from"], delivery["body"], delivery["inReplyTo"], delivery["redelivered"]) == (
        number, "alice", "ping ✓", 5, False,
    )  # fmt: skip
    done = (await bob.post("/v1/outcome", json={"ids": [number], "outcome": "settled"})).json()
    assert done == {"accepted": [number], "deadLetters": []}


async def test_another_uid_is_refused_by_the_kernels_word(
    hive: RunningHive, require_tier: Callable[[str, object, str], None]
) -> None:
    require_tier("root", os.geteuid() == 0, "only root can be somebody else")
    path = hive.agent_socket("alice")
    for directory in (path.parent, path.parent.parent, path.parent.parent.parent, hive.place / "state", hive.place):
        directory.chmod(0o711)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _AS_ANOTHER, str(path), stdout=-1, stderr=-1
    )  # fmt: skip
    _out, error = await process.communicate()
    assert b"PermissionError" in error, "the socket's mode alone keeps others out"
    path.chmod(0o666)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _AS_ANOTHER, str(path), stdout=-1)
    out, _error = await process.communicate()
    assert out.startswith(b"HTTP/1.1 403")
    assert b"peer_refused" in out
    assert b"65534" in out


async def test_malformed_requests_name_the_field(hive: RunningHive) -> None:
    alice = await hive.agent("alice")
    for body, field in [
        ({"to": "bob"}, "body"),
        ({"body": "x"}, "to"),
        ({"to": "bob", "body": "x", "priority": 1}, "priority"),
        ({"to": "bob", "body": 5}, "body"),
        ({"to": "bob", "body": "x", "inReplyTo": "x"}, "inReplyTo"),
        ({"to": "bob", "body": "x", "inReplyTo": 2**63}, "inReplyTo"),
        ({"to": "bob", "body": "x", "idempotencyKey": ""}, "idempotencyKey"),
        ({"to": "bob", "body": "x", "idempotencyKey": "k" * 201}, "idempotencyKey"),
        ({"to": "b" * 65, "body": "x"}, "to"),
    ]:
        status, error = await _error(alice, "POST", "/v1/messages", json=body)
        assert (status, error["code"]) == (422, "malformed"), body
        assert field in error["message"], body
    for body, field in [
        ({"waitSeconds": 181}, "waitSeconds"),
        ({"waitSeconds": -1}, "waitSeconds"),
        ({"max": 0}, "max"),
        ({"max": 33}, "max"),
        ({"holding": ["x"]}, "holding"),
    ]:
        status, error = await _error(alice, "POST", "/v1/recv", json=body)
        assert (status, error["code"]) == (422, "malformed"), body
        assert field in error["message"], body
    status, error = await _error(alice, "POST", "/v1/outcome", json={"ids": [1], "outcome": "great"})
    assert (status, "outcome" in error["message"]) == (422, True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"to": "bob", "body": "\\ud800"}',
        b'{"to": "bob", "body": "a\\u0000b"}',
    ],
    ids=["empty", "cut", "null", "list", "string", "bytes", "deep", "surrogate", "nul"],
)
async def test_what_is_no_json_object_or_no_text_is_malformed(hive: RunningHive, content: bytes) -> None:
    status, error = await _error(await hive.agent("alice"), "POST", "/v1/messages", content=content)
    assert (status, error["code"]) == (422, "malformed")


async def test_no_header_is_needed_for_json(hive: RunningHive) -> None:
    answer = await (await hive.agent("alice")).post(
        "/v1/messages",
        content=b'{"to": "bob", "body": "x"}',
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 201


async def test_unknown_routes_and_wrong_methods(hive: RunningHive) -> None:
    alice = await hive.agent("alice")
    for path in ("/", "/v1", "/v1/nothing", "/api/state", "/api/agents/bob/stop", "/static/app.js", "/v1/self/../x"):
        status, error = await _error(alice, "GET", path)
        assert (status, error["code"]) == (404, "not_found"), path
    for method, path in (("GET", "/v1/messages"), ("POST", "/v1/self"), ("DELETE", "/v1/recv")):
        status, error = await _error(alice, method, path)
        assert (status, error["code"]) == (405, "method_not_allowed"), path


async def test_too_large_requests_are_refused_with_and_without_a_length(hive: RunningHive) -> None:
    alice = await hive.agent("alice")
    status, error = await _error(alice, "POST", "/v1/messages", content=b"x" * (2 * 1024 * 1024 + 1))
    assert (status, error["code"]) == (413, "body_too_large")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(33):
            yield b"x" * 65536

    status, error = await _error(alice, "POST", "/v1/messages", content=chunks())
    assert (status, error["code"]) == (413, "body_too_large")
    status, error = await _error(alice, "POST", "/v1/messages", json={"to": "bob", "body": "x" * 65537})
    assert (status, error["code"]) == (413, "body_too_large")


async def test_refusals_say_when_to_come_again(hive: RunningHive) -> None:
    async with RawClient(hive.agent_socket("alice")) as alice:
        for _ in range(6):
            await asyncio.gather(*(alice.ask("POST", "/v1/messages", {"to": "bob", "body": "x"}) for _ in range(100)))
        content = json.dumps({"to": "bob", "body": "x"}).encode()
        request = b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(content)
        status, headers, body = await alice.exchange(request + content)
    assert status == 429
    assert headers["retry-after"] == str(json.loads(body)["error"]["retry_after"])


async def test_a_client_that_goes_away_gets_nothing_and_loses_nothing(hive: RunningHive) -> None:
    bob, alice = await hive.agent("bob"), await hive.agent("alice")
    parked = socket.socket(socket.AF_UNIX)
    parked.connect(str(hive.agent_socket("bob")))
    parked.sendall(b'POST /v1/recv HTTP/1.1\r\nHost: h\r\nContent-Length: 19\r\n\r\n{"waitSeconds": 60}')
    await bob.get("/v1/self")
    parked.close()
    await bob.get("/v1/self")
    number = (await alice.post("/v1/messages", json={"to": "bob", "body": "x"})).json()["id"]
    got = (await bob.post("/v1/recv", json={"waitSeconds": 10})).json()["deliveries"]
    assert [(d["id"], d["redelivered"]) for d in got] == [(number, False)]


def _events(*events: dict[str, Any], instance: str = "one") -> dict[str, Any]:
    whole = [{"n": n, "at": "2026-01-01T00:00:00Z", "kind": "text", "data": {}} | e for n, e in enumerate(events)]
    return {"instance": instance, "events": whole}


async def test_a_repeated_batch_of_events_adds_nothing(hive: RunningHive) -> None:
    alice, operator = await hive.agent("alice"), await hive.operator()
    for batch in (
        _events({"data": {"text": "a"}}),
        _events({"data": {"text": "a"}}, {"data": {"text": "b"}}),
        _events({"n": 1}, {"n": 2, "data": {"text": "c"}}, {"n": 2, "data": {"text": "twice"}}),
        _events({"n": 0, "data": {"text": "d"}}, instance="two"),
    ):
        assert (await alice.post("/v1/events", json=batch)).json() == {"ok": True}
    events = (await operator.get("/api/agents/alice/events")).json()["events"]
    assert [event["data"]["text"] for event in events] == ["d", "c", "b", "a"]
    assert sorted((event["seq"] for event in events), reverse=True) == [event["seq"] for event in events]


async def test_what_an_agent_reports_cannot_break_the_pages(hive: RunningHive) -> None:
    """Each of these is JSON that Python reads and somebody later cannot write."""
    alice, operator = await hive.agent("alice"), await hive.operator()
    deep = '{"a":' * 300 + "1" + "}" * 300
    for data in (deep, '{"x": NaN, "y": -Infinity}', '{"x": "\\ud800"}', '{"\\udfff": 1}', '{"x": "a\\u0000b"}'):
        for kind in ("text", "tool_result"):
            content = '{"instance": "%d", "events": [{"n": 1, "at": "2026-01-01T00:00:00Z", "kind": "%s", "data": %s}]}'
            body = content % (abs(hash((data, kind))), kind, data)
            assert (await alice.post("/v1/events", content=body)).json() == {"ok": True}, data[:40]
    answer = await operator.get("/api/agents/alice/events")
    assert (answer.status_code, len(answer.json()["events"])) == (200, 10)
    for report in (
        '{"since": "9999-12-31T23:59:59-12:00", "state": "idle"}',
        '{"since": "2026-01-01T00:00:00", "state": "idle"}',
        '{"usage": {"costUsd": NaN}}',
        '{"usage": {"costUsd": Infinity}}',
        '{"statusText": "\\ud800"}',
        '{"lastTurn": {"endedAt": "2026-01-01T00:00:00", "ok": true, "durationMs": 5}}',
    ):
        status, error = await _error(alice, "POST", "/v1/report", content=report)
        assert (status, error["code"]) == (422, "malformed"), report
    assert (await operator.get("/api/state")).status_code == 200
    for body in (_events({"turn": 2**63}), _events({"n": 2**63}), _events({"at": "2026-01-01T00:00:00"})):
        status, error = await _error(alice, "POST", "/v1/events", json=body)
        assert (status, error["code"]) == (422, "malformed"), body


async def test_a_report_is_shown(hive: RunningHive) -> None:
    alice, operator = await hive.agent("alice"), await hive.operator()
    usage = {"inputTokens": 10, "outputTokens": 5, "costUsd": 0.25, "contextTokens": 15, "contextWindow": 200}
    ended = {"endedAt": "2026-01-01T00:00:00Z", "ok": True, "durationMs": 5}
    polling = asyncio.create_task(alice.post("/v1/commands", json={"waitSeconds": 60}))
    for state in ("idle", "thinking"):
        report = {"state": state, "statusText": "at work", "usage": usage, "lastTurn": ended, "model": "opus"}
        assert (await alice.post("/v1/report", json=report)).status_code == 200
    row = (await operator.get("/api/agents/alice")).json()
    assert (row["state"], row["statusText"], row["model"]) == ("thinking", "at work", "opus")
    assert (row["usage"]["turns"], row["usage"]["inputTokens"], row["usage"]["costUsd"]) == (2, 20, 0.5)
    assert (row["usage"]["contextTokens"], row["usage"]["contextWindow"]) == (15, 200), "of the last turn"
    between = {"usage": {"costUsd": 0.25, "contextTokens": 0}}
    assert (await alice.post("/v1/report", json=between)).status_code == 200
    row = (await operator.get("/api/agents/alice")).json()
    assert (row["usage"]["turns"], row["usage"]["costUsd"], row["usage"]["contextTokens"]) == (2, 0.75, 0)
    assert row["pid"] == os.getpid()
    await alice.post("/v1/report", json={"statusText": None})
    row = (await operator.get("/api/agents/alice")).json()
    assert (row["statusText"], row["model"]) == (None, "opus")
    polling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await polling


async def test_a_command_travels_with_the_poll_and_its_reply_with_the_next(hive: RunningHive) -> None:
    alice, operator = await hive.agent("alice"), await hive.operator()
    polling = asyncio.create_task(alice.post("/v1/commands", json={"waitSeconds": 60}))
    cancelling = asyncio.create_task(operator.post("/api/agents/alice/cancel"))
    async with asyncio.timeout(DEADLINE):
        (command,) = (await polling).json()["commands"]
        assert command["kind"] == "cancel"
        done = [{"id": command["id"], "ok": False, "error": "no turn runs"}]
        assert (await alice.post("/v1/commands", json={"done": done})).json() == {"commands": []}
        answer = await cancelling
    assert answer.status_code == 409
    assert "no turn runs" in answer.json()["error"]["message"]
