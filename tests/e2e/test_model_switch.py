"""What the operator does to an agent's Claude reaches the program that runs: its model, its conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from swarm import PATIENCE, Swarm, swarm

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from pathlib import Path

    from hyperhive.client import HiveClient

SCENARIO = {
    "agents": {
        "alice": {
            "rules": [
                {
                    "when": "task (?P<n>[0-9])",
                    "steps": [{"tool": "send", "input": {"to": "operator", "body": "did it"}}],
                }
            ]
        }
    }
}


async def _turn(hive: Swarm, client: HiveClient, number: int) -> str:
    """Let alice do a task; returns the model that was asked."""
    before = len(hive.model.requests)
    answer = await client.ask("alice", f"task {number}", timeout=PATIENCE)
    assert answer.body == "did it"
    await hive.until(_idle_after(number))
    return hive.model.requests[before].model


def _event(kind: str) -> Any:  # noqa: ANN401 - a predicate
    return lambda e: e.type == "event" and e.data["kind"] == kind


def _idle_after(turns: int) -> Any:  # noqa: ANN401 - a predicate
    def wanted(event: Any) -> bool:  # noqa: ANN401
        return event.type == "agent" and event.data["usage"]["turns"] >= turns and event.data["state"] == "idle"

    return wanted


async def test_another_model_serves_the_next_turn_and_stays_through_a_rebuild(tmp_path: Path) -> None:
    async with swarm(tmp_path, SCENARIO, runtime="process", agents={"alice": {}}) as hive, hive.client() as client:
        assert "haiku" in await _turn(hive, client, 1)
        assert (await client.model("alice", "opus")).status == "done"
        assert (await client.agent("alice")).model == "opus"
        assert "opus" in await _turn(hive, client, 2)
        with pytest.raises(HiveError, match="there is no model 'gpt'"):
            await client.model("alice", "gpt")

        assert (await client.compact("alice")).status == "done"
        assert [request.kind for request in hive.model.requests].count("compaction") == 1
        assert (await client.new_session("alice")).status == "done"
        for kind in ("model_changed", "compacted", "session_new"):
            await hive.until(_event(kind))
        assert (await client.agent("alice")).usage.turns == 2

        await client.rebuild("alice")
        await hive.until(lambda e: e.type == "agent" and e.data["model"] == "opus" and e.data["usage"]["turns"] >= 3)
        assert "opus" in hive.model.requests[-1].model, "it was woken and told of the rebuild"
