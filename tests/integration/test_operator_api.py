"""The operator API over host.sock and the dashboard's port."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from broker_bed import DEADLINE
from hive_bed import RunningHive, running_hive, short_place

from hyperhive.store.store import Store
from hyperhive.web.gates import SECURITY_HEADERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import httpx

_AGENTS: dict[str, Any] = {"alice": {}, "bob": {"autoStart": False}}


@pytest_asyncio.fixture
async def hive() -> AsyncIterator[RunningHive]:
    with short_place() as place:
        async with running_hive(place, _AGENTS, dashboard={"port": 0, "allowedHosts": ["hive.example"]}) as running:
            yield running


class Follower:
    """A reader of the stream."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def next(self, kind: str | None = None) -> dict[str, Any]:
        """The next change (of a kind)."""
        async with asyncio.timeout(DEADLINE):
            async for line in self._lines:
                if line.startswith("data: "):
                    change: dict[str, Any] = json.loads(line.removeprefix("data: "))
                    if kind is None or change["type"] == kind:
                        return change
        msg = "the stream ended"
        raise AssertionError(msg)

    async def here(self) -> None:
        """Wait until the hive says that it has begun."""
        async with asyncio.timeout(DEADLINE):
            async for line in self._lines:
                if line == ": here":
                    return


async def _error(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert {"code", "message", "hint"} <= error.keys()
    return answer.status_code, error["code"]


# --- who may come in


async def test_the_token_opens_the_port_and_nothing_else_does(hive: RunningHive) -> None:
    anybody, operator = await hive.browser(), await hive.browser(hive.token)
    assert await _error(await anybody.get("/api/state")) == (401, "bad_token")
    assert (await operator.get("/api/state")).status_code == 200
    assert (await anybody.get("/api/state", headers={"Cookie": f"token={hive.token}"})).status_code == 401
    assert (await anybody.get(f"/api/state?token={hive.token}")).status_code == 401
    for path in ("/%61pi/state", "/api//state", "//api/state", "/static/../api/state", "/api/state/"):
        answer = await anybody.get(path)
        assert answer.status_code in {401, 404, 307}, path
        assert "epoch" not in answer.text


async def test_wrong_tokens_are_slowed_down_and_the_right_one_is_not(hive: RunningHive) -> None:
    guesser, operator = await hive.browser("x" * 43), await hive.browser(hive.token)
    codes = [(await _error(await guesser.get("/api/state")))[0] for _ in range(12)]
    assert codes == [401] * 10 + [429] * 2
    assert (await guesser.get("/api/state")).headers["retry-after"] == "60"
    assert (await operator.get("/api/state")).status_code == 200


async def test_only_names_of_the_list_are_answered(hive: RunningHive) -> None:
    operator = await hive.browser(hive.token)
    for host, status in (("hive.example", 200), ("localhost", 200), ("evil.example", 403)):
        answer = await operator.get("/api/state", headers={"Host": f"{host}:{hive.ready.port}"})
        assert answer.status_code == status, host


async def test_no_answer_sets_a_cookie_or_names_the_server_or_lets_others_in(hive: RunningHive) -> None:
    operator, anybody = await hive.browser(hive.token), await hive.browser()
    answers = [
        await operator.get("/api/state"),
        await operator.get("/api/nothing"),
        await operator.post("/api/messages", content=b"{"),
        await anybody.get("/"),
        await anybody.get("/api/state"),
        await anybody.get("/static/app.js"),
        await operator.request("OPTIONS", "/api/state", headers={"Origin": "https://evil.example"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 422, 200, 401, 200, 405]
    for answer in answers:
        assert SECURITY_HEADERS.items() <= dict(answer.headers).items()
        assert not {"set-cookie", "server", "access-control-allow-origin"} & set(answer.headers)


async def test_host_sock_is_the_owners_and_needs_no_token(hive: RunningHive) -> None:
    assert hive.ready.host_socket.stat().st_mode & 0o777 == 0o600
    assert hive.ready.host_socket.parent.stat().st_mode & 0o777 == 0o700
    operator = await hive.operator()
    assert (await operator.get("/api/state")).status_code == 200
    url = (await operator.get("/api/dashboard-url")).json()["url"]
    assert url == hive.ready.dashboard_url == f"http://localhost:{hive.ready.port}/#token={hive.token}"
    assert hive.token not in (await operator.get("/api/state")).text


async def test_healthz_is_open_and_says_nothing(hive: RunningHive) -> None:
    assert (await (await hive.browser()).get("/healthz")).json() == {"ok": True}


# --- what is shown


async def test_the_state_has_every_agent_in_order(hive: RunningHive) -> None:
    operator = await hive.operator()
    state = (await operator.get("/api/state")).json()
    assert [(agent["name"], agent["state"], agent["wanted"]) for agent in state["agents"]] == [
        ("alice", "starting", "running"),
        ("bob", "stopped", "stopped"),
    ]
    assert state["agents"][0]["port"] == 8879
    assert state["hive"]["runtime"] == "nobody"
    assert (state["messages"], state["waiting"]) == ([], [])
    assert (await operator.get("/api/agents")).json()["agents"] == state["agents"]
    alone = (await operator.get("/api/agents/alice")).json()
    # Counted only where one agent is asked for.
    assert alone.pop("stateBytes") > 0
    assert alone == {key: value for key, value in state["agents"][0].items() if key != "stateBytes"}


async def test_what_is_not_there_is_named_with_the_nearest(hive: RunningHive) -> None:
    operator = await hive.operator()
    answer = await operator.get("/api/agents/alicia")
    assert await _error(answer) == (404, "unknown_agent")
    assert answer.json()["error"]["nearest"] == ["alice"]
    assert await _error(await operator.post("/api/agents/alice/explode")) == (404, "not_found")
    assert await _error(await operator.get("/api/operations/99")) == (404, "not_found")
    assert await _error(await operator.get("/api/agents/alice/stop")) == (405, "method_not_allowed")
    for path in ("/api/dead-letters/99/requeue", "/api/dead-letters/99/discard"):
        assert await _error(await operator.post(path)) == (404, "unknown_message")


@pytest.mark.parametrize(
    "path",
    [
        f"/api/messages?before={2**63}",
        "/api/messages?before=-1",
        "/api/messages?limit=0",
        "/api/messages?limit=100000",
        f"/api/audit?before={2**64}",
        f"/api/agents/alice/events?before={2**64}",
        "/api/agents/alice/journal?lines=0",
        "/api/stream?since=x",
    ],
)
async def test_numbers_out_of_range_are_malformed(hive: RunningHive, path: str) -> None:
    assert await _error(await (await hive.operator()).get(path)) == (422, "malformed")


async def test_numbers_out_of_range_are_malformed_in_posts_too(hive: RunningHive) -> None:
    operator = await hive.operator()
    assert await _error(await operator.post(f"/api/dead-letters/{2**63}/requeue")) == (422, "malformed")
    assert await _error(await operator.post("/api/inbox/ack", json={"ids": [2**63]})) == (422, "malformed")
    assert await _error(await operator.post("/api/inbox/ack", json={"ids": []})) == (422, "malformed")


async def test_messages_are_listed_newest_first_and_filtered(hive: RunningHive) -> None:
    operator, alice = await hive.operator(), await hive.agent("alice")
    for sender, to in ((operator, "alice"), (alice, "bob"), (alice, "operator"), (operator, "bob")):
        path = "/api/messages" if sender is operator else "/v1/messages"
        assert (await sender.post(path, json={"to": to, "body": f"to {to}"})).status_code == 201

    async def listed(query: str) -> list[int]:
        return [message["id"] for message in (await operator.get(f"/api/messages{query}")).json()["messages"]]

    assert await listed("") == [4, 3, 2, 1]
    assert await listed("?limit=2") == [4, 3]
    assert await listed("?before=3") == [2, 1]
    assert await listed("?agent=alice") == [3, 2, 1]
    assert await listed("?from=operator&to=bob") == [4]
    await alice.post("/v1/recv", json={})
    states = {m["id"]: m["state"] for m in (await operator.get("/api/messages")).json()["messages"]}
    assert states == {1: "held", 2: "waiting", 3: "waiting", 4: "waiting"}


async def test_a_long_body_is_whole_in_the_listing_and_begun_on_the_stream(hive: RunningHive) -> None:
    operator = await hive.operator()
    async with operator.stream("GET", "/api/stream") as answer:
        follower = Follower(answer.aiter_lines())
        await follower.here()
        await operator.post("/api/messages", json={"to": "bob", "body": "x" * 60_000})
        change = (await follower.next("message"))["data"]
    assert (len(change["body"]), change["truncated"], change["to"]) == (400, True, "bob")
    message = (await operator.get("/api/messages")).json()["messages"][0]
    assert (len(message["body"]), message["truncated"]) == (60_000, False)


async def test_mail_for_the_operator_waits_until_it_is_acked(hive: RunningHive) -> None:
    operator, alice = await hive.operator(), await hive.agent("alice")
    ids = [
        (await alice.post("/v1/messages", json={"to": "operator", "body": f"help {n}"})).json()["id"] for n in range(3)
    ]
    (item,) = (await operator.get("/api/state")).json()["waiting"]
    assert (item["kind"], item["title"], item["agent"]) == ("mail", "3 messages for you", "alice")
    assert [m["id"] for m in (await operator.get("/api/inbox")).json()["messages"]] == ids[::-1]
    assert (await operator.post("/api/inbox/ack", json={"ids": [*ids[:2], 999]})).json() == {"acked": ids[:2]}
    assert [m["id"] for m in (await operator.get("/api/inbox")).json()["messages"]] == ids[2:]
    await operator.post("/api/inbox/ack", json={"ids": ids})
    assert (await operator.get("/api/state")).json()["waiting"] == []


async def test_a_dead_letter_waits_for_the_operator_and_the_list_survives_a_restart() -> None:
    with short_place() as place:
        async with running_hive(place, _AGENTS) as hive:
            alice, operator = await hive.agent("alice"), await hive.operator()
            await operator.post("/api/messages", json={"to": "alice", "body": "poison"})
            # Another instance for each recv: five crashes of the harness, without the back-off in between.
            await alice.post("/v1/recv", json={"instance": "0"})
            await alice.post("/v1/messages", json={"to": "operator", "body": "help"})
        await _age(place)
        async with running_hive(place, _AGENTS) as hive:
            alice, operator = await hive.agent("alice"), await hive.operator()
            got = (await alice.post("/v1/recv", json={"instance": "1"})).json()["deliveries"]
            answer = await alice.post(
                "/v1/outcome", json={"ids": [got[0]["id"]], "outcome": "failed", "reason": "boom"}
            )
            assert answer.json() == {"accepted": [1], "deadLetters": [1]}
            kinds = [item["kind"] for item in (await operator.get("/api/state")).json()["waiting"]]
            assert sorted(kinds) == ["dead_letter", "mail"]
        async with running_hive(place, _AGENTS) as hive:
            operator = await hive.operator()
            (letter,) = (await operator.get("/api/dead-letters")).json()["messages"]
            assert (letter["id"], letter["deadLetter"], letter["reason"]) == (1, True, "boom")
            items = (await operator.get("/api/state")).json()["waiting"]
            assert sorted(item["kind"] for item in items) == ["dead_letter", "mail"]
            assert (await operator.post("/api/dead-letters/1/requeue")).json() == {"ok": True}
            assert await _error(await operator.post("/api/dead-letters/1/discard")) == (409, "wrong_state")
            items = (await operator.get("/api/state")).json()["waiting"]
            assert [item["kind"] for item in items] == ["mail"]
            assert (await (await hive.agent("alice")).post("/v1/recv", json={})).json()["deliveries"][0]["redelivered"]


async def _age(place: Any) -> None:  # noqa: ANN401 - a path
    """Let every message have failed four times, a while ago: the daemon's clock cannot be moved."""
    store = await Store.open(f"sqlite+pysqlite:///{place}/state/hive.sqlite")

    def age(connection: Any, _items: list[None]) -> list[None]:  # noqa: ANN401
        connection.exec_driver_sql("UPDATE messages SET failures = 4 WHERE recipient = 'alice'")
        return [None]

    await store.submit(age, None)
    await store.close()


async def test_what_the_operator_wants_is_kept_and_written_down() -> None:
    with short_place() as place:
        async with running_hive(place, _AGENTS) as hive:
            operator = await hive.operator()
            for name, action in (("alice", "stop"), ("bob", "start")):
                row = (await operator.post(f"/api/agents/{name}/{action}")).json()
                assert (row["kind"], row["status"], row["error"]) == (action, "done", None)
                assert (await operator.get(f"/api/operations/{row['id']}")).json() == row
            assert hive.runtime.running() == {"bob"}
            assert not hive.agent_socket("alice").exists()
            assert await _error(await operator.post("/api/agents/alice/cancel")) == (409, "agent_not_running")
            entries = (await operator.get("/api/audit")).json()["audit"]
            assert [(e["actor"], e["action"], e["subject"]) for e in entries] == [
                ("operator", "cancel", "alice"),
                ("operator", "start", "bob"),
                ("operator", "stop", "alice"),
            ]
        async with running_hive(place, _AGENTS) as hive:
            assert hive.runtime.running() == {"bob"}
            assert (await (await hive.operator()).post("/api/reconcile")).json() == {"started": [], "stopped": []}


async def test_a_kick_is_one_message_however_often(hive: RunningHive) -> None:
    operator, alice = await hive.operator(), await hive.agent("alice")
    for _ in range(3):
        assert (await operator.post("/api/agents/alice/kick")).status_code == 200
    got = (await alice.post("/v1/recv", json={"max": 32})).json()["deliveries"]
    assert [(d["from"], "notes.md" in d["body"]) for d in got] == [("system", True)]
    await operator.post("/api/agents/alice/kick")
    assert (await alice.post("/v1/recv", json={"holding": [got[0]["id"]]})).json()["deliveries"][0]["from"] == "system"


async def test_a_harness_that_crashes_is_started_again_and_its_message_counted(hive: RunningHive) -> None:
    operator, alice = await hive.operator(), await hive.agent("alice")
    async with operator.stream("GET", "/api/stream") as answer:
        follower = Follower(answer.aiter_lines())
        await follower.here()
        await operator.post("/api/messages", json={"to": "alice", "body": "x"})
        await alice.post("/v1/recv", json={"instance": "1"})
        assert await asyncio.wait_for(hive.runtime.starts.get(), DEADLINE) == "alice"
        hive.runtime.end("alice", 3)
        while "the last words" not in ((await follower.next("agent"))["data"]["problem"] or ""):
            pass
    assert await asyncio.wait_for(hive.runtime.starts.get(), DEADLINE) == "alice"
    alice = await hive.agent("alice")
    assert (await alice.post("/v1/recv", json={"instance": "2"})).json() == {"deliveries": [], "unread": 1}


async def test_the_journal_of_an_agent_without_one_is_empty(hive: RunningHive) -> None:
    operator = await hive.operator()
    assert (await operator.get("/api/agents/alice/journal")).json() == {"lines": []}
    log = hive.place / "state" / "logs" / "alice.log"
    log.write_bytes(b"one\ntwo\xff\nthree\n")
    assert (await operator.get("/api/agents/alice/journal?lines=2")).json() == {"lines": ["two\ufffd", "three"]}


# --- the stream


async def test_the_stream_goes_on_from_the_state(hive: RunningHive) -> None:
    operator = await hive.operator()
    state = (await operator.get("/api/state")).json()
    ids = [(await operator.post("/api/messages", json={"to": "bob", "body": str(n)})).json()["id"] for n in range(2)]
    since = f"since={state['seq']}&epoch={state['epoch']}"
    async with operator.stream("GET", f"/api/stream?{since}") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        follower = Follower(answer.aiter_lines())
        first = await follower.next()
        assert first["seq"] == state["seq"] + 1
        assert first["epoch"] == state["epoch"]
        changes = [first, await follower.next(), await follower.next()]
        assert [c["data"]["id"] for c in changes if c["type"] == "message"] == ids
        third = (await operator.post("/api/messages", json={"to": "bob", "body": "live"})).json()["id"]
        assert (await follower.next("message"))["data"]["id"] == third
    async with operator.stream("GET", f"/api/stream?since={first['seq']}&epoch={state['epoch']}") as answer:
        assert (await Follower(answer.aiter_lines()).next())["seq"] == first["seq"] + 1


async def test_after_a_restart_the_stream_says_to_read_again() -> None:
    with short_place() as place:
        async with running_hive(place, _AGENTS) as hive:
            before = (await (await hive.operator()).get("/api/state")).json()
        async with running_hive(place, _AGENTS) as hive:
            operator = await hive.operator()
            query = f"since={before['seq']}&epoch={before['epoch']}"
            async with operator.stream("GET", f"/api/stream?{query}") as answer:
                change = await Follower(answer.aiter_lines()).next()
            after = (await operator.get("/api/state")).json()
            assert (change["type"], change["epoch"]) == ("resync", after["epoch"])
            assert after["epoch"] != before["epoch"]


async def test_what_happens_while_the_state_is_read_is_not_lost(
    hive: RunningHive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state names the number from which the stream goes on: what its list does not have must come after it."""
    operator, other = await hive.operator(), await hive.browser(hive.token)
    real = Store.read

    async def slow(store: Store, query: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
        found = await real(store, query, *arguments)
        if query.__name__ == "page":
            monkeypatch.setattr(Store, "read", real)
            await other.post("/api/messages", json={"to": "bob", "body": "in between"})
        return found

    monkeypatch.setattr(Store, "read", slow)
    state = (await operator.get("/api/state")).json()
    assert state["messages"] == []
    async with operator.stream("GET", f"/api/stream?since={state['seq']}&epoch={state['epoch']}") as answer:
        change = await Follower(answer.aiter_lines()).next("message")
    assert change["data"]["body"] == "in between"


async def test_a_follower_that_leaves_is_forgotten(hive: RunningHive) -> None:
    operator = await hive.operator()
    before = len(asyncio.all_tasks())
    for _ in range(3):
        async with operator.stream("GET", "/api/stream") as answer:
            await Follower(answer.aiter_lines()).here()
    async with asyncio.timeout(DEADLINE):
        while len(asyncio.all_tasks()) > before:  # noqa: ASYNC110 - a task that ends tells nobody
            await asyncio.sleep(0)  # one step of the loop that serves
