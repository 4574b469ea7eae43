"""Being told when not looking, against a real listener and real programs: each thing once, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import pytest
from broker_bed import DEADLINE
from hive_bed import hive_process, over, running_hive

from hyperhive.hive import notify, notify_ways

if TYPE_CHECKING:
    from pathlib import Path

    from hive_bed import RunningHive

_AGENTS: dict[str, Any] = {"alice": {}, "bob": {}}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_SETTLE", 0.1)
    monkeypatch.setattr(notify, "_FIRST_WAIT", 0.1)
    monkeypatch.setattr(notify, "_WINDOW", 1.0)
    monkeypatch.setattr(notify, "_LAST", DEADLINE)


@dataclass
class Post:
    """One text that came."""

    headers: dict[str, str]
    body: str


@dataclass
class Listener:
    """A listener such as ntfy: takes POSTs, with the status that the test wants, and when `free` is set."""

    status: int = 200
    free: asyncio.Event = field(default_factory=asyncio.Event)
    posts: list[Post] = field(default_factory=list)
    port: int = 0
    #: Something has come, and was perhaps not answered yet.
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _refused: int = 0

    def __post_init__(self) -> None:
        self.free.set()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.shut()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        if self._server:
            self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = (await reader.readexactly(int(headers["content-length"]))).decode()
            assert head[0].startswith("POST /secret-topic ")
            self.begun.set()
            await self.free.wait()
            if self.status == 200:
                self.posts.append(Post(headers, body))
            self._refused += self.status != 200
            writer.write(f"HTTP/1.1 {self.status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()
            self._came.set()
        writer.close()

    async def until(self, posts: int, refused: int = 0) -> list[Post]:
        async with asyncio.timeout(DEADLINE):
            while len(self.posts) < posts or self._refused < refused:
                self._came.clear()
                await self._came.wait()
        return self.posts

    async def tried_again(self) -> None:
        """Wait until it was told, and refused, what waits now: one try may have begun before."""
        await self.until(0, refused=self._refused + 2)

    def settings(self, place: Path) -> dict[str, Any]:
        file = place / "address"
        file.write_text(f"http://127.0.0.1:{self.port}/secret-topic\n")
        return {"urlFile": str(file)}


async def write_operator(hive: RunningHive, agent: str, body: str = "hello") -> None:
    await (await hive.agent(agent)).post("/v1/messages", json={"to": "operator", "body": body})


async def acknowledge_all(hive: RunningHive) -> None:
    operator = await hive.operator()
    inbox = (await operator.get("/api/inbox")).json()["messages"]
    await operator.post("/api/inbox/ack", json={"ids": [message["id"] for message in inbox]})


async def report(hive: RunningHive, agent: str, state: str) -> None:
    client = await hive.agent(agent)
    await client.post("/v1/commands", json={"waitSeconds": 0})
    await client.post("/v1/report", json={"state": state})


async def warnings_of(hive: RunningHive) -> list[str]:
    state: dict[str, Any] = (await (await hive.operator()).get("/api/state")).json()
    warnings: list[str] = state["warnings"]
    return warnings


@pytest.mark.usefixtures("quick")
async def test_a_batch_of_mail_is_told_once_without_its_words_and_without_a_token(place: Path) -> None:
    async with Listener() as listener, running_hive(place, _AGENTS, notifications=listener.settings(place)) as hive:
        await write_operator(hive, "alice", "attack at dawn")
        (post,) = await listener.until(1)
        assert post.headers["content-type"] == "text/plain; charset=utf-8"
        assert post.headers["title"].endswith(": a message")
        assert post.headers["click"] == f"http://localhost:{hive.ready.port}/"
        assert post.body == f"1 message for you\nhttp://localhost:{hive.ready.port}/"
        assert hive.token not in str(post)
        await write_operator(hive, "bob")
        await acknowledge_all(hive)
        await write_operator(hive, "bob", "a new batch")
        assert len(await listener.until(2)) == 2
        assert listener.posts[1].body.startswith("1 message for you")


@pytest.mark.usefixtures("quick")
async def test_a_login_is_told_once_with_the_way_there_also_over_a_restart(place: Path) -> None:
    async with Listener() as listener:
        settings = {
            "notifications": listener.settings(place),
            "dashboard": {"port": 0, "allowedHosts": ["hive.example"]},
        }
        async with running_hive(place, _AGENTS, **settings) as hive:
            await report(hive, "alice", "needs_login")
            (post,) = await listener.until(1)
            assert post.body == "alice needs a login\nhttps://hive.example/agents/alice/"
        async with running_hive(place, _AGENTS, **settings) as hive:
            await report(hive, "alice", "needs_login")
            await report(hive, "bob", "needs_login")
            assert (await listener.until(2))[1].body.startswith("bob needs a login")
            # It was settled, and is wanted anew.
            await report(hive, "alice", "idle")
            await report(hive, "alice", "needs_login")
            assert (await listener.until(3))[2].body.startswith("alice needs a login")
        assert stat.S_IMODE((place / "state" / "told-url.json").stat().st_mode) == 0o600
        assert len(listener.posts) == 3


@pytest.mark.usefixtures("quick")
async def test_what_was_settled_while_the_hive_was_away_is_told_when_it_begins_anew(place: Path) -> None:
    async with Listener() as listener:
        settings = {"notifications": listener.settings(place)}
        async with running_hive(place, _AGENTS, **settings) as hive:
            await report(hive, "alice", "needs_login")
            await listener.until(1)
        async with running_hive(place, _AGENTS, **settings) as hive:
            await report(hive, "alice", "idle")
            await report(hive, "alice", "needs_login")
            await listener.until(2)


async def test_after_a_kill_nothing_is_told_again(place: Path) -> None:
    async with Listener() as listener, hive_process(place) as hive:
        settings = {"notifications": listener.settings(place)}
        await hive.start(_AGENTS, **settings)
        async with over(hive.agent_socket("alice")) as alice:
            await alice.post("/v1/messages", json={"to": "operator", "body": "hello"})
            await listener.until(1)
            told = place / "state" / "told-url.json"
            async with asyncio.timeout(DEADLINE):
                while True:
                    if told.exists():
                        break
                    await asyncio.sleep(0.01)
        await hive.end(signal.SIGKILL)
        await hive.start(_AGENTS, **settings)
        async with over(hive.agent_socket("bob")) as bob:
            await bob.post("/v1/commands", json={"waitSeconds": 0})
            await bob.post("/v1/report", json={"state": "needs_login"})
        assert [post.body.split("\n")[0] for post in await listener.until(2)] == [
            "1 message for you",
            "bob needs a login",
        ]
        assert "secret-topic" not in hive.text()


@pytest.mark.usefixtures("quick")
async def test_while_nobody_listens_it_waits_and_says_so_without_the_address(place: Path) -> None:
    listener = Listener()
    await listener.open()
    await listener.shut()
    async with running_hive(place, _AGENTS, notifications=listener.settings(place)) as hive:
        await write_operator(hive, "alice")
        async with asyncio.timeout(DEADLINE):
            while True:
                if warnings := await warnings_of(hive):
                    break
                await asyncio.sleep(0.05)
        assert warnings[0].startswith("notifications.urlFile: ")
        assert "secret-topic" not in str(warnings)
        listener.status = 500
        await listener.open()
        await listener.until(0, refused=2)
        listener.status = 200
        await listener.until(1)
        async with asyncio.timeout(DEADLINE):
            while True:
                if not await warnings_of(hive):
                    break
                await asyncio.sleep(0.05)
        assert len(listener.posts) == 1
    await listener.shut()


@pytest.mark.usefixtures("quick")
async def test_what_is_settled_before_it_could_be_told_is_not_told(place: Path) -> None:
    async with (
        Listener(status=500) as listener,
        running_hive(place, _AGENTS, notifications=listener.settings(place)) as hive,
    ):
        await write_operator(hive, "alice")
        await acknowledge_all(hive)
        await report(hive, "bob", "needs_login")
        await listener.tried_again()
        listener.status = 200
        assert (await listener.until(1))[0].body.startswith("bob needs a login")


@pytest.mark.usefixtures("quick")
async def test_what_begins_anew_while_it_is_told_is_told_anew(place: Path) -> None:
    async with Listener() as listener, running_hive(place, _AGENTS, notifications=listener.settings(place)) as hive:
        listener.free.clear()
        await write_operator(hive, "alice")
        await asyncio.wait_for(listener.begun.wait(), DEADLINE)
        await acknowledge_all(hive)
        await write_operator(hive, "bob", "what nobody has seen")
        listener.free.set()
        assert [post.body.split("\n")[0] for post in await listener.until(2)] == ["1 message for you"] * 2
        listener.free.clear()
        listener.begun.clear()
        await acknowledge_all(hive)
        await write_operator(hive, "alice")
        await asyncio.wait_for(listener.begun.wait(), DEADLINE)
        await acknowledge_all(hive)
        listener.free.set()
        await listener.until(3)
        await write_operator(hive, "bob")
        await listener.until(4)


@pytest.mark.usefixtures("quick")
async def test_many_at_once_are_one_text(place: Path) -> None:
    agents: dict[str, Any] = {f"agent{n}": {} for n in range(8)}
    async with (
        Listener(status=500) as listener,
        running_hive(place, agents, notifications=listener.settings(place)) as hive,
    ):
        await asyncio.gather(*(report(hive, name, "needs_login") for name in agents))
        await listener.tried_again()
        listener.status = 200
        (post,) = await listener.until(1)
        lines = post.body.split("\n")
        assert lines[0] == "8 things wait for you"
        assert len(lines) == 1 + 5 + 1 + 1
        assert lines[6] == "and 3 more"
        assert lines[7] == post.headers["click"] == f"http://localhost:{hive.ready.port}/"


@pytest.mark.usefixtures("quick")
async def test_what_keeps_coming_is_told_together_after_five(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agents: dict[str, Any] = {f"agent{n}": {} for n in range(9)}
    held, go, pause = asyncio.Event(), asyncio.Event(), notify._Way._pause
    monkeypatch.setattr(notify, "_WINDOW", 3600)

    def until_we_say(way: notify._Way) -> float:
        """As long as it takes to report the others, where it would be the rest of the hour."""
        if (seconds := pause(way)) > 0:
            assert 3500 < seconds <= 3600
            held.set()
        return 0.01 if held.is_set() and not go.is_set() else 0

    monkeypatch.setattr(notify._Way, "_pause", until_we_say)
    async with Listener() as listener, running_hive(place, agents, notifications=listener.settings(place)) as hive:
        for n in range(5):
            await report(hive, f"agent{n}", "needs_login")
            await listener.until(n + 1)
        for n in range(5, 9):
            await report(hive, f"agent{n}", "needs_login")
        await asyncio.wait_for(held.wait(), DEADLINE)
        assert len(listener.posts) == 5
        go.set()
        assert (await listener.until(6))[5].body.startswith("4 things wait for you\nagent5 needs a login\n")


# --- a program


def program(place: Path, text: str) -> list[str]:
    path = place / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return [str(path), "$(touch never)", "a; b"]


def written(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def appears(path: Path, text: str) -> str:
    async with asyncio.timeout(DEADLINE):
        while True:
            if text in (said := written(path)):
                return said
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("quick")
async def test_a_program_gets_one_line_and_its_arguments_as_they_are(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_FDS", "7")
    out = place / "out"
    command = program(place, f'printf "%s|%s|%s|" "$1" "$2" "$LISTEN_FDS" >> {out}; cat >> {out}; echo end >> {out}')
    async with running_hive(place, _AGENTS, notifications={"command": command}) as hive:
        await report(hive, "alice", "needs_login")
        said = await appears(out, "end")
        link = f"http://localhost:{hive.ready.port}/agents/alice/"
        assert said == f"$(touch never)|a; b||alice needs a login - {link}\nend\n"


@pytest.mark.usefixtures("quick")
async def test_a_program_that_hangs_is_ended_and_one_that_fails_is_run_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, run_command = place / "out", notify_ways.run_command

    async def run(*arguments: Any) -> None:  # noqa: ANN401 - passed on
        # As long as it takes, but for the first one that gets as far as to hang.
        monkeypatch.setattr(notify_ways, "_COMMAND", DEADLINE if written(out) else 0.5)
        await run_command(*arguments)

    monkeypatch.setattr(notify, "run_command", run)
    count = f"$(wc -l < {out})"
    script = f"echo $$ >> {out}; [ {count} -eq 1 ] && sleep 1000; [ {count} -eq 2 ] && exit 3; echo end >> {out}"
    async with running_hive(place, _AGENTS, notifications={"command": program(place, script)}) as hive:
        await report(hive, "alice", "needs_login")
        pids = (await appears(out, "end")).split()[:-1]
        assert len(pids) == 3
        for pid in pids[:2]:
            with pytest.raises(ProcessLookupError):
                os.kill(int(pid), 0)


@pytest.mark.usefixtures("quick")
async def test_one_way_that_fails_does_not_hold_up_or_double_the_other(place: Path) -> None:
    async with Listener() as listener:
        notifications = {**listener.settings(place), "command": ["/nonexistent/program"]}
        async with running_hive(place, _AGENTS, notifications=notifications) as hive:
            await report(hive, "alice", "needs_login")
            await listener.until(1)
            async with asyncio.timeout(DEADLINE):
                while True:
                    if any("/nonexistent/program" in text for text in await warnings_of(hive)):
                        break
                    await asyncio.sleep(0.05)
            await report(hive, "bob", "needs_login")
            await listener.until(2)
            assert len(listener.posts) == 2
    assert json.loads((place / "state" / "told-url.json").read_text()) == ["needs_login-alice", "needs_login-bob"]
