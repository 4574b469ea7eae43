"""The daemon is killed and comes back under an agent at work: a pause, and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from swarm import PATIENCE

from hyperhive.client import HiveClient
from hyperhive.testing.scripted_model import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hyperhive.shapes import MessageRow

_DAEMON = Path(__file__).parent.parent / "integration" / "hive_process.py"


async def _start_daemon(config: Path) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(_DAEMON), str(config), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert await process.stdout.readline(), "the daemon did not start"
    return process


@asynccontextmanager
async def _harness(home: Path, socket: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real harness that lives on when the daemon ends, as in a container."""
    directories = {name: home / name for name in ("claude", "state", "shared", "credentials")}
    for directory in directories.values():
        directory.mkdir(parents=True, exist_ok=True)
    given = {
        "HIVE_SOCKET": socket,
        "HIVE_STATE": directories["state"],
        "HIVE_SHARED": directories["shared"],
        "CLAUDE_CONFIG_DIR": directories["claude"],
        "CREDENTIALS_DIRECTORY": directories["credentials"],
        "HOME": home,
        "PATH": os.environ["PATH"],
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hyperhive.harness", env={name: str(value) for name, value in given.items()}
    )
    try:
        yield process
    finally:
        process.terminate()
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 0


async def _inbox(client: HiveClient, count: int) -> list[MessageRow]:
    """Wait until that many messages are in the operator's inbox, through restarts of the hive."""
    async with asyncio.timeout(PATIENCE):
        state = await client.state()
        found = await client.inbox()
        if len(found) >= count:
            return found
        async for _event in client.follow(state.seq, state.epoch):
            found = await client.inbox()
            if len(found) >= count:
                return found
    raise AssertionError


async def test_a_killed_daemon_costs_a_running_turn_nothing(tmp_path: Path) -> None:
    steps = [
        {"text": "It takes me a while."},
        {"tool": "Bash", "input": {"command": "cat gate > /dev/null; echo open"}},
        {"tool": "send", "input": {"to": "operator", "body": "42"}},
        "sent",
    ]
    state_dir, home = tmp_path / "hive", tmp_path / "home"
    async with ScriptedModel({"agents": {"alice": {"otherwise": steps}}}) as model:
        config = tmp_path / "hive.json"
        environment = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "scripted"}
        config.write_text(
            json.dumps(
                {
                    "stateDir": str(state_dir),
                    "dashboard": {"port": 0},
                    "manager": {"enable": False},
                    "agents": {"alice": {}},
                    "defaults": {"environment": environment},
                }
            )
        )
        daemon = await _start_daemon(config)
        async with (
            _harness(home, state_dir / "run" / "agents" / "alice" / "hive.sock"),
            HiveClient(state_dir / "run" / "host.sock") as client,
        ):
            os.mkfifo(home / "state" / "gate")
            await client.send("alice", "What is six times seven?")
            async with asyncio.timeout(PATIENCE):
                await model.wait_for("alice", 1)
                # The fifo opens when the Bash tool reads it: the turn is in its middle.
                gate = await asyncio.to_thread(os.open, home / "state" / "gate", os.O_WRONLY)
            daemon.send_signal(signal.SIGKILL)
            await daemon.wait()
            daemon = await _start_daemon(config)
            os.close(gate)
            answer = (await _inbox(client, 1))[0]
            assert (answer.from_, answer.body) == ("alice", "42")
            asked = await _settled(client)
            assert (asked.outcome, asked.deliveries) == ("settled", 1)
            assert model.count("alice") == 3, "the turn ran once, from its beginning to its end"
            daemon.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                assert await daemon.wait() == 0


async def _settled(client: HiveClient) -> MessageRow:
    """Wait until the operator's question is settled."""
    async with asyncio.timeout(PATIENCE):
        state = await client.state()
        asked = (await client.messages(to="alice"))[0]
        if asked.state == "settled":
            return asked
        async for event in client.stream(state.seq, state.epoch):
            if event.type == "message" and event.data["id"] == asked.id and event.data["state"] == "settled":
                return (await client.messages(to="alice"))[0]
    raise AssertionError
