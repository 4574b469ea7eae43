"""The scripted model without claude: its format, its place in a conversation, its faults, its log."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from hyperhive.errors import HiveError
from hyperhive.testing.scripted_model import Rule, Scenario, Script, ScriptedModel
from hyperhive.testing.scripted_model.__main__ import main
from hyperhive.testing.scripted_model.conversation import read_turn
from hyperhive.testing.scripted_model.steps import KINDS, Text
from hyperhive.testing.scripted_model.template import fill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Message = dict[str, Any]
DOCUMENT = Path(__file__).parents[2] / "docs" / "scripted-model.md"


def user(*texts: str) -> Message:
    return {"role": "user", "content": [{"type": "text", "text": text} for text in texts]}


def result(answer: Message, text: str) -> Message:
    blocks = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": text}
        for block in answer["content"]
        if block["type"] == "tool_use"
    ]
    return {"role": "user", "content": blocks}


class Client:
    """Speaks the Messages API as `alice`."""

    def __init__(self, model: ScriptedModel, http: httpx.AsyncClient) -> None:
        self.model = model
        self.http = http

    async def post(self, *messages: Message, agent: str = "alice", session: str = "s1", **more: Any) -> httpx.Response:  # noqa: ANN401 - JSON values
        body = {"model": "haiku", "messages": list(messages), **more}
        headers = {"x-api-key": "secret", "x-claude-code-session-id": session}
        return await self.http.post(f"{self.model.base_url(agent)}/v1/messages?beta=true", json=body, headers=headers)

    async def ask(self, *messages: Message, **more: Any) -> Message:  # noqa: ANN401 - JSON values
        response = await self.post(*messages, **more)
        assert response.status_code == 200, response.text
        answer: Message = response.json()
        return answer

    async def says(self, *messages: Message, **more: Any) -> str:  # noqa: ANN401 - JSON values
        answer = await self.ask(*messages, **more)
        return " ".join(block["text"] for block in answer["content"] if block["type"] == "text")


@asynccontextmanager
async def playing(*rules: Message, **more: Any) -> AsyncIterator[Client]:  # noqa: ANN401 - JSON values
    scenario = {"agents": {"alice": {"rules": list(rules), **more}}}
    async with ScriptedModel(scenario) as model, httpx.AsyncClient(trust_env=False) as http:
        yield Client(model, http)


def always(*steps: object) -> Message:
    return {"steps": list(steps)}


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ({"rulez": []}, "agents.alice.rulez: there is no such key"),
        ({"rules": [{"when": "("}]}, "agents.alice.rules[0].when: '(' is no regular expression"),
        ({"rules": [{"when": "x"}]}, "agents.alice.rules[0].steps: this key is missing"),
        (
            {"rules": [{"steps": ["a", {"text": "b", "chunks": 2}]}]},
            "agents.alice.rules[0].steps[1].chunks: there is no",
        ),
        ({"otherwise": [{"say": "hello"}]}, "agents.alice.otherwise[0]: a step is a string or an object with exactly"),
        ({"otherwise": [{"text": "a", "tool": "Bash"}]}, "agents.alice.otherwise[0]: a step is a string or an object"),
        (
            {"otherwise": [{"error": {"status": 200}}]},
            "agents.alice.otherwise[0].error.status: Input should be greater",
        ),
        ({"otherwise": [{"tool": "two words"}]}, "agents.alice.otherwise[0].tool: String should match"),
        ({"otherwise": []}, "agents.alice.otherwise: List should have at least 1 item"),
    ],
)
def test_a_wrong_key_is_named_with_its_path(script: Message, problem: str) -> None:
    with pytest.raises(HiveError) as caught:
        Scenario.parse({"agents": {"alice": script}})
    assert caught.value.code == "bad_config"
    assert problem in caught.value.message


def test_an_owner_is_an_agent_or_everyone() -> None:
    with pytest.raises(HiveError, match="cannot be an agent's name"):
        Scenario.parse({"agents": {"Alice Smith": {}}})


def test_a_scenario_of_python_is_that_of_json() -> None:
    rule = Rule(when="hello", times=1, steps=[Text(text="hi")])
    built = Scenario(agents={"alice": Script(rules=[rule])})
    assert built == Scenario.parse({"agents": {"alice": {"rules": [{"when": "hello", "times": 1, "steps": ["hi"]}]}}})


def test_a_template_leaves_every_brace_that_is_no_name() -> None:
    values = {"name": "{prompt}", "prompt": "{", "1": "one"}
    assert (
        fill("{name} {1} {2} {other} {} {{ }} {a.b} {0!r}", values) == "{prompt} one {2} {other} {} {{ }} {a.b} {0!r}"
    )


# What claude 2.1.330 was seen to send, reduced.
REMINDER = "<system-reminder>\nAttribution\n</system-reminder>\n"
INJECTED = "The user sent a new message while you were working:\nnew\n\nThis is how Claude Code surfaces messages …"
ASSISTANT: Message = {"role": "assistant", "content": [{"type": "text", "text": "half"}]}
TOOL: Message = {
    "role": "assistant",
    "content": [{"type": "tool_use", "id": "toolu_own_3_4_ab", "name": "Bash", "input": {}}],
}
RESULT: Message = {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "out"}]}]}
REJECTED: Message = {
    "role": "user",
    "content": [*RESULT["content"], *user("[Request interrupted by user]\n", "b")["content"]],
}


@pytest.mark.parametrize(
    ("messages", "prompt", "answers"),
    [
        ([user(REMINDER, "hello"), {"role": "system", "content": "# Environment"}], "hello", 0),
        ([user("a"), ASSISTANT, {"role": "user", "content": "b"}], "b", 0),
        ([user(f"{REMINDER}hello")], "hello", 0),
        ([user("m1", "m2", "m3")], "m1\nm2\nm3", 0),
        ([user("never answered\n", "x1", "x2")], "x1\nx2", 0),
        ([user("eight\n", "[Request interrupted by user]\n", "nine")], "nine", 0),
        ([user("a"), TOOL, REJECTED], "b", 0),
        (
            [user("<command-name>/compact</command-name>\n", "<local-command-stdout>x</local-command-stdout>\n", "c")],
            "c",
            0,
        ),
        ([user("a"), TOOL, RESULT], "a", 1),
        ([user("a"), TOOL, RESULT, {"role": "system", "content": INJECTED}], "new", 0),
        ([user("a"), TOOL, RESULT, {"role": "system", "content": INJECTED}, TOOL, RESULT], "new", 1),
        ([user("a"), ASSISTANT, user("Output token limit hit. Resume directly")], "a", 1),
        ([user("a\n", "[Your previous response had no visible output. Please continue")], "a", 0),
        ([user("This session is being continued from a previous conversation that"), TOOL, RESULT], None, 1),
    ],
)
def test_the_newest_prompt_is_found(messages: list[Message], prompt: str | None, answers: int) -> None:
    turn = read_turn(messages)
    assert (turn.prompt, turn.answers) == (prompt, answers)


def test_a_summary_is_asked_for_also_behind_the_result_of_a_tool() -> None:
    wanted = [*RESULT["content"], *user("CRITICAL: Respond with TEXT ONLY. Do")["content"]]
    assert read_turn([user("a"), TOOL, {"role": "user", "content": wanted}]).compaction
    assert read_turn([user("a"), user("CRITICAL: Respond with TEXT ONLY. Do")]).compaction
    assert not read_turn([user("CRITICAL: Respond with TEXT ONLY"), ASSISTANT, user("on")]).compaction


async def test_rules_are_tried_in_order_and_groups_fill_the_reply() -> None:
    rules = [
        {"when": "add (\\d+)", "steps": ["{agent}: {1}"]},
        {"when": "from (?P<who>\\w+)", "steps": ["hi {who} {x}"]},
    ]
    async with playing(*rules, otherwise=["what is {prompt}?"]) as alice:
        assert await alice.says(user("add 7 from bob")) == "alice: 7"
        assert await alice.says(user("from bob")) == "hi bob {x}"
        assert await alice.says(user("{braces} {0}")) == "what is {braces} {0}?"


async def test_a_turn_goes_on_behind_its_tool_call() -> None:
    steps = [
        {"thinking": "hm"},
        {"tool": "send", "input": {"to": "bob", "body": ["{0}"]}},
        "sent: {tool_result}",
        {"tool": "Bash"},
    ]
    async with playing({"when": "tell.*", "steps": steps}) as alice:
        prompt = user("please tell him")
        first = await alice.ask(prompt)
        assert first["stop_reason"] == "tool_use"
        assert first["content"][0]["thinking"] == "hm"
        assert first["content"][1]["name"] == "mcp__hyperhive__send"
        assert first["content"][1]["input"] == {"to": "bob", "body": ["tell him"]}
        history = [prompt, {"role": "assistant", "content": first["content"]}, result(first, "id 7 {agent}")]
        second = await alice.ask(*history)
        assert second["content"][0]["text"] == "sent: id 7 {agent}"
        assert second["content"][1]["name"] == "Bash"
        assert await alice.ask(*history) != second, "the ids of two responses differ"
        history += [{"role": "assistant", "content": second["content"]}, result(second, "")]
        assert await alice.says(*history) == "Done."


async def test_the_place_is_known_without_the_prompt_and_to_another_server() -> None:
    script = always({"tool": "Bash"}, "then this")
    async with playing({"when": "never", "steps": ["no"]}, script) as alice:
        first = await alice.ask(user("go"))
    tail = [{"role": "assistant", "content": first["content"]}, result(first, "")]
    async with playing({"when": "never", "steps": ["no"]}, script) as alice:
        assert (
            await alice.says(user("This session is being continued from a previous conversation"), *tail) == "then this"
        )


async def test_parallel_tools_share_a_response() -> None:
    one = {"tool": "Bash", "parallel": True}
    async with playing(always(one, one, {"tool": "Read"}, "end")) as alice:
        first = await alice.ask(user("go"))
        assert [block["name"] for block in first["content"]] == ["Bash", "Bash"]
        second = await alice.ask(user("go"), {"role": "assistant", "content": first["content"]}, result(first, ""))
        assert [block["name"] for block in second["content"]] == ["Read"]


async def test_a_rule_is_spent_by_turns_and_not_by_retries() -> None:
    limited = {"times": 1, "steps": [{"error": {"status": 529}, "times": 2}, {"tool": "Bash"}, "first"]}
    async with playing(limited, always("later")) as alice:
        assert [(await alice.post(user("go"))).status_code for _ in range(2)] == [529, 529]
        answer = await alice.ask(user("go"))
        history = [user("go"), {"role": "assistant", "content": answer["content"]}, result(answer, "")]
        assert await alice.says(*history) == "first"
        assert await alice.says(*history, ASSISTANT, user("go")) == "later"


async def test_the_same_prompt_after_an_interrupt_is_another_turn() -> None:
    async with playing({"times": 1, "steps": [{"error": {"status": 400}}]}, always("again")) as alice:
        assert (await alice.post(user("go"))).status_code == 400
        assert await alice.says(user("go\n", "[Request interrupted by user]\n", "go")) == "again"
    async with playing({"times": 1, "steps": [{"error": {"status": 400}}]}, always("again")) as alice:
        assert (await alice.post(user("go"))).status_code == 400
        assert await alice.says(user("go"), session="s2") == "again"


async def test_a_compaction_in_between_spends_no_rule() -> None:
    steps = [{"error": {"status": 400, "message": "prompt is too long"}}, "made it"]
    async with playing({"times": 1, "steps": steps}) as alice:
        assert (await alice.post(user("a"), ASSISTANT, user("go"))).status_code == 400
        assert "<summary>" in await alice.says(
            user("a"), ASSISTANT, user("go\n", "CRITICAL: Respond with TEXT ONLY. x")
        )
        assert await alice.says(user("This session is being continued from a previous …\n", "go")) == "made it"


async def test_a_stop_ends_the_response_and_the_next_goes_on_behind_it() -> None:
    async with playing(always("half", {"stop": "max_tokens"}, "rest")) as alice:
        first = await alice.ask(user("go"))
        assert (first["stop_reason"], first["content"][0]["text"]) == ("max_tokens", "half")
        assert await alice.says(user("go"), ASSISTANT, user("Output token limit hit. Resume")) == "rest"


async def test_everyones_script_fills_what_an_agents_own_leaves_open() -> None:
    scenario = {
        "agents": {"alice": {"rules": [{"when": "a", "steps": ["own"]}]}, "*": {"otherwise": ["shared {agent}"]}}
    }
    async with ScriptedModel(scenario) as model, httpx.AsyncClient(trust_env=False) as http:
        alice = Client(model, http)
        assert [await alice.says(user(text)) for text in "ab"] == ["own", "shared alice"]
        assert await alice.says(user("a"), agent="bob") == "shared bob"
        played = [request.played for request in model.requests]
        assert played == ["agents.alice.rules[0]", "agents.*.otherwise", "agents.*.otherwise"]


@pytest.mark.parametrize(
    ("system", "agent"),
    [('x\nYou are "bob", an agent', "bob"), ([{"type": "text", "text": 'You are "bob".'}], "bob"), ("", "*")],
)
async def test_the_system_prompt_names_the_agent_where_the_url_does_not(system: object, agent: str) -> None:
    async with ScriptedModel({"agents": {}}) as model, httpx.AsyncClient(trust_env=False) as http:
        body = {"model": "haiku", "messages": [user("x")], "system": system}
        await http.post(f"{model.url}/v1/messages", json=body)
        assert model.requests[0].agent == agent
        assert model.requests[0].auth == "none"


@pytest.mark.parametrize(
    ("status", "kind", "retry"),
    [
        (401, "authentication_error", "false"),
        (429, "rate_limit_error", "true"),
        (418, "invalid_request_error", "false"),
        (529, "overloaded_error", "true"),
    ],
)
async def test_an_error_says_whether_to_retry(status: int, kind: str, retry: str) -> None:
    error = {"status": status, "message": "no {0}", "headers": {"retry-after": "7"}}
    async with playing({"when": "go", "steps": [{"error": error}]}) as alice:
        for _ in range(2):  # the last step happens always
            response = await alice.post(user("go"))
            assert response.status_code == status
            assert response.headers["x-should-retry"] == retry
            assert response.headers["retry-after"] == "7"
            assert response.json() == {"type": "error", "error": {"type": kind, "message": "no go"}}


async def test_a_stream_says_the_same_as_one_object() -> None:
    steps = [
        {"thinking": "hm"},
        {"text": "hello there", "chunk": 4, "pace": 0},
        {"tool": "Bash", "input": {"command": "x"}},
    ]
    usage = {"usage": {"input_tokens": 150_000, "output_tokens": 3}}
    async with playing(always(*steps[:2], usage, steps[2])) as alice:
        whole = await alice.ask(user("go"))
        response = await alice.post(user("go"), stream=True)
        assert response.headers["content-type"] == "text/event-stream"
        events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]
        pieces = [event["delta"]["text"] for event in events if event.get("delta", {}).get("type") == "text_delta"]
        assert pieces == ["hell", "o th", "ere"]
        assert [block["type"] for block in whole["content"]] == ["thinking", "text", "tool_use"]
        assert whole["content"][1]["text"] == "hello there"
        assert whole["content"][2]["input"] == {"command": "x"}
        assert events[0]["message"]["usage"]["input_tokens"] == whole["usage"]["input_tokens"] == 150_000
        assert events[-2]["delta"]["stop_reason"] == whole["stop_reason"] == "tool_use"
        assert events[-1] == {"type": "message_stop"}


async def read_into(seen: bytearray, alice: Client) -> None:
    body = {"messages": [user("go")], "stream": True}
    async with alice.http.stream("POST", f"{alice.model.base_url('alice')}/v1/messages", json=body) as response:
        async for data in response.aiter_bytes():
            seen += data


async def test_a_drop_closes_before_the_headers_or_in_mid_stream() -> None:
    async with playing(always({"drop": True}, "half", {"drop": True}, " and whole")) as alice:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await alice.post(user("go"), stream=True)
        seen = bytearray()
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            await read_into(seen, alice)
        assert b"half" in seen
        assert b"content_block_stop" not in seen
        assert await alice.says(user("go")) == "half  and whole"


async def test_an_error_in_mid_stream_is_an_event() -> None:
    async with playing(always("half", {"error": {"status": 529}})) as alice:
        response = await alice.post(user("go"), stream=True)
        assert response.status_code == 200
        assert response.text.rstrip().endswith('"error":{"type":"overloaded_error","message":"scripted error"}}')


async def test_a_hang_ends_with_the_client_and_with_the_model() -> None:
    before = asyncio.all_tasks()
    async with playing(always("a", {"hang": True})) as alice:
        asked = [
            asyncio.create_task(alice.post(user("go"), stream=stream, session=str(stream))) for stream in (True, False)
        ]
        await alice.model.wait_for("alice", 2)
        asked[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked[0]
        assert not asked[1].done()
        await alice.model.__aexit__(None, None, None)
        with pytest.raises(httpx.RemoteProtocolError):
            await asked[1]
    assert asyncio.all_tasks() == before


async def test_the_log_tells_what_was_asked_and_no_secret() -> None:
    async with playing(otherwise=["ok"]) as alice:
        waiting = asyncio.create_task(alice.model.wait_for("alice", 2))
        await alice.ask(user("one"), tools=[{"name": "Bash"}, {"name": "mcp__hyperhive__send"}])
        await alice.http.post(f"{alice.model.url}/v1/messages/count_tokens", json={"messages": [user("x")]})
        assert not waiting.done()
        await alice.ask(user("two"), system="be kind")
        second = await waiting
        first = await alice.model.wait_for("alice")
        assert (first.prompt, first.tools, first.auth, first.session) == (
            "one", ("Bash", "mcp__hyperhive__send"), "api-key", "s1",
        )  # fmt: skip
        assert (second.prompt, second.system, second.messages, second.stream) == ("two", "be kind", 1, False)
        assert first.arrived < second.arrived
        assert (alice.model.count("alice"), alice.model.count(), alice.model.count(kind=None)) == (2, 2, 3)
        assert "secret" not in repr(alice.model.requests)


async def test_whoever_waits_is_told_that_the_model_was_closed() -> None:
    async with ScriptedModel({"agents": {}}) as model:
        waiting = asyncio.create_task(model.wait_for("alice"))
        await asyncio.sleep(0)
    with pytest.raises(ConnectionError):
        await waiting
    with pytest.raises(ConnectionError):
        await model.wait_for("alice")
    with pytest.raises(RuntimeError, match="async with"):
        _ = model.url


async def test_what_is_not_the_api_is_refused_in_its_form() -> None:
    async with playing() as alice:
        url = alice.model.url
        assert (await alice.http.head(f"{url}/api/hello")).status_code == 200
        for response in (await alice.http.get(f"{url}/v1/models"), await alice.http.get(f"{url}/v1/messages")):
            assert response.status_code == 404
            assert response.json()["error"]["type"] == "not_found_error"
        for content in (b"{", b"[]", b'{"messages": [1]}', b"\xff"):
            response = await alice.http.post(f"{url}/v1/messages", content=content)
            assert response.status_code == 400
        counted = await alice.http.post(f"{url}/agents/alice/v1/messages/count_tokens", json={"messages": [user("x")]})
        assert counted.json()["input_tokens"] > 0


def test_the_command_line_names_the_wrong_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scenario.json"
    assert main([str(path)]) == 2
    path.write_text('{"agents": {"alice": {"rule": []}}}', encoding="utf-8")
    assert main([str(path)]) == 2
    assert "agents.alice.rule: there is no such key" in capsys.readouterr().err


async def test_the_command_line_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    path = tmp_path / "scenario.json"
    path.write_text('{"agents": {"*": {"otherwise": ["ok"]}}}', encoding="utf-8")
    program = [sys.executable, "-m", "hyperhive.testing.scripted_model", str(path)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*program, stdout=pipe, stderr=pipe)
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with httpx.AsyncClient(trust_env=False) as http:
        response = await http.post(f"{url}/agents/bob/v1/messages", json={"messages": [user("hello")]})
    assert response.json()["content"][0]["text"] == "ok"
    process.send_signal(signal.SIGTERM)
    _, said = await process.communicate()
    assert (process.returncode, said.decode()) == (0, "bob: turn 'hello' -> agents.*.otherwise\n")


def test_the_document_shows_scenarios_that_are_right_and_all_steps() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    examples = re.findall(r"^```json\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(examples) == 4
    for example in examples:
        Scenario.parse(json.loads(example))
    assert [kind for kind in KINDS if f'{{"{kind}": ' not in text] == []
