"""What harnesses print is followed as it comes, from a real file and from a real program."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from broker_bed import DEADLINE
from hive_bed import running_hive, short_place

from hyperhive.errors import HiveError
from hyperhive.runtime.command import Done, follow_program
from hyperhive.runtime.container_host import ContainerHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx


async def said(answer: httpx.Response) -> AsyncIterator[list[str]]:
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))["lines"]


async def test_lines_come_when_they_are_written_and_each_once() -> None:
    with short_place() as place:
        async with running_hive(place) as hive:
            operator = await hive.operator()
            log = place / "state" / "logs" / "alice.log"
            log.write_text("one\ntwo\nthree\n")
            async with operator.stream("GET", "/api/agents/alice/journal/stream?lines=2") as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                lines = said(answer)
                assert await anext(lines) == ["two", "three"]
                with log.open("a") as file:
                    file.write("four\nhal")
                hive.runtime.on_output("alice")
                assert await asyncio.wait_for(anext(lines), DEADLINE) == ["four"]
                with log.open("a") as file:
                    file.write("f a line\n")
                hive.runtime.on_output("bob")
                hive.runtime.on_output("alice")
                assert await asyncio.wait_for(anext(lines), DEADLINE) == ["half a line"]


async def test_a_log_that_is_begun_anew_is_followed_on() -> None:
    with short_place() as place:
        async with running_hive(place) as hive:
            operator = await hive.operator()
            log = place / "state" / "logs" / "alice.log"
            async with operator.stream("GET", "/api/agents/alice/journal/stream") as answer:
                lines = said(answer)
                assert await anext(lines) == []
                log.write_text("first\n")
                hive.runtime.on_output("alice")
                assert await asyncio.wait_for(anext(lines), DEADLINE) == ["first"]
                with log.open("a") as file:
                    file.write("last of the old\n")
                log.replace(log.with_name("alice.log.1"))
                log.write_text("first of the new\n")
                hive.runtime.on_output("alice")
                assert await asyncio.wait_for(anext(lines), DEADLINE) == ["last of the old", "first of the new"]


async def test_a_daemon_that_ends_lets_go_of_those_who_follow() -> None:
    with short_place() as place:
        async with running_hive(place) as hive:
            operator = await hive.operator()
            request = operator.build_request("GET", "/api/agents/alice/journal/stream")
            answer = await operator.send(request, stream=True)
            assert await anext(said(answer)) == []
        # Left with the stream open: the daemon did not wait for its reader.


async def test_nobody_follows_an_agent_that_is_none() -> None:
    with short_place() as place:
        async with running_hive(place) as hive:
            operator = await hive.operator()
            assert (await operator.get("/api/agents/nobody/journal/stream")).status_code == 404
            assert (await operator.get("/api/agents/alice/journal/stream?lines=0")).status_code == 422


async def test_a_program_is_followed_and_ended_with_whoever_follows(tmp_path: Path) -> None:
    fifo = tmp_path / "words"
    os.mkfifo(fifo)
    chunks = follow_program("sh", "-c", f"echo $$; cat {fifo}; exec sleep 1000")
    async with aclosing(chunks):
        pid = int((await anext(chunks))[0])
        await asyncio.to_thread(fifo.write_text, "one\ntwo\nhalf")
        assert await asyncio.wait_for(anext(chunks), DEADLINE) == ["one", "two"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_program_that_ends_is_the_end() -> None:
    assert [chunk async for chunk in follow_program("sh", "-c", "echo a; exit 3")] == [["a"]]
    with pytest.raises(HiveError, match="no-such-program"):
        await anext(follow_program("no-such-program"))


async def test_a_container_that_is_down_says_what_its_console_said() -> None:
    asked: list[tuple[str, ...]] = []

    async def nothing(*command: str) -> Any:  # noqa: ANN401 - yields nothing
        asked.append(command)
        for line in ():
            yield [line]

    async def console(*_command: str, seconds: float) -> Done:  # noqa: ARG001 - a `Runner`
        return Done(0, "Failed to start\n")

    host = ContainerHost(console, Path("/proc"), nothing)
    assert [chunk async for chunk in host.follow_journal("alice", 5)] == [["Failed to start"]]
    assert "--follow" in asked[0]
    assert "--machine=h-alice" in asked[0]
