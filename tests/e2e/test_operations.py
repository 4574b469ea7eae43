"""Operations on the embedded runtimes, with the real claude: what is kept of an agent, what waits, what is wiped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from swarm import PATIENCE, swarm

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from pathlib import Path

    from swarm import Swarm

_ANSWER = {"tool": "send", "input": {"to": "operator", "body": "42"}}
_NOTE = {"tool": "Bash", "input": {"command": "echo remembered >> notes.md"}}
_SCENARIO = {
    "agents": {"alice": {"rules": [{"when": "write it down", "steps": [_NOTE, _ANSWER]}], "otherwise": [_ANSWER]}}
}


async def _done(up: Swarm, name: str, action: str) -> None:
    """Have something done to an agent, and wait for its end."""
    async with up.client() as client:
        row = await getattr(client, action)(name)
        if row.ended_at is None:
            await up.until(lambda e: e.type == "operation" and e.data["id"] == row.id and e.data["endedAt"] is not None)
        assert (await client.operation(row.id)).error is None


async def test_a_paused_agent_gets_nothing_until_it_is_resumed(tmp_path: Path, runtime: str) -> None:
    async with swarm(tmp_path, _SCENARIO, runtime=runtime, agents={"alice": {}}) as up, up.client() as client:
        await up.agent_state("alice", "idle")
        await _done(up, "alice", "pause")
        sent = await client.send("alice", "Are you there?")
        row = await client.agent("alice")
        assert (row.state, row.unread) == ("paused", 1)
        await _done(up, "alice", "resume")
        await up.message_to_operator("42")
        assert (await client.messages(to="alice"))[0].id == sent.id


async def test_login_notes_and_model_outlive_destroy_and_rebuild_and_nothing_outlives_a_purge(
    tmp_path: Path, runtime: str
) -> None:
    async with swarm(tmp_path, _SCENARIO, runtime=runtime, agents={"alice": {}}) as up, up.client() as client:
        own = up.state_dir / "agents" / "alice"
        assert (await client.ask("alice", "please write it down", timeout=PATIENCE)).body == "42"
        assert (await client.model("alice", "opus")).status == "done"
        for action in ("rebuild", "destroy"):
            await _done(up, "alice", action)
            assert "remembered" in (own / "state" / "notes.md").read_text()
        with pytest.raises(HiveError, match="was destroyed"):
            await client.send("alice", "Are you there?")
        await _done(up, "alice", "revive")
        assert (await client.ask("alice", "Do you remember?", timeout=PATIENCE)).body == "42"
        assert "opus" in up.model.requests[-1].model, "the choice of a model lasts like the notes"
        assert "remembered" in (own / "state" / "notes.md").read_text()
        await _done(up, "alice", "destroy")
        await _done(up, "alice", "purge")
        assert not own.exists()
        assert await client.tombstones() == []
