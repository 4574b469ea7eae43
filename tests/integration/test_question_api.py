"""Questions through the sockets of a daemon: from an agent to the operator and back, with stream, list and restart."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sqlite3
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from bare_http import RawClient
from broker_bed import DEADLINE
from hive_bed import RunningHive, hive_process, running_hive, short_place
from lifecycle_bed import Life, life

from hyperhive.client import HiveClient
from hyperhive.clock import utc_now
from hyperhive.errors import HiveError
from hyperhive.shapes import QuestionRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_AGENTS: dict[str, Any] = {"alice": {}, "bob": {}, "dave": {"allowedRecipients": ["alice"]}}


@pytest_asyncio.fixture
async def hive() -> AsyncIterator[RunningHive]:
    with short_place() as place:
        async with running_hive(place, _AGENTS) as running:
            yield running


async def _error(client: Any, path: str, body: Any) -> tuple[int, str, str]:  # noqa: ANN401 - JSON
    answer = await client.post(path, json=body)
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["message"]


async def _words(client: Any) -> list[str]:  # noqa: ANN401 - a client
    answer = (await client.post("/v1/recv", json={"max": 32, "waitSeconds": 60})).json()
    return [delivery["body"] for delivery in answer["deliveries"]]


async def test_from_an_agent_to_the_operator_and_back(hive: RunningHive) -> None:
    alice = await hive.agent("alice")
    async with HiveClient(hive.ready.host_socket) as operator:
        before = await operator.state()
        asked = await alice.post(
            "/v1/questions",
            json={"text": "Which colour?", "options": ["red", "blue"], "ttlSeconds": 3600, "default": "red"},
        )
        assert asked.status_code == 201
        told = asked.json()
        assert (told["id"], told["asker"], told["to"], told["status"]) == (1, "alice", "operator", "open")
        (row,) = await operator.questions(status="open")
        assert (row.text, row.options, row.multi, row.default, row.answer) == (
            "Which colour?", ["red", "blue"], False, "red", None,
        )  # fmt: skip
        state = await operator.state()
        assert state.questions == [row]
        (item,) = [one for one in state.waiting if one.kind == "question"]
        assert (item.id, item.ref, item.agent, item.deadline, item.since) == (
            "question-1", 1, "alice", row.deadline, row.asked_at,
        )  # fmt: skip
        answered = await operator.answer(1, choices=["blue"])
        assert (answered.status, answered.answer, answered.answered_by) == ("answered", "blue", "operator")
        assert "| blue" in (await _words(alice))[0]
        state = await operator.state()
        assert (state.questions, [one for one in state.waiting if one.kind == "question"]) == ([], [])
        changes = []
        async for change in operator.stream(before.seq, before.epoch):
            if change.type == "question":
                changes.append(QuestionRow.model_validate(change.data))
            if len(changes) == 2:
                break
        assert changes == [row, answered]
        assert await operator.questions() == [answered]


async def test_between_agents(hive: RunningHive) -> None:
    alice, bob = await hive.agent("alice"), await hive.agent("bob")
    operator = await hive.operator()
    await alice.post("/v1/questions", json={"to": "bob", "text": "Ready?"})
    assert "| Ready?" in (await _words(bob))[0]
    state = (await operator.get("/api/state")).json()
    assert [(one["asker"], one["to"]) for one in state["questions"]] == [("alice", "bob")]
    assert [one for one in state["waiting"] if one["kind"] == "question"] == [], "only what waits for the operator"
    assert (await _error(await hive.agent("dave"), "/v1/questions/1/answer", {"text": "x"}))[:2] == (403, "not_allowed")
    for name, count in (("alice", 1), ("bob", 0)):
        page = (await operator.get(f"/api/agents/{name}/state")).json()
        assert len(page["questions"]) == count, "an agent's page has what that agent asked"
    done = (await bob.post("/v1/questions/1/answer", json={"text": "yes"})).json()
    assert (done["id"], done["asker"], done["status"]) == (1, "alice", "answered")
    assert "| yes" in (await _words(alice))[0]
    assert (await _error(operator, "/api/questions/1/cancel", {}))[:2] == (409, "wrong_state")
    await alice.post("/v1/questions", json={"to": "bob", "text": "Still?"})
    assert (await alice.post("/v1/questions/2/cancel")).json()["status"] == "cancelled"
    assert (await alice.post("/v1/questions/2/cancel")).json()["status"] == "cancelled", "it may not have heard"


async def test_two_operators_at_once(hive: RunningHive) -> None:
    await (await hive.agent("alice")).post("/v1/questions", json={"text": "Which?"})
    operator = await hive.operator()
    work = [operator.post("/api/questions/1/answer", json={"choices": [], "text": "same"}) for _ in range(2)]
    first, second = sorted(await asyncio.gather(*work), key=lambda answer: answer.status_code)
    assert (first.status_code, second.status_code) == (200, 409)
    assert "answered by operator" in second.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({}, 422, "text"),
        ({"text": ""}, 422, "text"),
        ({"text": "x", "urgent": True}, 422, "urgent"),
        ({"text": "x", "options": ["a"] * 11}, 422, "options"),
        ({"text": "x", "options": ["a", "b"], "default": "c"}, 422, "default"),
        ({"text": "x", "ttlSeconds": 0}, 422, "ttlSeconds"),
        ({"text": "x", "ttlSeconds": 604801}, 422, "ttlSeconds"),
        ({"text": "x" * 8193}, 413, "8,192"),
        ({"text": "x", "to": "bop"}, 404, "bop"),
        ({"text": "x", "to": "alice"}, 403, "itself"),
    ],
)
async def test_what_is_refused(hive: RunningHive, body: dict[str, Any], status: int, word: str) -> None:
    found, _code, message = await _error(await hive.agent("alice"), "/v1/questions", body)
    assert (found, word in message) == (status, True), message
    assert (await (await hive.operator()).get("/api/questions")).json() == {"questions": []}


async def test_what_the_operator_may_not_say(hive: RunningHive) -> None:
    await (await hive.agent("alice")).post("/v1/questions", json={"text": "x", "options": ["a", "b"]})
    operator = await hive.operator()
    for body in ({}, {"choices": ["a", "b"]}, {"choices": ["c"]}, {"text": " "}, {"text": "x", "by": "bob"}):
        assert (await _error(operator, "/api/questions/1/answer", body))[:2] == (422, "malformed"), body
    assert (await _error(operator, "/api/questions/9/answer", {"text": "x"}))[:2] == (404, "unknown_question")
    assert (await _error(operator, "/api/questions/9/cancel", {}))[:2] == (404, "unknown_question")
    assert (await operator.get("/api/questions?status=lost")).status_code == 422
    assert (await operator.get("/api/questions?status=open&limit=1")).json()["questions"][0]["status"] == "open"
    assert (await operator.get("/api/questions?status=answered")).json() == {"questions": []}


async def test_the_daemons_own_timer(hive: RunningHive) -> None:
    alice = await hive.agent("alice")
    await alice.post("/v1/questions", json={"text": "Quick?", "ttlSeconds": 1, "default": "no"})
    assert "Your default holds:\n| no" in (await _words(alice))[0]
    row = (await (await hive.operator()).get("/api/questions")).json()["questions"][0]
    assert (row["status"], row["answer"], row["answeredBy"]) == ("expired", "no", None)


async def test_a_purge_cancels_its_questions() -> None:
    with short_place() as place:
        async with life(place, {"alice": {}, "bob": {}}) as hive:
            alice, bob = await hive.up("alice"), await hive.up("bob")
            await alice.ask("/v1/questions", {"text": "Which?"})
            await bob.ask("/v1/questions", {"text": "And you?", "to": "alice"})
            await hive.do("alice", "destroy")
            assert await _states(hive) == ["cancelled", "open"], "a tombstone may come back"
            await hive.purge("alice")
            assert await _states(hive) == ["cancelled", "cancelled"]
            assert await hive.waiting("question") == []
            (word,) = [delivery["body"] for delivery in await bob.recv()]
            assert "because 'alice' was destroyed" in word


async def _states(hive: Life) -> list[str]:
    return [row["status"] for row in (await hive.operator.ask("GET", "/api/questions"))["questions"]]


async def test_a_killed_daemon_settles_at_its_start_what_expired_meanwhile() -> None:
    with short_place() as place:
        async with hive_process(place) as hive:
            await hive.start(_AGENTS)
            async with RawClient(hive.agent_socket("alice")) as alice:
                quick = await alice.ask("POST", "/v1/questions", {"text": "Quick?", "ttlSeconds": 1})
                await alice.ask("POST", "/v1/questions", {"text": "Slow?", "idempotencyKey": "k"})
                await hive.end(signal.SIGKILL)
            # It passes while nobody is there.
            await asyncio.sleep((datetime.fromisoformat(quick["deadline"]) - utc_now()).total_seconds())
            await hive.start(_AGENTS)
            async with RawClient(hive.agent_socket("alice")) as alice, RawClient(hive.host_socket) as operator:
                (got,) = (await alice.ask("POST", "/v1/recv", {"max": 32}))["deliveries"]
                assert got["body"].startswith("[expired] Nobody has answered your question 1 ")
                again = await alice.ask("POST", "/v1/questions", {"text": "Slow?", "idempotencyKey": "k"})
                assert (again["id"], again["status"]) == (2, "open")
                state = await operator.ask("GET", "/api/state")
                assert [item["id"] for item in state["waiting"] if item["kind"] == "question"] == ["question-2"]
                with pytest.raises(HiveError, match="not answered in time"):
                    await operator.ask("POST", "/api/questions/1/answer", {"text": "late"})


async def _ask_and_end(hive: Any, ended: asyncio.Semaphore) -> None:  # noqa: ANN401 - a HiveProcess
    """Questions of alice to bob, each ended by somebody; `ended` is released whenever an end was confirmed."""
    async with (
        RawClient(hive.agent_socket("alice")) as alice,
        RawClient(hive.agent_socket("bob")) as bob,
        RawClient(hive.host_socket) as operator,
    ):
        while True:
            number = (await alice.ask("POST", "/v1/questions", {"text": "Which?", "to": "bob"}))["id"]
            await asyncio.gather(
                bob.ask("POST", f"/v1/questions/{number}/answer", {"text": "b"}),
                operator.ask("POST", f"/api/questions/{number}/answer", {"text": "a"}),
                alice.ask("POST", f"/v1/questions/{number}/cancel", {}),
                return_exceptions=True,
            )
            ended.release()


async def test_killed_at_any_moment_each_question_has_one_end_or_none() -> None:
    with short_place() as place:
        async with hive_process(place) as hive:
            for count, steps in ((1, 0), (5, 3), (20, 9)):
                ended = asyncio.Semaphore(0)
                await hive.start(_AGENTS)
                work = [asyncio.create_task(_ask_and_end(hive, ended)) for _ in range(3)]
                for _ in range(count):
                    await asyncio.wait_for(ended.acquire(), DEADLINE)
                for _ in range(steps):
                    await asyncio.sleep(0)  # the others are somewhere in their requests
                await hive.end(signal.SIGKILL)
                await asyncio.gather(*work, return_exceptions=True)
                with contextlib.closing(sqlite3.connect(hive.database)) as connection:
                    found = dict(connection.execute("SELECT id, status FROM questions").fetchall())
                words = Counter(re.findall(r"our question (\d+) to bob", "\n".join(b for _, _, b in hive.stored())))
                asked = Counter(re.findall(r"This is question (\d+):", "\n".join(b for _, _, b in hive.stored())))
                assert words == Counter(str(number) for number, status in found.items() if status != "open")
                assert asked == Counter(map(str, found)), "each is told to the one who is asked, once"
            assert set(found.values()) & {"answered", "cancelled"}, "it was killed at work"
