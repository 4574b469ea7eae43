"""MCP servers of the agent's own, with the real `claude`: used, allowed, changed, broken, slow."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

from harness_place import Place, place

from hyperhive.wire import McpServerInfo

PROGRAM = str(Path(__file__).with_name("mcp_program.py"))
SECRET = "made-up-and-secret"


def program(*arguments: str, allowed: list[str] | None = None, **environment: str) -> McpServerInfo:
    """A server that is a program."""
    return McpServerInfo(command=sys.executable, args=[PROGRAM, *arguments], env=environment, allowed_tools=allowed)


def use(*tools: str) -> dict[str, Any]:
    """The model calls these tools."""
    return {"when": "go", "steps": [*({"tool": f"mcp__{tool}", "input": {}} for tool in tools), "done"]}


def told(here: Place) -> dict[str, dict[str, Any]]:
    """How the servers are, as the hive was told last."""
    reports = [report["mcpServers"] for report in here.hive.reports if report.get("mcpServers") is not None]
    return {one["name"]: one for one in reports[-1]} if reports else {}


async def turn(here: Place, count: int) -> list[dict[str, Any]]:
    """One more turn; the results of its tools."""
    seen = len(here.hive.data("tool_result"))
    await here.hive.put("go")
    assert await here.outcomes(count) == ["settled"] * count
    await here.hive.until(lambda: len(here.hive.data("turn_end")) == count)
    return here.hive.data("tool_result")[seen:]


async def test_a_server_is_used_with_a_credential_in_its_environment_and_that_is_shown_nowhere(tmp_path: Path) -> None:
    async with place(tmp_path, use("tracker__look", "tracker__poke")) as here:
        (tmp_path / "credentials" / "TRACKER_TOKEN").write_text(SECRET)
        servers = {"tracker": program("--as", "${TRACKER_TOKEN}", allowed=["look"], TOKEN="${TRACKER_TOKEN}")}
        here.set(mcp_servers=servers)
        here.start()
        looked, poked = await turn(here, 1)
        answer = json.loads(looked["content"])
        # The program got the secret; what is shown of its answer did not keep it.
        assert (answer["token"], answer["argv"]) == ("[TRACKER_TOKEN]", ["--as", "[TRACKER_TOKEN]"])
        assert poked["isError"], "it is not among the allowed ones"
        assert "mcp__tracker__look" in here.model.requests[0].tools
        await here.hive.until(lambda: told(here).get("tracker", {}).get("status") == "connected")
        assert told(here)["tracker"]["tools"] == ["look", "poke"]
        await here.hive.until(
            lambda: any("tracker connected, 2 tools" in one["text"] for one in here.hive.data("note"))
        )
        assert SECRET not in str(here.hive.events) + str(here.hive.reports)


async def test_servers_that_do_not_start_are_shown_with_their_errors_and_the_turn_runs(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/mcp"
    async with place(tmp_path, use("good__look")) as here:
        here.set(
            mcp_servers={
                "good": program(),
                "missing": McpServerInfo(command="/no/such/program"),
                "broken": program(BROKEN="there is no database"),
                "remote": McpServerInfo(url=url, headers={"Authorization": "Bearer ${ANTHROPIC_API_KEY}"}),
            }
        )
        here.start()
        (looked,) = await turn(here, 1)
        assert not looked["isError"]
        await here.hive.until(lambda: told(here).get("good", {}).get("status") == "connected")
        assert {name: one["status"] for name, one in told(here).items()} == {
            "good": "connected",
            "missing": "failed",
            "broken": "failed",
            "remote": "failed",
        }
        assert "no such file" in told(here)["missing"]["error"]
        assert told(here)["remote"]["error"]
        notes = [note for note in here.hive.data("note") if note["text"].startswith("MCP servers:")]
        await turn(here, 2)
        assert [note for note in here.hive.data("note") if note["text"].startswith("MCP servers:")] == notes, (
            "said once"
        )


async def test_a_changed_server_is_used_by_the_next_turn_and_one_that_is_gone_is_gone(tmp_path: Path) -> None:
    async with place(tmp_path, use("tracker__look")) as here:
        here.set(mcp_servers={"tracker": program("one")})
        here.start()
        (first,) = await turn(here, 1)
        (same,) = await turn(here, 2)
        here.set(mcp_servers={"tracker": program("two")})
        (second,) = await turn(here, 3)
        answers = [json.loads(one["content"]) for one in (first, same, second)]
        assert [answer["argv"] for answer in answers] == [["one"], ["one"], ["two"]]
        assert answers[0]["pid"] == answers[1]["pid"] != answers[2]["pid"]
        here.set(mcp_servers={})
        (gone,) = await turn(here, 4)
        assert gone["isError"]
        await here.hive.until(lambda: here.hive.reports and told(here) == {})
        assert len({request.session for request in here.model.requests}) == 1


async def test_a_turn_waits_for_a_slow_server_only_so_long_and_it_is_there_later(tmp_path: Path) -> None:
    async with place(tmp_path, use("slow__look")) as here:
        environment = here.hive.me.environment | {"MCP_TIMEOUT": "1000"}
        here.set(mcp_servers={"slow": program(SLOW="4")}, environment=environment)
        here.start()
        (early,) = await turn(here, 1)
        assert early["isError"]
        await here.hive.until(lambda: told(here).get("slow", {}).get("status") not in {None, "pending"})
        assert told(here)["slow"]["status"] == "failed"


async def test_the_hives_own_server_cannot_be_replaced(tmp_path: Path) -> None:
    async with place(tmp_path, {"when": "go", "steps": [{"tool": "whoami", "input": {}}, "done"]}) as here:
        here.set(mcp_servers={"hyperhive": program()})
        here.start()
        (about,) = await turn(here, 1)
        assert 'You are "alice"' in about["content"]
