"""The processes of a run: the daemon, the load, and what the kernel says about them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hyperhive.names import web_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_HERE: Final = Path(__file__).parent
#: Seconds until a daemon is ready, and until it has ended.
_PATIENCE: Final = 200


def agent_names(count: int) -> list[str]:
    """Names that get different web ports."""
    names: dict[int, str] = {}
    number = 0
    while len(names) < count:
        names.setdefault(web_port(f"agent-{number}"), f"agent-{number}")
        number += 1
    return list(names.values())


class Scheduled(NamedTuple):
    """What a process has had of the processor."""

    nanoseconds: int
    switches: int


@dataclass
class Daemon:
    """A daemon that is ready."""

    process: asyncio.subprocess.Process
    state: Path
    host_socket: Path
    runtime: str

    @property
    def run(self) -> Path:
        """Its runtime directory."""
        return self.host_socket.parent

    async def counters(self) -> dict[str, int]:
        """Statements and commits so far; only of one that counts."""
        self.process.send_signal(signal.SIGUSR1)
        return dict(await _line(self.process))

    def rss(self) -> float:
        """MiB of memory."""
        return rss(self.process.pid)

    def scheduled(self) -> Scheduled:
        """Processor time and times that a thread gave the processor up, of all its threads."""
        return scheduled(self.process.pid)


def scheduled(pid: int) -> Scheduled:
    """The same of any process."""
    spent = switches = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        spent += int((task / "schedstat").read_text().split()[0])
        status = (task / "status").read_text()
        switches += int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return Scheduled(spent, switches)


def rss(pid: int) -> float:
    """MiB of memory that a process has resident."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("\nVmRSS:")[2].split()[0]) / 1024


async def _line(process: asyncio.subprocess.Process) -> Any:  # noqa: ANN401 - JSON
    assert process.stdout
    async with asyncio.timeout(_PATIENCE):
        text = await process.stdout.readline()
    if not text:
        msg = f"a process of the benchmark ended with status {await process.wait()}; what it said stands above"
        raise RuntimeError(msg)
    return json.loads(text)


def _environment() -> dict[str, str]:
    """Ours, without the settings of a hive that somebody works with."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("HYPERHIVE_", "HIVE_"))}


def _write(state: Path, settings: dict[str, Any]) -> Path:
    """Make the directory, and the settings file beside it."""
    state.mkdir()
    file = state.with_suffix(".json")
    file.write_text(json.dumps({"stateDir": str(state), "dashboard": {"port": 0}, **settings}))
    return file


@asynccontextmanager
async def daemon(state: Path, settings: dict[str, Any], *options: str) -> AsyncIterator[Daemon]:
    """Run a daemon on the new directory `state`."""
    file = _write(state, settings)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_HERE / "bench_daemon.py"),
        str(file),
        *options,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=_environment(),
    )
    try:
        ready = await _line(process)
        await _repositories(state, len(settings["agents"]))
        yield Daemon(process, state, Path(ready["host_socket"]), ready["runtime"])
    finally:
        await _end(process)


async def _repositories(state: Path, agents: int) -> None:
    """Wait until a new hive has made its agents' repositories, which it does in the background."""
    async with asyncio.timeout(_PATIENCE):
        while sum(1 for _ in (state / "applied").glob("[!.]*.git")) < agents:  # noqa: ASYNC110 - another process makes them
            await asyncio.sleep(0.1)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_PATIENCE):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def load(kind: str, run: Path, **numbers: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - JSON
    """Run a load and give the first line that it prints; at the end its input is closed and it goes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_HERE / "load.py"),
        kind,
        str(run),
        json.dumps(numbers),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=_environment(),
    )
    assert process.stdin
    try:
        yield await _line_of_load(process)
    finally:
        process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await process.wait()
        await _end(process)


async def _line_of_load(process: asyncio.subprocess.Process) -> Any:  # noqa: ANN401 - JSON
    """Its first line, without a limit of time but the load's own."""
    assert process.stdout
    text = await process.stdout.readline()
    if not text:
        msg = f"the load ended with status {await process.wait()}; what it said stands above"
        raise RuntimeError(msg)
    return json.loads(text)


async def measured(kind: str, run: Path, **numbers: Any) -> Any:  # noqa: ANN401 - JSON
    """What a load measures."""
    async with load(kind, run, **numbers) as result:
        return result
