"""What a declaration says of an agent's turns reaches them and comes back to its row: MCP servers, the time limit."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from swarm import PATIENCE, swarm

PROGRAM = str(Path(__file__).parents[1] / "integration/mcp_program.py")
SCENARIO = {
    "agents": {
        "alice": {
            "rules": [
                {
                    "when": "Look",
                    "steps": [
                        {"tool": "mcp__tracker__look", "input": {}},
                        {"tool": "send", "input": {"to": "operator", "body": "{tool_result}"}},
                    ],
                },
            ]
        },
        "bob": {"otherwise": [{"hang": True}]},
    }
}


async def test_an_agents_own_server_is_used_and_shown_and_its_limit_ends_a_long_turn(tmp_path: Path) -> None:
    program = {"command": sys.executable, "args": [PROGRAM, "declared"]}
    servers = {"tracker": program, "docs": {"command": "/no/such/program"}}
    agents = {"alice": {"mcpServers": servers}, "bob": {"maxTurnMinutes": 0.02}}
    async with swarm(tmp_path, SCENARIO, runtime="process", agents=agents) as up, up.client() as client:
        answer = await client.ask("alice", "Look", timeout=PATIENCE)
        assert json.loads(answer.body)["argv"] == ["declared"]
        await up.until(
            lambda e: (
                e.type == "agent"
                and [one["status"] for one in e.data["mcpServers"] if one["name"] == "docs"] == ["failed"]
                and [one["status"] for one in e.data["mcpServers"] if one["name"] == "tracker"] == ["connected"]
            )
        )
        shown = {one.name: one for one in (await client.agent("alice")).mcp_servers}
        assert (shown["tracker"].status, shown["tracker"].tools) == ("connected", ["look", "poke"])
        assert shown["docs"].status == "failed"
        assert "no such file" in str(shown["docs"].error)

        sent = await client.send("bob", "Dawdle")
        end = await up.until(lambda e: e.type == "event" and e.data["kind"] == "turn_end" and not e.data["data"]["ok"])
        assert "maxTurnMinutes" in end.data["data"]["note"]
        await up.until(lambda e: e.type == "message" and e.data["to"] == "bob" and e.data["reason"] is not None)
        (row,) = await client.messages(to="bob")
        assert (row.id, row.state) == (sent.id, "waiting")
        assert "maxTurnMinutes" in str(row.reason)
