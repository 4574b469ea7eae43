"""A real daemon in this process whose agents are the test: they poll, receive and report when the test says so.

Whatever the daemon does, at its end there is no task left of it, and nothing in the log that nobody expected.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from unittest import mock

from bare_http import GoneError, RawClient
from broker_bed import DEADLINE, FakeClock, lay_out, refused
from hive_bed import settings_json
from in_flight import in_flight

from hyperhive.config_file import parse_settings
from hyperhive.errors import HiveError
from hyperhive.hive.daemon import Ready, run
from hyperhive.runtime.base import Owner
from hyperhive.testing.fake_runtime import FakeRuntime

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from hyperhive.hive.limits import Limits

Change = dict[str, Any]


def fake_runtime(**more: Any) -> FakeRuntime:  # noqa: ANN401 - passed on
    """A runtime whose agents have our own uid: the test connects as any of them."""
    return FakeRuntime(Owner(os.geteuid(), os.getegid(), os.geteuid()), **more)


async def quiet(ask: Callable[[], Awaitable[object]], steps: int = 8) -> None:
    """Ask the daemon of this process for anything until it is done with all that it was about to do at once.

    It is one loop, so what came to it before is under way once it has answered a few times; what it waits for from its
    disk is done, and what follows from that.
    """
    async with asyncio.timeout(DEADLINE):
        while True:
            for _ in range(steps):
                await ask()
            if not (waited := in_flight()):
                return
            await asyncio.wait(waited)


@contextlib.contextmanager
def moved_time(clock: FakeClock) -> Iterator[None]:
    """For daemons that begin in the block, time passes when the clock is told to; they look at it all the time."""
    with mock.patch("hyperhive.hive.daemon.utc_now", clock), mock.patch("hyperhive.hive.deadlines._LOOK", 0.02):
        yield


class Watch:
    """Reads the stream from now on, and keeps what came."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._news = asyncio.Condition()
        self._position = 0
        self._task: asyncio.Task[None] | None = None

    async def open(self, socket: Path) -> Self:
        here = asyncio.Event()
        self._task = asyncio.create_task(self._read(socket, here))
        async with asyncio.timeout(DEADLINE):
            await here.wait()
        return self

    async def _read(self, socket: Path, here: asyncio.Event) -> None:
        reader, writer = await asyncio.open_unix_connection(str(socket), limit=2**22)
        try:
            writer.write(b"GET /api/stream HTTP/1.1\r\nHost: hive\r\n\r\n")
            # The daemon writes whole lines, so that its chunks need not be taken apart.
            async for line in reader:
                if line == b": here\n":
                    here.set()
                elif line.startswith(b"data: "):
                    self.changes.append(json.loads(line.removeprefix(b"data: ")))
                    async with self._news:
                        self._news.notify_all()
        finally:
            writer.close()

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def until(self, wanted: Callable[[Change], bool]) -> Change:
        """The next change that is wanted; the ones before it are passed over for good."""
        self._position, found = await self.since(self._position, wanted)
        return found

    async def since(self, position: int, wanted: Callable[[Change], bool]) -> tuple[int, Change]:
        """The first change that is wanted from a place in the list on, and the place after it."""
        async with asyncio.timeout(DEADLINE), self._news:
            while True:
                while position < len(self.changes):
                    position += 1
                    if wanted(self.changes[position - 1]):
                        return position, self.changes[position - 1]
                await self._news.wait()

    def skip(self) -> None:
        """What came so far is old."""
        self._position = len(self.changes)

    def rows(self, name: str) -> list[Change]:
        """All that was told of an agent so far."""
        return [c["data"] for c in self.changes if c["type"] == "agent" and c["data"]["name"] == name]

    async def agent(self, name: str, **fields: Any) -> Change:  # noqa: ANN401 - JSON
        """The next row of an agent that has these fields."""

        def wanted(change: Change) -> bool:
            row = change["data"]
            return change["type"] == "agent" and row["name"] == name and fields.items() <= row.items()

        row: Change = (await self.until(wanted))["data"]
        return row

    async def operation(self, agent: str, kind: str, status: str) -> Change:
        """The next change of an operation."""
        fields = {"agent": agent, "kind": kind, "status": status}
        row: Change = (await self.until(lambda c: c["type"] == "operation" and fields.items() <= c["data"].items()))[
            "data"
        ]
        return row


@dataclass
class Harness:
    """What runs in an agent, played by the test."""

    name: str
    client: RawClient
    instance: str = "first"
    parked: list[asyncio.Task[Any]] = field(default_factory=list)

    async def ask(self, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        return await self.client.ask("GET" if body is None else "POST", path, body)

    async def up(self, state: str = "idle") -> Self:
        """The first poll, and the first report."""
        await self.ask("/v1/commands", {})
        return await self.report(state)

    async def report(self, state: str, **more: Any) -> Self:  # noqa: ANN401 - JSON
        await self.ask("/v1/report", {"state": state, **more})
        return self

    async def recv(self, *, most: int = 32, holding: tuple[int, ...] = ()) -> list[Change]:
        """What is handed out now."""
        body = {"max": most, "holding": list(holding), "instance": self.instance}
        found: list[Change] = (await self.ask("/v1/recv", body))["deliveries"]
        return found

    async def park(self, path: str = "/v1/recv", **body: Any) -> asyncio.Task[Any]:  # noqa: ANN401 - JSON
        """A request that waits, and does when this returns."""
        if path == "/v1/recv":
            body |= {"instance": self.instance}
        task = asyncio.create_task(self.ask(path, {"waitSeconds": 60, **body}))
        self.parked.append(task)
        await quiet(lambda: self.ask("/v1/self"))
        return task

    async def outcome(self, *ids: int, kind: str = "settled") -> None:
        await self.ask("/v1/outcome", {"ids": list(ids), "outcome": kind})

    async def close(self) -> None:
        for task in self.parked:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, GoneError, HiveError):
                await task
        await self.client.close()


class Life:
    """A daemon, its runtime, its operator and its agents."""

    def __init__(self, place: Path, runtime: FakeRuntime, operator: RawClient, watch: Watch) -> None:
        self.place = place
        self.runtime = runtime
        self.operator = operator
        self.watch = watch
        self.raw: str | None = None
        #: Whether the daemon is ended by a signal, not by its task's end.
        self.leave_in_order = False
        self._harnesses: list[Harness] = []

    def agent_socket(self, name: str) -> Path:
        return self.place / "state" / "run" / "agents" / name / "hive.sock"

    def harness(self, name: str, instance: str = "first") -> Harness:
        """A harness of an agent, on connections of its own."""
        made = Harness(name, RawClient(self.agent_socket(name)), instance)
        self._harnesses.append(made)
        return made

    async def up(self, name: str, instance: str = "first") -> Harness:
        """Wait until the runtime started it, and report as its harness."""
        await self.running(name)
        return await self.harness(name, instance).up()

    async def running(self, *names: str) -> None:
        """Wait until these run."""
        async with asyncio.timeout(DEADLINE):
            while not self.runtime.running() >= set(names):  # noqa: ASYNC110 - a start that ends tells nobody
                await asyncio.sleep(0)  # one step of the loop that starts

    async def settled(self, steps: int = 8) -> None:
        """Everything that the daemon was about to do at once is done."""
        await quiet(lambda: self.operator.ask("GET", "/healthz"), steps)

    async def row(self, name: str) -> Change:
        found: Change = await self.operator.ask("GET", f"/api/agents/{name}")
        return found

    async def do(self, name: str, action: str) -> Change:
        done: Change = await self.operator.ask("POST", f"/api/agents/{name}/{action}")
        return done

    def doing(self, name: str, action: str) -> asyncio.Task[Change]:
        """The same, not waited for."""
        return asyncio.create_task(self.do(name, action))

    async def tombstone(self, name: str) -> Change | None:
        found = (await self.operator.ask("GET", "/api/tombstones"))["tombstones"]
        return next((row for row in found if row["name"] == name), None)

    async def purge(self, name: str) -> Change:
        done: Change = await self.operator.ask("POST", f"/api/tombstones/{name}/purge", {"name": name})
        return done

    async def revive(self, name: str) -> Change:
        done: Change = await self.operator.ask("POST", f"/api/tombstones/{name}/revive")
        return done

    async def send(self, to: str, body: str = "hello") -> int:
        number: int = (await self.operator.ask("POST", "/api/messages", {"to": to, "body": body}))["id"]
        return number

    async def waiting(self, kind: str) -> list[Change]:
        items = (await self.operator.ask("GET", "/api/state"))["waiting"]
        return [item for item in items if item["kind"] == kind]

    async def operations(self) -> list[tuple[str, str, str]]:
        """Agent, kind and status of each, oldest first."""
        rows = (await self.operator.ask("GET", "/api/operations"))["operations"]
        return [(row["agent"], row["kind"], row["status"]) for row in reversed(rows)]

    async def reload(self, agents: dict[str, Any], **more: Any) -> None:  # noqa: ANN401 - JSON
        """SIGHUP with other settings; returns when they were taken in, or refused."""
        await self.reload_raw(settings_json(self.place, agents, **more))

    async def reload_raw(self, text: str) -> list[str]:
        self.raw, before = text, len(self.watch.changes)
        os.kill(os.getpid(), signal.SIGHUP)
        _, change = await self.watch.since(before, lambda c: c["type"] == "warnings")
        await self.settled()
        told: list[str] = change["data"]["warnings"]
        return told

    async def close(self) -> None:
        for harness in self._harnesses:
            await harness.close()
        await self.watch.close()
        await self.operator.close()


async def one_turn(hive: Life, harness: Harness, kind: str = "failed", reason: str = "it broke") -> int:
    """A message to the harness's agent, and how its turn ended."""
    number = await hive.send(harness.name)
    assert [delivery["id"] for delivery in await harness.recv()] == [number]
    await harness.ask("/v1/outcome", {"ids": [number], "outcome": kind, "reason": reason})
    return number


async def refusal(work: Any) -> str:  # noqa: ANN401 - an awaitable
    """The code with which something is refused."""
    return (await refused(work)).code


class _Errors(logging.Handler):
    """Collects what should not have been logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


@contextlib.asynccontextmanager
async def nothing_left(*expected: str) -> AsyncIterator[None]:
    """Whatever happens in the block leaves no task, no unheard exception, and no error in the log but `expected`."""
    before, errors, loop = asyncio.all_tasks(), _Errors(), asyncio.get_running_loop()
    logging.getLogger().addHandler(errors)
    loop.set_exception_handler(lambda _loop, context: errors.said.append(str(context)))
    umask = os.umask(0o077)
    try:
        yield
        async with asyncio.timeout(DEADLINE):
            while left := asyncio.all_tasks() - before - {asyncio.current_task()}:
                # Nothing is waited for that does not end by itself, as soon as the machine lets it.
                done, _ = await asyncio.wait(left, timeout=DEADLINE / 2)
                assert done, left
    finally:
        os.umask(umask)
        loop.set_exception_handler(None)
        logging.getLogger().removeHandler(errors)
    unexpected = [said for said in errors.said if not any(word in said for word in expected)]
    assert not unexpected, unexpected


@contextlib.asynccontextmanager
async def life(
    place: Path,
    agents: dict[str, Any],
    runtime: FakeRuntime | None = None,
    *,
    expected: tuple[str, ...] = (),
    limits: Limits | None = None,
    **more: Any,  # noqa: ANN401 - JSON
) -> AsyncIterator[Life]:
    """A daemon until the end of the block; `expected` are words of errors that it may log."""
    runtime = runtime or fake_runtime()
    lay_out(place)
    ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
    text = settings_json(place, agents, **more)
    made: list[Life] = []

    def reread() -> Any:  # noqa: ANN401 - settings
        return parse_settings(made[0].raw or text)

    async with nothing_left(*expected):
        daemon = asyncio.create_task(
            run(parse_settings(text), runtime=runtime, on_ready=ready.set_result, reread=reread, limits=limits)
        )
        try:
            await asyncio.wait({daemon, ready}, return_when=asyncio.FIRST_COMPLETED)
            if daemon.done():
                await daemon
            socket = (await ready).host_socket
            made.append(Life(place, runtime, RawClient(socket), await Watch().open(socket)))
            yield made[0]
            assert not daemon.done(), daemon
        finally:
            for one in made:
                await one.close()
            if made and made[0].leave_in_order and not daemon.done():
                os.kill(os.getpid(), signal.SIGTERM)
                async with asyncio.timeout(DEADLINE):
                    await daemon
            daemon.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await daemon
