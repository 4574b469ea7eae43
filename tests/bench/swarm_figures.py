"""The figures of the whole: real runtime, harness and `claude` against the scripted model; and the command line."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from processes import Daemon, agent_names, daemon, load, rss, scheduled
from raw_client import Line, get, post

from hyperhive.harness import processes as trees
from hyperhive.harness.settings import Timings
from hyperhive.testing.scripted_model import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from figures import Results

#: Seconds until something that should happen must have happened.
_PATIENCE: Final = 200
_QUESTION: Final = "Please look at the failing build of the parser and tell me what you find. " * 4


class _Swarm:
    """A hive of harnesses, and the model that they talk to."""

    def __init__(self, hive: Daemon, model: ScriptedModel, line: Line, names: list[str]) -> None:
        self.hive, self.names = hive, names
        self._model, self._line = model, line

    async def rows(self) -> dict[str, dict[str, Any]]:
        answer = (await self._line.ask(get("/api/agents"))).json()
        return {row["name"]: row for row in answer["agents"]}

    async def until_idle(self, name: str, turns: int, state: str = "idle") -> dict[str, Any]:
        """Wait until the agent has done so many turns and rests; its row."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                row = (await self.rows())[name]
                if row["state"] == state and row["usage"]["turns"] >= turns:
                    return row
                await asyncio.sleep(0.05)

    async def first_request(self, name: str) -> float:
        """Send a message; milliseconds until the first request of its turn arrives at the model."""
        count = self._model.count(name)
        began = time.monotonic()
        (await self._line.ask(post("/api/messages", {"to": name, "body": _QUESTION}))).json(201)
        async with asyncio.timeout(_PATIENCE):
            request = await self._model.wait_for(name, count + 1)
        return (request.arrived - began) * 1000

    async def first_requests(self) -> list[float]:
        """Wake everybody with one message; seconds until the first request of each arrives at the model."""
        counts = {name: self._model.count(name) for name in self.names}
        began = time.monotonic()
        (await self._line.ask(post("/api/messages", {"to": "*", "body": _QUESTION}))).json(201)
        async with asyncio.timeout(_PATIENCE):
            waits = [self._model.wait_for(name, count + 1) for name, count in counts.items()]
            return sorted(request.arrived - began for request in await asyncio.gather(*waits))

    async def claudes(self) -> int:
        """How many `claude` processes there are below the harnesses."""
        pids = [row["pid"] for row in (await self.rows()).values()]
        below = [one for pid in pids for one in trees.tree(pid)]
        return sum(b"--output-format" in _command(one.pid) for one in below)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@asynccontextmanager
async def _swarm(state: Path, names: list[str], keep_warm: float, strangers: int = 0) -> AsyncIterator[_Swarm]:
    """Agents that are idle; the last `strangers` of them have no login, and wait for one."""
    async with ScriptedModel({"agents": {"*": {"otherwise": ["I have looked at it: all is well."]}}}) as model:
        agents: dict[str, Any] = {
            name: {"environment": {"ANTHROPIC_BASE_URL": model.base_url(name), "ANTHROPIC_API_KEY": "dummy"}}
            for name in names
        }
        for name in names[len(names) - strangers :]:
            agents[name]["environment"]["ANTHROPIC_API_KEY"] = ""
        settings = {
            "agents": agents,
            "defaults": {"keepWarmSeconds": keep_warm},
            "manager": {"enable": False},
        }
        async with daemon(state, settings, "--runtime", "own") as hive:
            line = await Line.open(hive.host_socket)
            swarm = _Swarm(hive, model, line, names)
            for name in names[: len(names) - strangers]:
                await swarm.until_idle(name, 0)
            for name in names[len(names) - strangers :]:
                await swarm.until_idle(name, 0, "needs_login")
            yield swarm
            line.close()


async def claude(results: Results, directory: Path, *, quick: bool) -> None:
    """How soon a message is a request at the model, and what a harness costs."""
    names = agent_names(1 if quick else 3)
    async with _swarm(directory / "warm", names, keep_warm=600) as swarm:
        results.notes["runtime"] = swarm.hive.runtime
        await asyncio.sleep(0.2 if quick else 5)
        results.add("harness_rss", [rss(row["pid"]) for row in (await swarm.rows()).values()])
        times = await _turns(swarm, 2 if quick else 11, rest=0.1 if quick else 0.3)
        results.add("warm_request", times)
        results.add("harness_rss_used", [rss(row["pid"]) for row in (await swarm.rows()).values()])
    async with _swarm(directory / "resumed", names[:1], keep_warm=0) as swarm:
        results.add("resumed_request", await _turns(swarm, 2 if quick else 11, rest=0.5 if quick else 1.0))
        await asyncio.sleep(0 if quick else 1)
        results.add("cooled", [await swarm.claudes()])


async def wake(results: Results, directory: Path, *, quick: bool) -> None:
    """How soon many agents that are woken at the same moment have all asked the model."""
    names = agent_names(2 if quick else 10)
    for turn in range(1 if quick else 3):
        async with _swarm(directory / f"wake-{turn}", names, keep_warm=0) as swarm:
            for figure in ("wake", "wake_resumed"):
                times = await swarm.first_requests()
                results.add(figure, times[-1:])
                results.add("wake_first", times[:1] if figure == "wake" else [])
                for name in names:
                    await swarm.until_idle(name, 1 if figure == "wake" else 2)
                await asyncio.sleep(0 if quick else 2)


async def rest(results: Results, directory: Path, *, quick: bool) -> None:
    """How often a harness wakes up that has nothing to do."""
    names = agent_names(2 if quick else 4)
    seconds = 1 if quick else 60
    async with _swarm(directory / "rest", names, keep_warm=0, strangers=len(names) // 2) as swarm:
        await asyncio.sleep(0 if quick else 5)
        pids = [(await swarm.rows())[name]["pid"] for name in names]
        before = [scheduled(pid).switches for pid in pids]
        await asyncio.sleep(seconds)
        rates = [(scheduled(pid).switches - was) / seconds for pid, was in zip(pids, before, strict=True)]
        results.add("rest_wakeups", rates[: len(names) // 2])
        results.add("rest_wakeups_login", rates[len(names) // 2 :])


async def swarm(results: Results, directory: Path, *, quick: bool) -> None:
    """What a swarm costs of which nobody has anything to do: real harnesses, and the daemon that they are parked at."""
    names, seconds = agent_names(2 if quick else 50), 1 if quick else 120
    async with _swarm(directory / "swarm", names, keep_warm=0) as here:
        await asyncio.sleep(0 if quick else 20)
        pids = [row["pid"] for row in (await here.rows()).values()]
        before, daemon_before = [scheduled(pid) for pid in pids], here.hive.scheduled()
        await asyncio.sleep(seconds)
        after, daemon_after = [scheduled(pid) for pid in pids], here.hive.scheduled()
        rates = [(now.switches - was.switches) / seconds for now, was in zip(after, before, strict=True)]
        spent = sum(now.nanoseconds - was.nanoseconds for now, was in zip(after, before, strict=True))
        results.add("swarm_wakeups", [max(rates)])
        results.add("swarm_cpu", [spent / seconds / 1e7])
        results.add("swarm_daemon_wakeups", [(daemon_after.switches - daemon_before.switches) / seconds])
        results.add("swarm_rss", [sum(rss(pid) for pid in pids) / len(pids)])


async def _turns(swarm: _Swarm, count: int, rest: float) -> list[float]:
    """Turn after turn, each agent in its turn; the first of each makes the session and is not counted."""
    times = []
    for turn in range(count):
        for name in swarm.names:
            took = await swarm.first_request(name)
            await swarm.until_idle(name, turn + 1)
            await asyncio.sleep(rest)
            if turn:
                times.append(took)
    return times


async def listing(results: Results, directory: Path, *, quick: bool) -> None:
    """`hyperhive list`, as often as a person would type it."""
    names = agent_names(3 if quick else 100)
    installed = Path(sys.executable).with_name("hyperhive")
    program = [str(installed)] if installed.exists() else [sys.executable, "-m", "hyperhive"]
    settings = {"agents": {name: {} for name in names}, "manager": {"enable": False}}
    async with daemon(directory / "list", settings) as hive, load("idle", hive.run, names=names, poll=Timings().poll):
        command = [*program, "--socket", str(hive.host_socket), "list"]
        await _timed(command, names)
        for _ in range(1 if quick else 5):
            results.add("list", [median([await _timed(command, names) for _ in range(1 if quick else 3)])])


async def _timed(command: list[str], names: list[str]) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    took = time.perf_counter() - began
    assert process.returncode == 0, f"hyperhive list ended with status {process.returncode}"
    assert all(name.encode() in output for name in names), "hyperhive list does not show every agent"
    return took
