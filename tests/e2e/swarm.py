"""A whole swarm for tests: `hyperhive up` as a process, the real claude, a scripted model in this process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperhive.client import HiveClient
from hyperhive.testing.scripted_model import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from hyperhive.shapes import StreamEvent

#: Seconds after which what has not happened never will: a guard against hanging, on the slowest machine there is.
PATIENCE = 100


@dataclass
class Swarm:
    """A running `hyperhive up` and what is needed to talk to it."""

    process: asyncio.subprocess.Process
    model: ScriptedModel
    state_dir: Path
    config: Path
    said: list[str]

    def client(self) -> HiveClient:
        """A client of this hive's operator socket."""
        return HiveClient(self.state_dir / "run" / "host.sock")

    async def until(self, wanted: Callable[[StreamEvent], bool], since: int = 0) -> StreamEvent:
        """Wait for a change that `wanted` says yes to, from the beginning of the run on."""
        async with asyncio.timeout(PATIENCE), self.client() as client:
            async for event in client.stream(since):
                if wanted(event):
                    return event
        message = "the stream ended"
        raise AssertionError(message)

    async def message_to_operator(self, containing: str) -> dict[str, Any]:
        """Wait for a message to the operator."""
        event = await self.until(
            lambda e: e.type == "message" and e.data["to"] == "operator" and containing in e.data["body"]
        )
        return event.data

    async def agent_state(self, name: str, state: str) -> None:
        """Wait until an agent is seen in a state."""
        await self.until(lambda e: e.type == "agent" and e.data["name"] == name and e.data["state"] == state)

    async def settled(self, number: int) -> None:
        """Wait until a message is seen settled; what was used, and how the agent stands, may be told before that."""
        await self.until(lambda e: e.type == "message" and e.data["id"] == number and e.data["state"] == "settled")

    async def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """End `up` with a signal and return its exit status."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def swarm(  # noqa: PLR0913 - a test names what it needs
    tmp_path: Path,
    scenario: dict[str, Any],
    *,
    runtime: str,
    agents: dict[str, Any],
    defaults: dict[str, Any] | None = None,
    model: ScriptedModel | None = None,
    manager: bool = False,
) -> AsyncIterator[Swarm]:
    """Start a swarm on a scenario, with a manager if that is wanted; ends it, and everything of it, at the end."""
    async with ScriptedModel(scenario) as scripted:
        played = model or scripted
        environment = {"ANTHROPIC_BASE_URL": played.url, "ANTHROPIC_API_KEY": "scripted"}
        config = tmp_path / "hive.json"
        given = {"runtime": runtime, "dashboard": {"port": 0}, "agents": agents}
        given["manager"] = {"enable": manager}
        given["defaults"] = {
            **(defaults or {}),
            "environment": {**environment, **(defaults or {}).get("environment", {})},
        }
        config.write_text(json.dumps(given))
        started = await start_up(config, tmp_path / "state")
        found = Swarm(*started[:1], played, tmp_path / "state", config, started[1])
        try:
            yield found
        finally:
            await found.end()


async def start_up(config: Path, state_dir: Path) -> tuple[asyncio.subprocess.Process, list[str]]:
    """Start `hyperhive up` and return once it says that it is up."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hyperhive",
        "up",
        str(config),
        "--state-dir",
        str(state_dir),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={key: value for key, value in os.environ.items() if not key.startswith("HYPERHIVE_")},
    )
    said: list[str] = []
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        while line := (await process.stdout.readline()).decode():
            said.append(line)
            if "#token=" in line:
                return process, said
    await process.wait()
    message = f"up did not start:\n{''.join(said)}"
    raise AssertionError(message)


def processes_of(state_dir: Path) -> list[int]:
    """Processes that have the state directory in their command line, environment or working directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if os.fsencode(state_dir) in text:
                found.append(int(entry.name))
    return found
