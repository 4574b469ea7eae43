"""What an agent's message and the operator see of each kind of trouble at the model's endpoint."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
from swarm import PATIENCE, swarm

if TYPE_CHECKING:
    from pathlib import Path

_REPLY = [{"tool": "send", "input": {"to": "operator", "body": "{agent} has answered"}}, "sent"]


def _error(status: int, **headers: str) -> dict[str, Any]:
    return {
        "error": {"status": status, "type": "some_error", "message": f"a {status}", "headers": headers},
        "times": 99,
    }


_SCENARIO: dict[str, Any] = {
    "agents": {
        "denied": {"otherwise": [_error(401), "no"]},
        "limited": {"otherwise": [_error(429, **{"retry-after": "3600"}), "no"]},
        "busy": {"otherwise": [_error(529), "no"]},
        "cut": {"otherwise": ["half of", {"drop": True, "times": 1}, *_REPLY]},
        "hangs": {"otherwise": [{"hang": True, "times": 99}, "no"]},
    }
}


def _closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.mark.parametrize("runtime", ["bubblewrap"], indirect=True)
async def test_each_trouble_is_seen_and_costs_no_message(tmp_path: Path, runtime: str) -> None:
    down = {"environment": {"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{_closed_port()}"}}
    agents: dict[str, Any] = {"denied": {}, "limited": {}, "busy": {}, "cut": {}, "hangs": {}, "down": down}
    for name, own in agents.items():
        # An account for each: else they would all rest with the one that is limited.
        own["environment"] = {"ANTHROPIC_API_KEY": f"scripted-{name}", **own.get("environment", {})}
    defaults = {"environment": {"CLAUDE_CODE_MAX_RETRIES": "1"}}
    async with (
        swarm(tmp_path, _SCENARIO, runtime=runtime, agents=agents, defaults=defaults) as up,
        up.client() as client,
    ):
        sent = await client.send("*", "Are you there?")
        assert sorted(sent.recipients) == sorted(agents)
        async with asyncio.timeout(3 * PATIENCE):
            await up.agent_state("denied", "needs_login")
            await up.agent_state("limited", "rate_limited")
            await up.agent_state("busy", "rate_limited")
            await up.message_to_operator("cut has answered")
            # It goes back, and does not count.
            await up.until(lambda e: e.type == "event" and e.data["agent"] == "down" and e.data["kind"] == "turn_end")
            await up.agent_state("down", "rate_limited")
            await up.model.wait_for("hangs", 1)
        await client.cancel("hangs")
        by_agent = {row.to: row for row in await client.messages() if row.from_ == "operator"}
        assert {name: by_agent[name].state for name in ("denied", "limited", "busy", "down")} == dict.fromkeys(
            ("denied", "limited", "busy", "down"), "waiting"
        )
        assert (by_agent["hangs"].state, by_agent["hangs"].outcome) == ("settled", "cancelled")
        assert by_agent["cut"].state in {"held", "settled"}
        rows = {row.name: row for row in await client.agents()}
        assert "a 401" in (rows["denied"].problem or "") or "API key" in (rows["denied"].problem or "")
        waiting = [item.agent for item in (await client.state()).waiting if item.kind == "needs_login"]
        assert waiting == ["denied"]
        assert rows["down"].last_turn is not None
        assert not rows["down"].last_turn.ok
        assert (rows["down"].state, rows["down"].limit_scope) == ("rate_limited", "endpoint")
        assert "ECONNREFUSED" in (rows["down"].problem or "")
        assert not (await client.dead_letters())
