"""What the tests of hive, store and web share: brokers and daemons to try, in this process and in one of their own."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
from bare_http import RawClient
from broker_bed import AGENTS, DEADLINE, lay_out
from hive_process import NobodyRuntime

from hyperhive import wire
from hyperhive.config_file import parse_settings
from hyperhive.hive.daemon import Ready, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence


@contextlib.contextmanager
def short_place() -> Iterator[Path]:
    """A directory whose path leaves room for sockets below it."""
    made = Path(tempfile.mkdtemp(prefix="hh-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def settings_json(place: Path, agents: dict[str, Any] | None = None, **more: Any) -> str:  # noqa: ANN401 - JSON
    whole = {
        "version": 1,
        "stateDir": str(place / "state"),
        "dashboard": {"port": 0},
        "manager": {"enable": False},
        "agents": AGENTS if agents is None else agents,
        **more,
    }
    return json.dumps(whole)


def over(socket: Path) -> httpx.AsyncClient:
    """A client of one Unix socket."""
    transport = httpx.AsyncHTTPTransport(uds=str(socket), verify=False, limits=httpx.Limits(max_connections=None))
    return httpx.AsyncClient(transport=transport, base_url="http://hive", timeout=60)


@dataclass
class RunningHive:
    """A daemon in this process."""

    place: Path
    ready: Ready
    runtime: NobodyRuntime
    _clients: contextlib.AsyncExitStack

    @property
    def token(self) -> str:
        return (self.place / "state" / "operator-token").read_text().strip()

    def agent_socket(self, name: str) -> Path:
        return self.place / "state" / "run" / "agents" / name / "hive.sock"

    async def agent(self, name: str) -> httpx.AsyncClient:
        """A client of an agent's socket, closed with the hive."""
        return await self._clients.enter_async_context(over(self.agent_socket(name)))

    async def operator(self) -> httpx.AsyncClient:
        """A client of host.sock."""
        return await self._clients.enter_async_context(over(self.ready.host_socket))

    async def browser(self, token: str | None = None) -> httpx.AsyncClient:
        """A client of the dashboard's port."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.ready.port}", headers=headers, timeout=60)
        return await self._clients.enter_async_context(client)


@contextlib.asynccontextmanager
async def running_hive(place: Path, agents: dict[str, Any] | None = None, **more: Any) -> AsyncIterator[RunningHive]:  # noqa: ANN401
    """A daemon in this process, until the end of the block."""
    settings = parse_settings(settings_json(place, agents, **more))
    ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
    umask = os.umask(0o077)
    lay_out(place)
    runtime = NobodyRuntime(settings.agents)
    task = asyncio.create_task(run(settings, runtime=runtime, on_ready=ready.set_result))
    try:
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        async with contextlib.AsyncExitStack() as clients:
            yield RunningHive(place, await ready, runtime, clients)
    finally:
        task.cancel()
        # Waited for, not awaited: one that failed raises what the block has raised already.
        await asyncio.wait({task})
        os.umask(umask)
    if not task.cancelled():
        task.result()


@functools.cache
def _fork_server() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    program = str(Path(__file__).with_name("hive_process.py"))
    command = [sys.executable, program, "--fork-server", str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


class HiveProcess:
    """A daemon in a process of its own, to be killed."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.log = place / "log"
        self.ready: dict[str, Any] = {}
        self._lines: asyncio.StreamReader
        self._transport: asyncio.ReadTransport
        self._pid: int | None = None

    @property
    def database(self) -> Path:
        return self.place / "state" / "hive.sqlite"

    @property
    def host_socket(self) -> Path:
        return self.place / "state" / "run" / "host.sock"

    @property
    def pid(self) -> int:
        assert self._pid is not None
        return self._pid

    @property
    def running(self) -> int | None:
        """Its process, while there is one."""
        return self._pid

    def agent_socket(self, name: str) -> Path:
        return self.place / "state" / "run" / "agents" / name / "hive.sock"

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    async def spawn(self, agents: dict[str, Any] | None = None, **more: Any) -> None:  # noqa: ANN401 - JSON
        """Start it, and do not wait until it answers."""
        assert self._pid is None
        config = self.place / "config.json"
        config.write_text(settings_json(self.place, agents, **more))
        lay_out(self.place)
        read, write = os.pipe()
        with self.log.open("ab") as log:
            socket.send_fds(_fork_server(), [str(config).encode()], [write, log.fileno()])
        os.close(write)
        self._lines = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(self._lines)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(read, "rb"))
        while self._pid is None:
            self._pid = (await self._line()).get("pid")

    async def _line(self) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE):
            line: dict[str, Any] = json.loads(await self._lines.readline())
        if "port" in line:
            self.ready = line
        return line

    async def start(self, agents: dict[str, Any] | None = None, **more: Any) -> Self:  # noqa: ANN401 - JSON
        """Start it, and wait until it answers."""
        self.ready = {}
        await self.spawn(agents, **more)
        while not self.ready:
            line = await self._line()
            assert "exit" not in line, self.text()
        return self

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit code."""
        os.kill(self.pid, number)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for the end; the exit code."""
        while "exit" not in (line := await self._line()):
            pass
        self._transport.close()
        self._pid = None
        code: int = line["exit"]
        return code

    async def kill(self) -> None:
        """Whatever it does, it ends; perhaps it has, and nobody has read that yet."""
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            await self.ended()

    def stored(self) -> list[tuple[int, str, str]]:
        """(id, sender, body) of every message, read by nobody's code but sqlite's."""
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            return connection.execute("SELECT id, sender, body FROM messages ORDER BY id").fetchall()


@contextlib.asynccontextmanager
async def hive_process(place: Path) -> AsyncIterator[HiveProcess]:
    """A daemon in a process of its own, not started yet, killed at the end."""
    hive = HiveProcess(place)
    try:
        yield hive
    finally:
        await hive.kill()


class DaemonBed:
    """A daemon through its sockets. Is a `BrokerRig`, without time and statements."""

    def __init__(self, hive: HiveProcess) -> None:
        self._hive = hive
        self._agents = dict(AGENTS)
        self._clients: dict[str, RawClient] = {}

    async def open(self) -> Self:
        await self._hive.start(self._agents)
        return self

    async def close(self) -> None:
        await self._hang_up()
        assert await self._hive.end(signal.SIGTERM) == 0, self._hive.text()
        assert "Traceback" not in self._hive.text()

    async def _hang_up(self) -> None:
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    async def _call(self, who: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        if who not in self._clients:
            self._clients[who] = RawClient(
                self._hive.host_socket if who == "operator" else self._hive.agent_socket(who)
            )
        return await self._clients[who].ask("GET" if body is None else "POST", path, body)

    async def send(
        self, sender: str, to: str, body: str = "hello", *, reply_to: int | None = None, key: str | None = None
    ) -> wire.SendAnswer:
        request = {"to": to, "body": body, "inReplyTo": reply_to, "idempotencyKey": key}
        path = "/api/messages" if sender == "operator" else "/v1/messages"
        return wire.SendAnswer.model_validate(await self._call(sender, path, request))

    async def recv(
        self, agent: str, *, wait: float = 0, most: int = 1, holding: Sequence[int] = (), instance: str | None = "first"
    ) -> wire.RecvAnswer:
        request = {"waitSeconds": wait, "max": most, "holding": list(holding), "instance": instance}
        return wire.RecvAnswer.model_validate(await self._call(agent, "/v1/recv", request))

    async def outcome(
        self, agent: str, ids: Sequence[int], kind: wire.OutcomeKind, reason: str | None = None
    ) -> wire.OutcomeAnswer:
        request = {"ids": list(ids), "outcome": kind, "reason": reason}
        return wire.OutcomeAnswer.model_validate(await self._call(agent, "/v1/outcome", request))

    async def parked(self, agent: str) -> None:
        # The daemon is one loop: what was written to it before is under way before later round trips are answered.
        for _ in range(8):
            await self._call(agent, "/v1/self")

    async def restart(self, *, kill: bool) -> None:
        await self._hang_up()
        code = await self._hive.end(signal.SIGKILL if kill else signal.SIGTERM)
        assert code == (-signal.SIGKILL if kill else 0), self._hive.text()
        await self._hive.start(self._agents)

    async def destroy(self, agent: str) -> None:
        del self._agents[agent]
        if agent == "alice":  # whom dave may write to must exist
            self._agents["dave"] = {"allowedRecipients": ["manager"]}
        await self.restart(kill=False)

    async def revive(self, agent: str) -> None:
        self._agents[agent] = AGENTS[agent]
        await self.restart(kill=False)

    async def inbox(self) -> list[int]:
        found = await self._call("operator", "/api/inbox?limit=2000")
        return sorted(message["id"] for message in found["messages"])

    async def acknowledge(self, ids: Sequence[int]) -> list[int]:
        acked: list[int] = (await self._call("operator", "/api/inbox/ack", {"ids": list(ids)}))["acked"]
        return acked

    async def dead_letters(self) -> list[int]:
        found = await self._call("operator", "/api/dead-letters")
        return sorted(message["id"] for message in found["messages"])

    async def requeue(self, message: int) -> None:
        await self._call("operator", f"/api/dead-letters/{message}/requeue", {})

    async def discard(self, message: int) -> None:
        await self._call("operator", f"/api/dead-letters/{message}/discard", {})

    def advance(self, seconds: float) -> None:
        msg = "a daemon's time cannot be moved"
        raise NotImplementedError(msg)

    def statements(self) -> int:
        msg = "a daemon's statements are not counted"
        raise NotImplementedError(msg)
