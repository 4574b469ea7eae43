"""`hyperhive serve` takes new settings at a SIGHUP, and keeps the old ones when the new ones are wrong."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

from swarm import PATIENCE

from hyperhive.client import HiveClient

if TYPE_CHECKING:
    from pathlib import Path

#: What is tested here is not the manager.
_ALONE = {"manager": {"enable": False}}


async def test_new_settings_are_taken_in_and_wrong_ones_are_not(tmp_path: Path) -> None:
    config, state = tmp_path / "config.json", tmp_path / "hive"

    def write(agents: dict[str, Any], **more: object) -> None:
        config.write_text(
            json.dumps({"stateDir": str(state), "dashboard": {"port": 0}, "agents": agents, **_ALONE, **more})
        )

    write({"alice": {"autoStart": False}})
    command = (sys.executable, "-m", "hyperhive", "serve", "--config", str(config))
    daemon = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert daemon.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE):
            await _said(daemon.stderr, "ready:")
            async with HiveClient(state / "run" / "host.sock") as client:
                write({"alice": {"autoStart": False, "model": "opus"}, "bob": {"autoStart": False}})
                daemon.send_signal(signal.SIGHUP)
                await _said(daemon.stderr, "new settings are in force")
                rows = {row.name: row.model for row in await client.agents()}
                assert rows == {"alice": "opus", "bob": "haiku"}

                write({"bob": {}}, agnets={})
                daemon.send_signal(signal.SIGHUP)
                await _said(daemon.stderr, "agnets: unknown key")
                state_now = await client.state()
                assert [row.name for row in state_now.agents] == ["alice", "bob"]
                assert any("agnets" in warning for warning in state_now.warnings)

                write({"bob": {"autoStart": False}})
                daemon.send_signal(signal.SIGHUP)
                await _said(daemon.stderr, "new settings are in force")
                state_now = await client.state()
                assert [row.name for row in state_now.agents] == ["bob"]
                assert not any("agnets" in warning for warning in state_now.warnings)
    finally:
        daemon.send_signal(signal.SIGTERM)
        assert await daemon.wait() == 0


async def _said(stream: asyncio.StreamReader, text: str) -> None:
    while line := (await stream.readline()).decode():
        if text in line:
            return
    message = f"the daemon ended before it said {text!r}"
    raise AssertionError(message)
