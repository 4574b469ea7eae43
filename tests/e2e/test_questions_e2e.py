"""An agent asks with its tool, the operator answers with the client, and the agent goes on with the answer."""

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
                        {
                            "tool": "ask_operator",
                            "input": {
                                "question": "Which colour?",
                                "options": ["red", "blue"],
                                "ttl_seconds": 3600,
                                "default": "red",
                            },
                        },
                        {"tool": "ask", "input": {"to": "bob", "question": "Which shade?"}},
                        "I have asked: {tool_result}",
                    ],
                },
                {
                    "when": r"question (?P<n>\d+) to (?P<who>\w+) was answered by \w+:\n\| (?P<answer>[a-z ]+)",
                    "steps": [{"tool": "send", "input": {"to": "operator", "body": "{who} says {answer} to {n}"}}],
                },
            ]
        },
        "bob": {
            "rules": [
                {
                    "when": r"alice asks you. This is question (?P<n>\d+):\n\| Which shade",
                    "steps": [
                        {"tool": "answer", "input": {"id": 2, "text": "dark"}},
                        "{tool_result}",
                    ],
                }
            ]
        },
    }
}


async def test_questions_go_from_tool_to_message(tmp_path: Path) -> None:
    agents = {"alice": {}, "bob": {}}
    async with swarm(tmp_path, _SCENARIO, runtime="process", agents=agents) as up, up.client() as client:
        await client.send("alice", "Paint the shed.")
        await up.until(lambda e: e.type == "question" and e.data["to"] == "operator")
        (item,) = [one for one in (await client.state()).waiting if one.kind == "question"]
        (question,) = [one for one in await client.questions(status="open") if one.id == item.ref]
        assert (question.asker, question.text, question.options, question.default) == (
            "alice", "Which colour?", ["red", "blue"], "red",
        )  # fmt: skip
        await client.answer(question.id, choices=["blue"])
        assert (await up.message_to_operator("operator says"))["body"] == f"operator says blue to {question.id}"
        assert (await up.message_to_operator("bob says"))["body"] == "bob says dark to 2"
        assert [row.status for row in await client.questions()] == ["answered", "answered"]
