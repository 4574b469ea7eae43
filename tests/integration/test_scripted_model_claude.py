"""The real claude program against the scripted model: what the model takes for a turn is what claude sends as one."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, ResultMessage, create_sdk_mcp_server, tool

from hyperhive.testing.scripted_model import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SCENARIO: dict[str, Any] = {
    "agents": {
        "alice": {
            "rules": [
                {"when": "^hello from (?P<who>\\w+)", "steps": [{"thinking": "a guest"}, "hello {who} {x}"]},
                {
                    "when": "^look$",
                    "steps": [{"tool": "Bash", "input": {"command": "echo 4$((1+1))"}}, "saw {tool_result}"],
                },
                {"when": "^busy$", "steps": [{"error": {"status": 529}, "times": 2}, "at last"]},
                {
                    "when": "^drops$",
                    "steps": [
                        {"tool": "Bash", "input": {"command": "echo a"}},
                        {"drop": True},
                        "half",
                        {"drop": True},
                        "!",
                    ],
                },
                {"when": "^cut$", "steps": ["part", {"error": {"status": 529}}, "ial"]},
                {"when": "^long$", "steps": ["one", {"stop": "max_tokens"}, "two", {"stop": "max_tokens"}, "three"]},
                {"when": "^denied$", "steps": [{"error": {"status": 401, "message": "no"}}]},
                {"when": "^wait$", "times": 1, "steps": ["thinking about it", {"hang": True}]},
                {"when": "^wait$", "steps": ["no more waiting"]},
                {
                    "when": "^tell (\\w+): (.*)",
                    "steps": [
                        "on it",
                        {"tool": "send", "input": {"to": "{1}", "body": "{2}"}},
                        "told {1}: {tool_result}",
                    ],
                },
                {
                    "when": "^big$",
                    "times": 1,
                    "steps": [
                        {"usage": {"input_tokens": 150_000}},
                        {"tool": "Bash", "input": {"command": "echo b"}},
                        {"tool": "Bash", "input": {"command": "echo {0}"}},
                        "end of {0}, {tool_result}",
                    ],
                },
                {
                    "when": "^stuck$",
                    "times": 1,
                    "steps": [{"error": {"status": 400, "message": "prompt is too long"}}, "free"],
                },
            ],
            "otherwise": ["what?"],
        }
    }
}


class Agent:
    """One claude and the tool that it has."""

    def __init__(self, model: ScriptedModel, tmp_path: Path) -> None:
        self.model = model
        self.sent: list[dict[str, Any]] = []
        self.called = asyncio.Event()
        self.may_return = asyncio.Event()
        self.may_return.set()
        self._tmp_path = tmp_path
        self._client: ClaudeSDKClient | None = None

    @property
    def client(self) -> ClaudeSDKClient:
        assert self._client is not None
        return self._client

    def options(self, **more: Any) -> ClaudeAgentOptions:  # noqa: ANN401 - any option of claude
        @tool("send", "Send a message", {"to": str, "body": str})
        async def send(arguments: dict[str, Any]) -> dict[str, Any]:
            self.sent.append(arguments)
            self.called.set()
            await self.may_return.wait()
            return {"content": [{"type": "text", "text": f"{{id}} {len(self.sent)}"}]}

        for name in ("config", "work"):
            (self._tmp_path / name).mkdir(exist_ok=True)
        return ClaudeAgentOptions(
            model="haiku",
            cwd=self._tmp_path / "work",
            system_prompt="An agent.",
            permission_mode="dontAsk",
            tools=["Bash"],
            allowed_tools=["Bash", "mcp__hyperhive"],
            mcp_servers={"hyperhive": create_sdk_mcp_server("hyperhive", tools=[send])},
            setting_sources=[],
            env={
                "ANTHROPIC_BASE_URL": self.model.base_url("alice"),
                "ANTHROPIC_API_KEY": "dummy",
                "CLAUDE_CONFIG_DIR": str(self._tmp_path / "config"),
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
                "CLAUDE_CODE_MAX_RETRIES": "2",
                "DISABLE_AUTOUPDATER": "1",
                "DISABLE_TELEMETRY": "1",
            },
            **more,
        )

    @asynccontextmanager
    async def session(self, **more: Any) -> AsyncIterator[None]:  # noqa: ANN401 - any option of claude
        async with ClaudeSDKClient(self.options(**more)) as client:
            self._client = client
            yield

    async def says(self, prompt: str) -> str | None:
        return (await self.turn(prompt)).result

    async def turn(self, prompt: str) -> ResultMessage:
        await self.client.query(prompt)
        return await self.result()

    async def result(self) -> ResultMessage:
        async for message in self.client.receive_response():
            if isinstance(message, ResultMessage):
                return message
        pytest.fail("claude ended without a result")


@pytest.fixture
async def alice(tmp_path: Path) -> AsyncIterator[Agent]:
    async with ScriptedModel(SCENARIO) as model:
        yield Agent(model, tmp_path)


async def test_text_tools_and_the_log(alice: Agent) -> None:
    async with alice.session():
        assert await alice.says("hello from bob") == "hello bob {x}"
        assert await alice.says("look") == "saw 42"
        assert await alice.says("tell bob: {mind} the gap") == "told bob: {id} 1"
        assert alice.sent == [{"to": "bob", "body": "{mind} the gap"}]
        assert await alice.says("else") == "what?"
    first = alice.model.requests[0]
    assert (first.agent, first.prompt, first.auth, first.stream) == ("alice", "hello from bob", "api-key", True)
    assert {"Bash", "mcp__hyperhive__send"} <= set(first.tools)
    assert "An agent." in first.system
    assert len({request.session for request in alice.model.requests}) == 1
    assert alice.model.count("alice") == 6


async def test_after_an_error_the_turn_goes_on_where_it_stood(alice: Agent) -> None:
    async with alice.session():
        assert await alice.says("busy") == "at last"
        assert alice.model.count() == 3
        assert (await alice.says("drops") or "").endswith("!")
        assert await alice.says("long") == "three"
        assert (await alice.says("cut") or "").endswith("ial")


async def test_a_401_ends_the_turn_at_once(alice: Agent) -> None:
    async with alice.session():
        result = await alice.turn("denied")
        assert (result.is_error, result.api_error_status) == (True, 401)
        assert alice.model.count() == 1
        assert await alice.says("look") == "saw 42"


async def test_a_hanging_turn_can_be_interrupted_and_asked_again(alice: Agent) -> None:
    async with alice.session():
        await alice.client.query("wait")
        await alice.model.wait_for("alice")
        await alice.client.interrupt()
        assert (await alice.result()).terminal_reason == "aborted_streaming"
        assert await alice.says("wait") == "no more waiting"


async def test_a_resumed_session_continues_at_the_right_rule(alice: Agent) -> None:
    async with alice.session():
        assert await alice.says("look") == "saw 42"
        session = (await alice.turn("hello from bob")).session_id
    async with alice.session(resume=session):
        assert await alice.says("tell carol: hi") == "told carol: {id} 1"
    assert {request.session for request in alice.model.requests} == {session}
    assert [request.played for request in alice.model.requests][-1] == "agents.alice.rules[9]"


async def test_a_prompt_sent_in_mid_turn_is_the_newest(alice: Agent) -> None:
    alice.may_return.clear()
    async with alice.session():
        await alice.client.query("tell bob: hi")
        await alice.called.wait()
        await alice.client.query("look")
        # claude has read the second prompt once it has answered a request that came behind it
        await alice.client.get_mcp_status()
        alice.may_return.set()
        assert (await alice.result()).result == "saw 42"


async def test_a_compaction_in_mid_turn_loses_neither_place_nor_prompt(alice: Agent) -> None:
    async with alice.session(extra_args={"autocompact": "100k"}):
        assert await alice.says("hello from bob") == "hello bob {x}"
        assert await alice.says("big") == "end of big, big"
        big = [(request.kind, request.prompt) for request in alice.model.requests[1:]]
        assert big == [("turn", "big"), ("compaction", ""), ("turn", "big"), ("turn", "big")]
        assert await alice.says("stuck") == "free"
