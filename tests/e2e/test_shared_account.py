"""Two agents with one subscription, the real claude: what one of them runs into, the other does not ask for."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from swarm import PATIENCE, Swarm, swarm

from hyperhive.testing.scripted_model.player import Player
from hyperhive.testing.scripted_model.scenario import Scenario

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds from the limit to its reset: bob is asked something meanwhile, and is seen to do nothing.
_RESET = 12


def _reply(agent: str) -> list[Any]:
    return [{"tool": "send", "input": {"to": "operator", "body": f"{agent} has answered"}}, "sent"]


def _limited(until: int) -> Scenario:
    """Alice's first request runs into the limit of the subscription."""
    headers = {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
        "anthropic-ratelimit-unified-reset": str(until),
    }
    refused = {"error": {"status": 429, "headers": headers}, "times": 1}
    agents = {"alice": {"otherwise": [refused, *_reply("alice")]}, "bob": {"otherwise": _reply("bob")}}
    return Scenario.parse({"agents": agents})


async def _row(up: Swarm, name: str, state: str) -> dict[str, Any]:
    found = await up.until(
        lambda e: e.type == "agent" and e.data["name"] == name and e.data["state"] == state and e.data["problem"]
    )
    return found.data


async def test_the_other_asks_nothing_until_the_reset_and_then_comes_second(tmp_path: Path) -> None:
    defaults = {"environment": {"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "of-both"}}
    agents: dict[str, Any] = {"alice": {}, "bob": {}}
    empty: dict[str, Any] = {"agents": {"*": {"otherwise": ["nothing"]}}}
    async with (
        swarm(tmp_path, empty, runtime="process", agents=agents, defaults=defaults) as up,
        up.client() as client,
    ):
        for name in agents:
            await up.agent_state(name, "idle")
        reset = int(time.time()) + _RESET
        up.model._player = Player(_limited(reset))
        hers = await client.send("alice", "Are you there?")
        limited = await _row(up, "alice", "rate_limited")
        his = await client.send("bob", "And you?")
        held = await _row(up, "bob", "rate_limited")
        assert held["problem"].startswith("the account that it shares with alice has reached its limit")
        assert datetime.fromisoformat(held["until"]).timestamp() == reset
        assert limited["account"] == held["account"]
        async with asyncio.timeout(PATIENCE + _RESET):
            await up.message_to_operator("alice has answered")
            assert time.time() >= reset
            await up.message_to_operator("bob has answered")
        asked = [request.agent for request in up.model.requests if request.kind == "turn"]
        assert asked[:2] == ["alice", "alice"], "nobody but alice asked until she was answered"
        assert "bob" in asked
        assert "of-both" not in str(limited)
        rows = {row.id: row for row in await client.messages() if row.from_ == "operator"}
        # The same message, not counted: it came again and no dead letter is nearer.
        assert rows[hers.id].deliveries == 2
        assert rows[his.id].deliveries == 1
