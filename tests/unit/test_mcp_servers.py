"""An agent's own MCP servers: what is handed to `claude`, what is secret, and what is shown of them."""

from __future__ import annotations

import asyncio
from typing import Any

from hyperhive.harness.mcp_servers import McpServers, as_claude_wants, permissions, secrets_of
from hyperhive.harness.redact import Redactor
from hyperhive.wire import McpServerInfo

TRACKER = McpServerInfo(command="tracker", args=["-x"], env={"TRACKER_TOKEN": "made-up-1", "HOME": "/state"})
DOCS = McpServerInfo(url="http://x/mcp", headers={"Authorization": "Bearer made-up-2"}, allowed_tools=["read"])


class Surroundings:
    """What the servers are told to, and a `claude` that answers."""

    def __init__(self, *answers: list[dict[str, Any]]) -> None:
        self.answers, self.notes, self.reports = list(answers), list[dict[str, Any]](), list[Any]()
        self.redactor = Redactor()
        self.redactor.know(secrets_of({"tracker": TRACKER}))
        self.told = asyncio.Event()

    async def status(self) -> list[dict[str, Any]]:
        if not self.answers:
            msg = "an older program"
            raise RuntimeError(msg)
        return self.answers.pop(0)

    def emit(self, _kind: str, _turn: None, **data: Any) -> None:  # noqa: ANN401 - JSON
        self.notes.append(data)
        self.told.set()

    def tell(self, *, mcp_servers: list[Any]) -> None:
        self.reports.append(mcp_servers)


def watched(around: Surroundings) -> McpServers:
    return McpServers(around.status, around, around)  # type: ignore[arg-type]


def test_a_server_is_handed_over_as_claude_wants_it() -> None:
    assert as_claude_wants(TRACKER) == {"type": "stdio", "command": "tracker", "args": ["-x"], "env": TRACKER.env}
    assert as_claude_wants(DOCS) == {"type": "http", "url": "http://x/mcp", "headers": DOCS.headers}
    assert permissions({"tracker": TRACKER, "docs": DOCS}) == ["mcp__tracker", "mcp__docs__read"]
    assert permissions({"none": McpServerInfo(command="x", allowed_tools=[])}) == []


def test_secrets_are_what_is_called_so_and_no_reference_to_a_credential() -> None:
    referring = McpServerInfo(command="x", env={"API_KEY": "${API_KEY}", "PASSWORD": "made-up-3"})
    assert secrets_of({"tracker": TRACKER, "docs": DOCS, "x": referring}) == {
        "tracker.TRACKER_TOKEN": "made-up-1",
        "docs.Authorization": "made-up-2",
        "x.PASSWORD": "made-up-3",
    }
    assert "made-up" not in repr(TRACKER) + repr(DOCS)


async def test_what_changed_is_asked_for_once_and_shown_without_secrets() -> None:
    up = {"name": "tracker", "status": "connected", "tools": [{"name": "look"}, {"name": "poke"}, "odd"]}
    down = {"name": "docs", "status": "failed", "error": "no route for made-up-1"}
    around = Surroundings([up, down, {"name": "hyperhive", "status": "connected"}])
    servers = watched(around)
    said = [{"name": "tracker", "status": "connected"}, {"name": "docs", "status": "failed"}, {"name": "hyperhive"}]
    servers.look(said)
    await around.told.wait()
    servers.look(said)
    await servers.close()
    (note,) = around.notes
    assert note["text"] == "MCP servers: tracker connected, 2 tools; docs failed (no route for [tracker.TRACKER_TOKEN])"
    assert [(one.name, one.status, one.tools) for one in around.reports[0]] == [
        ("tracker", "connected", ["look", "poke"]),
        ("docs", "failed", []),
    ]
    assert len(around.reports) == 1


async def test_without_an_answer_what_claude_said_by_itself_is_shown() -> None:
    around = Surroundings()
    servers = watched(around)
    servers.look([{"name": "docs", "status": "failed"}])
    await around.told.wait()
    assert around.notes[0]["text"] == "MCP servers: docs failed"
    around.told.clear()
    servers.look([])
    await around.told.wait()
    assert around.reports[-1] == []
    await servers.close()


async def test_nonsense_is_no_server() -> None:
    around = Surroundings()
    servers = watched(around)
    servers.look(None)
    servers.look(["x", {"name": 5}, {"status": "failed"}])
    await servers.close()
    assert around.notes == []
