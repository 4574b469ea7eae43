"""The stream of changes: numbered, kept for a while, the same for everybody."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from hyperhive.hive import stream as module
from hyperhive.hive.stream import RING, Stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def _stream() -> Stream:
    return Stream(lambda: datetime(2026, 1, 1, tzinfo=UTC))


def _frames(data: bytes) -> list[dict[str, Any]]:
    found = []
    for frame in data.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith(":"))
        if lines:
            payload = json.loads(lines["data"])
            assert lines["id"] == f"{payload['epoch']}.{payload['seq']}"
            found.append(payload)
    return found


async def _next(follower: AsyncIterator[bytes]) -> list[dict[str, Any]]:
    while True:
        frames = _frames(await asyncio.wait_for(anext(follower), 60))
        if frames:
            return frames


async def test_changes_come_as_they_happen() -> None:
    stream = _stream()
    stream.publish("note", {"n": 0})  # type: ignore[arg-type]
    follower = stream.follow(None, None)
    assert await anext(follower) == b": here\n\n"
    waiting = asyncio.create_task(_next(follower))
    await asyncio.sleep(0)
    stream.publish("agent", {"name": "ä\n\ud800"})
    frame = (await waiting)[0]
    assert (frame["type"], frame["seq"], frame["epoch"]) == ("agent", 2, stream.epoch)
    assert frame["data"]["name"].startswith("ä\n")


async def test_whoever_comes_back_gets_what_was_missed_and_nothing_twice() -> None:
    stream = _stream()
    for n in range(5):
        stream.publish("agent", {"n": n})
    follower = stream.follow(2, stream.epoch)
    assert [frame["data"]["n"] for frame in await _next(follower)] == [2, 3, 4]
    stream.publish("agent", {"n": 5})
    assert [frame["data"]["n"] for frame in await _next(follower)] == [5]


async def test_from_the_beginning() -> None:
    stream = _stream()
    stream.publish("agent", {"n": 0})
    assert [frame["seq"] for frame in await _next(stream.follow(0, stream.epoch))] == [1]
    empty = _stream()
    assert await anext(empty.follow(0, empty.epoch)) == b": here\n\n"


@pytest.mark.parametrize(("since", "epoch"), [(1, "another"), (None, "another"), (0, "another"), (99, None)])
async def test_another_epoch_and_a_number_from_the_future_are_told_to_read_again(
    since: int | None, epoch: str | None
) -> None:
    stream = _stream()
    stream.publish("agent", {})
    follower = stream.follow(since, epoch)
    frame = (await _next(follower))[0]
    assert (frame["type"], frame["seq"]) == ("resync", 1)
    stream.publish("agent", {"n": 1})
    assert (await _next(follower))[0]["seq"] == 2


async def test_the_ring_has_an_end() -> None:
    stream = _stream()
    for n in range(RING + 2):
        stream.publish("agent", {"n": n})
    assert (await _next(stream.follow(1, stream.epoch)))[0]["type"] == "resync"
    frames = await _next(stream.follow(2, stream.epoch))
    assert (len(frames), frames[0]["seq"], frames[-1]["seq"]) == (RING, 3, RING + 2)


async def test_a_follower_that_falls_behind_the_ring_is_told() -> None:
    stream = _stream()
    follower = stream.follow(None, None)
    await anext(follower)
    for n in range(RING + 1):
        stream.publish("agent", {"n": n})
    assert [frame["type"] for frame in await _next(follower)] == ["resync"]


async def test_a_silent_stream_says_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BEAT", 0.01)
    follower = _stream().follow(None, None)
    assert await anext(follower) == b": here\n\n"
    assert await anext(follower) == b": here\n\n"


async def test_close_ends_every_follower() -> None:
    stream = _stream()
    follower = stream.follow(None, None)
    await anext(follower)
    ending = asyncio.create_task(anext(follower, None))
    await asyncio.sleep(0)
    stream.close()
    assert await asyncio.wait_for(ending, 60) is None


# --- one agent's part


async def test_a_page_gets_what_is_about_its_agent_and_nothing_else() -> None:
    stream = _stream()
    follower = stream.follow(0, stream.epoch, "alice")
    assert await anext(follower) == b": here\n\n"
    stream.publish("agent", {"name": "bob"})
    stream.publish("agent", {"name": "alice"})
    stream.publish("event", {"agent": "bob"})
    stream.publish("event", {"agent": "alice"})
    stream.publish("operation", {"agent": "alice"})
    stream.publish("operation", {"agent": "bob"})
    stream.publish("question", {"asker": "alice", "to": "bob"})
    stream.publish("question", {"asker": "bob", "to": "alice"})
    stream.publish("message", {"from": "bob", "to": "alice"})
    stream.publish("message", {"from": "bob", "to": "carol"})
    stream.publish("waiting", {"waiting": [{"agent": "alice"}]}, ["alice"])
    stream.publish("warnings", {"warnings": ["alice"]})
    stream.publish("message", lambda: {"from": "alice"})
    stream.publish("message", lambda: {"n": 1}, ("operator", "alice"))
    assert [frame["seq"] for frame in await _next(follower)] == [2, 4, 5, 7, 9, 14]


async def test_changes_of_others_are_not_put_into_words_for_a_page() -> None:
    stream = _stream()

    def never() -> dict[str, Any]:
        raise AssertionError

    follower = stream.follow(None, None, "alice")
    await anext(follower)
    waiting = asyncio.create_task(_next(follower))
    for _ in range(3):
        await asyncio.sleep(0)
        stream.publish("message", never, ("bob", "carol"))
    stream.publish("agent", {"name": "alice"})
    assert [frame["seq"] for frame in await waiting] == [4]


async def test_a_page_is_told_that_the_stream_is_there_however_busy_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BEAT", 0.05)
    stream = _stream()
    follower = stream.follow(None, None, "alice")
    await anext(follower)

    async def busy() -> None:
        while True:
            stream.publish("agent", {"name": "bob"})
            await asyncio.sleep(0.001)

    others = asyncio.create_task(busy())
    assert await asyncio.wait_for(anext(follower), 60) == b": here\n\n"
    others.cancel()


async def test_a_page_that_falls_behind_the_ring_is_told_too() -> None:
    stream = _stream()
    follower = stream.follow(None, None, "alice")
    await anext(follower)
    for n in range(RING + 1):
        stream.publish("agent", {"name": "bob", "n": n})
    assert [frame["type"] for frame in await _next(follower)] == ["resync"]
