"""Two agents with one subscription, the real claude: what one of them runs into, the other does not ask for."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from swarm import Swarm, swarm

from hyperhive.testing.scripted_model.player import Answer, Player, Who
from hyperhive.testing.scripted_model.scenario import Scenario

if TYPE_CHECKING:
    from pathlib import Path

    from hyperhive.testing.scripted_model.conversation import Turn

#: Seconds from alice's request to the reset of the limit: bob is asked something meanwhile, and is seen to do nothing.
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


class _LimitedFromTheFirst(Player):
    """The limit begins with the first request, whenever that comes.

    Attributes:
        reset: when it ends; 0 until it has begun.
    """

    def __init__(self) -> None:
        super().__init__(_limited(0))
        self.reset = 0

    def answer(self, who: Who, turn: Turn) -> Answer:
        if not self.reset:
            self.reset = int(time.time()) + _RESET
            self._scenario = _limited(self.reset)
        return super().answer(who, turn)


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
        up.model._player = player = _LimitedFromTheFirst()
        hers = await client.send("alice", "Are you there?")
        limited = await _row(up, "alice", "rate_limited")
        his = await client.send("bob", "And you?")
        held = await _row(up, "bob", "rate_limited")
        assert held["problem"].startswith("the account that it shares with alice has reached its limit")
        assert datetime.fromisoformat(held["until"]).timestamp() == player.reset
        assert limited["account"] == held["account"]
        await up.message_to_operator("alice has answered")
        assert time.time() >= player.reset
        await up.message_to_operator("bob has answered")
        asked = [request.agent for request in up.model.requests if request.kind == "turn"]
        assert asked[:2] == ["alice", "alice"], "nobody but alice asked until she was answered"
        assert "bob" in asked
        assert "of-both" not in str(limited)
        for sent in (hers, his):
            await up.settled(sent.id)
        rows = {row.id: row for row in await client.messages() if row.from_ == "operator"}
        # The same message, not counted: it came again and no dead letter is nearer.
        assert rows[hers.id].deliveries == 2
        assert rows[his.id].deliveries == 1
