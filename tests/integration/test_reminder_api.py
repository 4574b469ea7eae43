"""Reminders, schedules and loose ends through the sockets of a daemon, and a daemon that is killed while they fire."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from bare_http import RawClient
from broker_bed import DEADLINE
from hive_bed import HiveProcess, RunningHive, hive_process, running_hive, short_place
from lifecycle_bed import life

from hyperhive.client import HiveClient
from hyperhive.clock import rfc3339
from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_AGENTS: dict[str, Any] = {
    "alice": {"schedules": {"morning": {"cron": "0 8 * * *", "message": "Good morning."}}},
    "bob": {},
}


@pytest_asyncio.fixture
async def hive() -> AsyncIterator[RunningHive]:
    with short_place() as place:
        async with running_hive(place, _AGENTS, timeZone="Asia/Tokyo") as running:
            yield running


async def _error(answer: Any) -> tuple[int, str]:  # noqa: ANN401 - an answer
    return answer.status_code, answer.json()["error"]["code"]


async def test_an_agent_is_reminded_by_its_hive(hive: RunningHive) -> None:
    alice, bob = await hive.agent("alice"), await hive.agent("bob")
    async with HiveClient(hive.ready.host_socket) as operator:
        before = await operator.state()
        waiting = asyncio.create_task(alice.post("/v1/recv", json={"waitSeconds": 30}))
        request = {"message": "look", "delaySeconds": 1, "idempotencyKey": "k"}
        made = await alice.post("/v1/reminders", json=request)
        assert (made.status_code, made.json()["status"]) == (201, "pending")
        assert (await alice.post("/v1/reminders", json=request)).json() == made.json()
        (delivery,) = (await waiting).json()["deliveries"]
        assert delivery["from"] == "reminder"
        assert delivery["body"].endswith("\n\nlook")
        assert rfc3339(datetime.now(UTC)) >= made.json()["at"]
        (row,) = (await operator.reminders()).reminders
        assert (row.agent, row.status, row.message_id) == ("alice", "fired", delivery["id"])
        async with contextlib.aclosing(operator.stream(before.seq, before.epoch)) as changes:
            async with asyncio.timeout(DEADLINE):
                told = [(await anext(changes)).type for _ in range(3)]
        assert "reminder" in told
        again = await bob.post("/v1/reminders", json={"message": "mine", "at": "2999-01-01T00:00:00Z"})
        assert await _error(again) == (422, "malformed")


async def test_reminders_are_listed_and_cancelled_by_both_sides(hive: RunningHive) -> None:
    alice, bob = await hive.agent("alice"), await hive.agent("bob")
    for _ in range(3):
        await alice.post("/v1/reminders", json={"message": "later", "delaySeconds": 3600})
    assert await _error(await bob.delete("/v1/reminders/1")) == (404, "unknown_reminder")
    assert (await alice.delete("/v1/reminders/1")).json()["status"] == "cancelled"
    async with HiveClient(hive.ready.host_socket) as operator:
        assert (await operator.cancel_reminder(2)).ended_by == "operator"
        with pytest.raises(HiveError, match="was cancelled"):
            await operator.cancel_reminder(2)
        found = await operator.reminders(status="pending")
        assert [row.id for row in found.reminders] == [3]
        (schedule,) = found.schedules
        assert (schedule.agent, schedule.name, schedule.rule) == ("alice", "morning", "cron 0 8 * * * (Asia/Tokyo)")
        assert schedule.next_at is not None
        assert schedule.next_at.hour == 23
        assert (await operator.reminders(agent="bob")).schedules == []
        assert [entry.action for entry in await operator.audit()] == ["cancel-reminder"]


async def test_loose_ends_of_an_agent(hive: RunningHive) -> None:
    alice, bob = await hive.agent("alice"), await hive.agent("bob")
    assert (await alice.get("/v1/loose-ends")).json() == {"ends": [], "unread": 0}
    await alice.post("/v1/questions", json={"text": "Which?", "ttlSeconds": 60})
    await bob.post("/v1/questions", json={"text": "When?" * 500, "to": "alice"})
    await alice.post("/v1/reminders", json={"message": "later", "delaySeconds": 3600})
    found = (await alice.get("/v1/loose-ends")).json()
    kinds = [(end["kind"], end["id"], end["who"]) for end in found["ends"]]
    assert kinds == [("question", 1, "operator"), ("to_answer", 2, "bob"), ("reminder", 1, None)]
    assert found["unread"] == 1
    assert len(found["ends"][1]["text"]) < 600
    async with HiveClient(hive.ready.host_socket) as operator:
        assert [end.kind for end in (await operator.loose_ends("alice")).ends] == [kind for kind, _id, _who in kinds]
    assert await _error(await alice.delete("/v1/loose-ends/to_answer/2")) == (403, "not_allowed")
    assert await _error(await bob.delete("/v1/loose-ends/question/1")) == (403, "not_allowed")
    assert await _error(await bob.delete("/v1/loose-ends/reminder/1")) == (404, "unknown_reminder")
    assert await _error(await alice.delete("/v1/loose-ends/message/1")) == (422, "malformed")
    assert (await alice.delete("/v1/loose-ends/question/1")).json() == {"ok": True}
    assert (await alice.delete("/v1/loose-ends/reminder/1")).json() == {"ok": True}
    found = (await alice.get("/v1/loose-ends")).json()
    assert [end["kind"] for end in found["ends"]] == ["to_answer"]


async def test_a_purge_takes_reminders_and_what_they_became() -> None:
    with short_place() as place:
        async with life(place, {"alice": {}}) as hive, HiveClient(place / "state/run/host.sock") as operator:
            await hive.running("alice")
            alice = RawClient(hive.agent_socket("alice"))
            for seconds in (1, 3600):
                await alice.ask("POST", "/v1/reminders", {"message": "look", "delaySeconds": seconds})
            await alice.close()
            async with asyncio.timeout(DEADLINE):
                while (await operator.agent("alice")).unread == 0:  # noqa: ASYNC110 - until the second has passed
                    await asyncio.sleep(0.05)
            await operator.destroy("alice")
            await operator.purge("alice")
            assert (await operator.reminders()).reminders == []
            (message,) = await operator.messages(sender="reminder")
            assert message.state == "discarded"


async def _made(hive: HiveProcess, due: dict[int, str], count: int) -> None:
    """Reminders of one agent that come due over half a second, about a second from now."""
    client = RawClient(hive.agent_socket("alice"))
    start = datetime.now(UTC) + timedelta(seconds=0.6)
    for number in range(count):
        at = start + timedelta(milliseconds=20 * number)
        made = await client.ask("POST", "/v1/reminders", {"message": f"look {number}", "at": at.isoformat()})
        due[made["id"]] = made["at"]
    await client.close()


async def test_a_daemon_that_is_killed_while_they_fire_fires_each_once() -> None:
    due: dict[int, str] = {}
    draw = random.Random(5)  # noqa: S311 - moments, not secrets
    with short_place() as place:
        async with hive_process(place) as hive:
            for _ in range(4):
                await hive.start({"alice": {}, "bob": {}})
                await _made(hive, due, 12)
                await asyncio.sleep(0.6 + draw.random() * 0.3)
                await hive.end(signal.SIGKILL)
            await hive.start({"alice": {}, "bob": {}})
            operator = RawClient(hive.host_socket)
            async with asyncio.timeout(DEADLINE):
                while (await operator.ask("GET", "/api/reminders?status=pending", None))["reminders"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            listed = (await operator.ask("GET", "/api/messages?from=reminder&limit=200", None))["messages"]
            await operator.close()
            await hive.end(signal.SIGTERM)
            assert "Traceback" not in hive.text()
            sent = Counter(int(re.findall(r"\(reminder (\d+)\)", body)[0]) for _id, _sender, body in hive.stored())
            assert sent == Counter(due.keys())
            for message in listed:
                number = int(re.findall(r"\(reminder (\d+)\)", message["body"])[0])
                assert message["sentAt"] >= due[number], "it came early"
            order = [int(re.findall(r"\(reminder (\d+)\)", body)[0]) for _id, _sender, body in hive.stored()]
            assert order == sorted(order), "they came in another order than they were due"
