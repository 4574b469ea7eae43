"""The figures of the whole: real runtime, harness and `claude` against the scripted model; and the command line."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from processes import Daemon, agent_names, daemon, load, rss
from raw_client import Line, get, post

from hyperhive.harness.settings import Timings
from hyperhive.testing.scripted_model import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from figures import Results

#: Seconds until something that should happen must have happened.
_PATIENCE: Final = 60
_QUESTION: Final = "Please look at the failing build of the parser and tell me what you find. " * 4


class _Swarm:
    """A hive of harnesses, and the model that they talk to."""

    def __init__(self, hive: Daemon, model: ScriptedModel, line: Line, names: list[str]) -> None:
        self.hive, self.names = hive, names
        self._model, self._line = model, line

    async def rows(self) -> dict[str, dict[str, Any]]:
        answer = (await self._line.ask(get("/api/agents"))).json()
        return {row["name"]: row for row in answer["agents"]}

    async def until_idle(self, name: str, turns: int) -> dict[str, Any]:
        """Wait until the agent has done so many turns and rests; its row."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                row = (await self.rows())[name]
                if row["state"] == "idle" and row["usage"]["turns"] >= turns:
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


@asynccontextmanager
async def _swarm(state: Path, names: list[str], keep_warm: float) -> AsyncIterator[_Swarm]:
    async with ScriptedModel({"agents": {"*": {"otherwise": ["I have looked at it: all is well."]}}}) as model:
        agents = {name: {"environment": {"ANTHROPIC_BASE_URL": model.base_url(name)}} for name in names}
        settings = {
            "agents": agents,
            "defaults": {"keepWarmSeconds": keep_warm, "environment": {"ANTHROPIC_API_KEY": "dummy"}},
            "manager": {"enable": False},
        }
        async with daemon(state, settings, "--runtime", "own") as hive:
            line = await Line.open(hive.host_socket)
            swarm = _Swarm(hive, model, line, names)
            for name in names:
                await swarm.until_idle(name, 0)
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
    names = agent_names(100)
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
