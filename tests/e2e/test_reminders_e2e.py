"""An agent reminds itself with its tool, sleeps, and is woken; it looks at what is open and takes something back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm import swarm

if TYPE_CHECKING:
    from pathlib import Path

_SCENARIO = {
    "agents": {
        "alice": {
            "rules": [
                {
                    "when": "Message from operator",
                    "steps": [
                        {"tool": "remind", "input": {"message": "look at the build", "delay_seconds": 1}},
                        {"tool": "remind", "input": {"message": "too late", "delay_seconds": 3600}},
                        "Set: {tool_result}",
                    ],
                },
                {
                    "when": r"Message from reminder:\nYou asked at .* \(reminder (?P<n>\d+)\)\.\n\n(?P<what>[a-z ]+)",
                    "steps": [
                        {"tool": "cancel_loose_end", "input": {"kind": "reminder", "id": 2}},
                        {"tool": "get_loose_ends", "input": {}},
                        {"tool": "send", "input": {"to": "operator", "body": "{n}: {what}. {tool_result}"}},
                    ],
                },
            ]
        },
    }
}


async def test_an_agent_wakes_itself(tmp_path: Path) -> None:
    async with swarm(tmp_path, _SCENARIO, runtime="process", agents={"alice": {}}) as up, up.client() as client:
        await client.send("alice", "Look after the build.")
        told = await up.message_to_operator("1: look at the build")
        assert "You have nothing open." in told["body"]
        first, second = sorted((await client.reminders()).reminders, key=lambda row: row.id)
        assert (first.status, second.status, second.ended_by) == ("fired", "cancelled", "alice")
