"""The manager as the real claude: it asks for an agent, reads a log, restarts another one, and is held to its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swarm import swarm

if TYPE_CHECKING:
    from pathlib import Path

    from hyperhive.client import HiveClient


def _send(body: str) -> dict[str, Any]:
    return {"tool": "send", "input": {"to": "operator", "body": body}}


_SPAWN = {"name": "coder", "description": "writes code", "prompt": "You write code."}
_SCENARIO: dict[str, Any] = {
    "agents": {
        "manager": {
            "rules": [
                {
                    "when": "(?s)from operator.*hire",
                    "steps": [{"tool": "request_spawn", "input": _SPAWN}, "{tool_result}"],
                },
                {
                    "when": "(?s)from operator.*look after bob",
                    "steps": [
                        {"tool": "get_logs", "input": {"name": "bob", "lines": 5}},
                        {"tool": "restart", "input": {"name": "bob"}},
                        {"tool": "stop", "input": {"name": "manager"}},
                        {"tool": "request_spawn", "input": {"name": "bob"}},
                        _send("bob is looked after"),
                    ],
                },
                {"when": '"event": "approval_resolved".*"status": "(?P<how>[a-z]+)"', "steps": [_send("it is {how}")]},
            ],
            "otherwise": ["Nothing to do."],
        },
        "coder": {"rules": [{"when": "you were made", "steps": [_send("I am here")]}], "otherwise": ["ok"]},
        "bob": {
            "rules": [
                {
                    "when": "from operator",
                    "steps": [{"tool": "stop", "input": {"name": "manager"}}, "no: {tool_result}"],
                }
            ],
            "otherwise": ["ok"],
        },
    }
}


async def _results(client: HiveClient, name: str) -> list[str]:
    """What the agent's tools gave, oldest first, without what was sent."""
    found = [e.data for e in reversed(await client.events(name)) if e.kind == "tool_result"]
    return [str(data["content"]) for data in found if data["name"] != "mcp__hyperhive__send"]


async def test_the_manager_asks_runs_and_reads(tmp_path: Path, runtime: str) -> None:
    agents: dict[str, Any] = {"bob": {}}
    async with swarm(tmp_path, _SCENARIO, runtime=runtime, agents=agents, manager=True) as up, up.client() as client:
        assert {row.name: row.role for row in await client.agents()} == {"bob": "agent", "manager": "manager"}
        await client.send("manager", "Please hire a coder.")
        event = await up.until(lambda e: e.type == "approval" and e.data["status"] == "pending")
        approval = event.data
        assert (approval["kind"], approval["agent"], approval["requestedBy"]) == ("spawn", "coder", "manager")
        assert approval["description"] == "writes code"
        await client.approve(approval["id"])
        assert (await up.message_to_operator("it is "))["body"] == "it is deployed"
        assert (await up.message_to_operator("I am here"))["from"] == "coder"
        coder = await client.agent("coder")
        assert (coder.origin, coder.description) == ("spawned", "writes code")

        before = (await client.agent("bob")).pid
        await client.send("manager", "Please look after bob.")
        await up.message_to_operator("bob is looked after")
        # What a tool does may be seen before what claude says of it; that comes in its order.
        await up.until(
            lambda e: (
                e.type == "event" and e.data["kind"] == "tool_call" and "bob is looked after" in str(e.data["data"])
            )
        )
        spawn, logs, restart, itself, taken = await _results(client, "manager")
        assert "as approval 1" in spawn
        assert "The harness of 'bob' " in logs or "What the harness of 'bob' printed" in logs
        assert "'bob' runs again" in restart
        assert "the manager cannot do this to itself" in itself
        assert "there is an agent of that name" in taken
        await up.until(
            lambda e: (
                e.type == "agent"
                and (e.data["name"], e.data["state"]) == ("bob", "idle")
                and e.data["pid"] not in {None, before}
            )
        )
        audit = [(row.actor, row.action, row.subject) for row in await client.audit()]
        assert ("manager", "restart", "bob") in audit
        assert [entry for entry in audit if entry[0] == "manager" and entry[1] == "stop"] == []


async def test_another_agent_has_none_of_its_tools(tmp_path: Path) -> None:
    async with (
        swarm(tmp_path, _SCENARIO, runtime="process", agents={"bob": {}}, manager=True) as up,
        up.client() as client,
    ):
        await client.send("bob", "Stop the manager.")
        await up.until(lambda e: e.type == "event" and e.data["agent"] == "bob" and e.data["kind"] == "turn_end")
        (result,) = await _results(client, "bob")
        assert "No such tool" in result
        assert (await client.agent("manager")).wanted == "running"
        assert "stop" not in [row.action for row in await client.audit()]
