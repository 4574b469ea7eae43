"""The public library against a stand-in operator API on a real Unix socket."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from operator_stand_in import ACTIONS, StandIn, agent, message, operation, served, tombstone
from starlette.responses import PlainTextResponse

from hyperhive.client import HiveClient
from hyperhive.connection import Connection
from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def hive() -> StandIn:
    return StandIn()


@pytest.fixture
async def client(hive: StandIn) -> AsyncIterator[HiveClient]:
    async with served(hive) as path, HiveClient(path) as client:
        yield client


async def test_reads_agents_and_ignores_keys_it_does_not_know(client: HiveClient) -> None:
    agents = await client.agents()
    assert [one.name for one in agents] == ["alice", "bob"]
    assert agents[1].status_text == "busy"
    assert (await client.agent("alice")).usage.input_tokens == 5


async def test_reads_everything_else_typed(client: HiveClient) -> None:
    assert await client.healthz() is True
    assert (await client.state()).hive.name == "box"
    assert [one.kind for one in await client.events("alice", limit=2)] == ["text", "turn_start"]
    assert await client.journal("alice", lines=2) == ["one", "two"]
    assert (await client.inbox())[0].from_ == "alice"
    assert (await client.dead_letters())[0].dead_letter is True
    assert (await client.audit())[0].action == "start"
    assert (await client.reconcile()).started == ["alice"]
    assert (await client.operation(7)).status == "done"
    assert await client.dashboard_url() == "http://localhost:7000/#token=t"
    assert await client.dashboard_url("alice") == "http://localhost:8100/#token=p"


async def test_reaches_an_agents_claude(client: HiveClient, hive: StandIn) -> None:
    assert (await client.model("alice", "opus")).kind == "model"
    assert (await client.new_session("alice")).kind == "new-session"
    await client.login_start("alice")
    await client.login_code("alice", "a#b")
    await client.login_cancel("alice")
    assert hive.requests == [
        ("POST /api/agents/alice/model", {"model": "opus"}),
        ("POST /api/agents/alice/new-session", {}),
        ("POST /api/agents/alice/login/start", {}),
        ("POST /api/agents/alice/login/code", {"code": "a#b"}),
        ("POST /api/agents/alice/login/cancel", {}),
    ]


@pytest.mark.parametrize("action", ACTIONS)
async def test_does_what_is_asked_to_an_agent(client: HiveClient, hive: StandIn, action: str) -> None:
    assert (await getattr(client, action)("alice")).kind == action
    assert hive.requests[-1][0] == f"POST /api/agents/alice/{action}"


async def test_tombstones_are_listed_revived_and_purged(client: HiveClient, hive: StandIn) -> None:
    first, second = await client.tombstones()
    assert (first.name, first.has_login, first.size_bytes) == ("alice", True, 4300)
    assert second.has_login is False
    assert (await client.revive("alice")).kind == "revive"
    assert (await client.purge("alice")).kind == "purge"
    assert hive.requests[-1] == ("POST /api/tombstones/alice/purge", {"name": "alice"})


async def test_a_size_that_could_not_be_counted_is_none(client: HiveClient, hive: StandIn) -> None:
    hive.answers["GET /api/tombstones"] = {"tombstones": [tombstone("alice", sizeBytes=None)]}
    assert (await client.tombstones())[0].size_bytes is None


async def test_the_queue_is_typed_and_newest_first(client: HiveClient) -> None:
    assert [(one.kind, one.status) for one in await client.operations()] == [("stop", "running"), ("start", "done")]


async def test_a_crash_is_dismissed(client: HiveClient, hive: StandIn) -> None:
    await client.dismiss("crash-alice")
    assert hive.requests[-1][0] == "POST /api/waiting/crash-alice/dismiss"


@pytest.mark.parametrize("item", ["..", "", "a/b", "crash-alice?x", "%2e%2e", "crash alice"])
async def test_an_id_that_is_none_never_becomes_a_path(client: HiveClient, hive: StandIn, item: str) -> None:
    with pytest.raises(HiveError) as caught:
        await client.dismiss(item)
    assert caught.value.code == "not_found"
    assert hive.requests == []


async def test_what_is_no_name_is_no_tombstone_either(client: HiveClient, hive: StandIn) -> None:
    for method in (client.revive, client.purge):
        with pytest.raises(HiveError, match="cannot be an agent's name"):
            await method("../agents/alice/destroy")
    assert hive.requests == []


async def test_sends_and_acks(client: HiveClient, hive: StandIn) -> None:
    sent = await client.send("alice", "grüß dich", in_reply_to=3, idempotency_key="k")
    assert (sent.id, sent.recipients) == (5, ["alice"])
    assert hive.requests[-1][1] == {"to": "alice", "body": "grüß dich", "inReplyTo": 3, "idempotencyKey": "k"}
    assert await client.ack([1]) == [1]
    await client.requeue(3)
    await client.discard(3)


async def test_asks_for_messages_with_the_filters_that_were_given_only(client: HiveClient, hive: StandIn) -> None:
    await client.messages(agent="bob", sender="alice", limit=3)
    assert hive.requests[-1][1] == {"agent": "bob", "from": "alice", "limit": "3"}


async def test_an_answer_of_the_hive_that_is_an_error_is_raised_as_it_was_meant(client: HiveClient) -> None:
    with pytest.raises(HiveError) as caught:
        await client.agent("alicia")
    assert (caught.value.code, caught.value.hint) == ("unknown_agent", "Did you mean 'alice'?")


async def test_a_name_that_is_none_never_becomes_a_path(client: HiveClient, hive: StandIn) -> None:
    with pytest.raises(HiveError, match="cannot be an agent's name"):
        await client.start("../inbox/ack")
    assert hive.requests == []


async def test_half_a_surrogate_pair_is_refused_before_it_is_sent(client: HiveClient) -> None:
    with pytest.raises(HiveError) as caught:
        await client.send("alice", "\udc80")
    assert caught.value.code == "malformed"


async def test_without_a_daemon_the_error_names_the_socket(tmp_path: Path) -> None:
    async with HiveClient(tmp_path / "host.sock") as client:
        with pytest.raises(HiveError) as caught:
            await client.agents()
    assert caught.value.code == "no_daemon"
    assert str(tmp_path / "host.sock") in caught.value.message


async def test_something_else_that_answers_is_called_no_hive(client: HiveClient, hive: StandIn) -> None:
    hive.answers["GET /api/agents"] = PlainTextResponse("It works!")
    with pytest.raises(HiveError, match="is no hive"):
        await client.agents()


async def test_over_tcp_the_token_of_the_address_is_sent_and_nothing_of_it_is_in_the_url() -> None:
    connection = Connection(url="http://127.0.0.1:7000/#token=secret")
    try:
        assert connection.where == "http://127.0.0.1:7000"
        assert connection._http.headers["authorization"] == "Bearer secret"
    finally:
        await connection.close()


async def test_an_answer_may_take_longer_than_httpx_would_wait() -> None:
    connection = Connection(Path("host.sock"))
    try:
        assert (connection._http.timeout.read or 999) >= 60
    finally:
        await connection.close()


async def test_the_stream_gives_typed_changes_and_passes_over_comments(client: HiveClient, hive: StandIn) -> None:
    hive.publish("agent", agent("bob"))
    hive.publish("resync")
    changes = [change async for change in client.stream(since=10, epoch="e")]
    assert [change.type for change in changes] == ["agent", "resync"]
    assert changes[0].seq == 11
    assert hive.requests[-1][1] == {"since": "10", "epoch": "e"}


async def test_follow_comes_back_with_where_it_was(client: HiveClient, hive: StandIn) -> None:
    hive.publish("agent", agent("bob"))
    away = asyncio.Event()
    async with asyncio.timeout(60), aclosing(client.follow(10, "e", on_away=away.set)) as changes:
        first = await anext(changes)
        hive.seq = first.seq
        hive.publish("agent", agent("carol"))
        second = await anext(changes)
    assert (first.data["name"], second.data["name"]) == ("bob", "carol")
    assert away.is_set()
    assert hive.requests[-1] == ("GET /api/stream", {"since": "11", "epoch": "e"})


async def test_another_stream_is_asked_for_again_when_it_ends(hive: StandIn) -> None:
    route = "GET /api/agents/alice/journal/stream"
    first = 'data: {"lines": ["one"]}\n\ndata: {"lines": ["two"]}\n\n'
    hive.answers[route] = PlainTextResponse(first)
    async with served(hive) as path, Connection(path) as line, asyncio.timeout(60):
        async with aclosing(line.follow_path("/api/agents/alice/journal/stream", lines=5)) as chunks:
            seen = [await anext(chunks), await anext(chunks)]
            hive.answers[route] = PlainTextResponse('data: {"lines": ["two", "three"]}\n\n')
            seen.append(await anext(chunks))
        assert seen == [
            (True, {"lines": ["one"]}),
            (False, {"lines": ["two"]}),
            (True, {"lines": ["two", "three"]}),
        ]
        assert hive.requests[-1] == (route, {"lines": "5"})
        with pytest.raises(HiveError, match="no such agent"):
            await anext(line.follow_path("/api/agents/bob/journal/stream"))


async def test_follow_says_when_there_never_was_a_hive(tmp_path: Path) -> None:
    async with HiveClient(tmp_path / "host.sock") as client, aclosing(client.follow()) as changes:
        with pytest.raises(HiveError, match="no hive answers"):
            await anext(changes)


async def test_ask_waits_for_the_reply_and_not_for_anything_else(client: HiveClient, hive: StandIn) -> None:
    hive.publish("message", message(4, body="older than the task"))
    hive.publish("message", message(6, "bob", body="from another"))
    hive.publish("message", message(7, body="a reply to something else", inReplyTo=2))
    hive.publish("message", message(8, "alice", "bob", "to another"))
    hive.publish("message", message(9, body="the answer", inReplyTo=5))
    answer = await client.ask("alice", "do it", timeout=60)
    assert (answer.id, answer.body) == (9, "the answer")
    assert hive.requests[-1] == ("POST /api/inbox/ack", {"ids": [9]})


async def test_ask_takes_the_next_message_of_an_agent_that_replies_to_nothing(
    client: HiveClient, hive: StandIn
) -> None:
    hive.publish("message", message(6, body="well, here you are"))
    assert (await client.ask("alice", "do it", timeout=60)).id == 6


async def test_ask_reads_the_whole_of_an_answer_whose_beginning_was_streamed(client: HiveClient, hive: StandIn) -> None:
    hive.publish("message", message(6, body="long", truncated=True))
    hive.answers["GET /api/messages"] = {"messages": [message(6, body="long, and whole")]}
    assert (await client.ask("alice", "do it", timeout=60)).body == "long, and whole"


async def test_ask_finds_an_answer_that_came_while_the_stream_was_lost(client: HiveClient, hive: StandIn) -> None:
    hive.publish("resync")
    hive.answers["GET /api/messages"] = {"messages": [message(9, body="later"), message(6, body="first")]}
    assert (await client.ask("alice", "do it", timeout=60)).id == 6


async def test_ask_gives_up_in_time_and_says_on_what(client: HiveClient) -> None:
    with pytest.raises(TimeoutError, match="'alice' has not answered message 5"):
        await client.ask("alice", "do it", timeout=0.2)


async def test_ask_fails_when_the_task_became_a_dead_letter(client: HiveClient, hive: StandIn) -> None:
    hive.publish("message", message(5, "operator", "alice", deadLetter=True, reason="five turns failed"))
    with pytest.raises(HiveError, match="five turns failed"):
        await client.ask("alice", "do it", timeout=60)


async def test_an_operation_that_goes_on_is_told_as_such(client: HiveClient, hive: StandIn) -> None:
    hive.answers["POST /api/agents/alice/stop"] = operation("stop", "running")
    assert (await client.stop("alice")).ended_at is None
