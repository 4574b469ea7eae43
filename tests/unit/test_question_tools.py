"""The tools `ask`, `ask_operator` and `answer` as Claude calls them, with a hive that is away for a while."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hyperhive import wire
from hyperhive.errors import HiveError
from hyperhive.harness import tools as tools_module
from hyperhive.harness.control import Control
from hyperhive.harness.settings import Settings, Timings
from hyperhive.harness.tools import HiveTools

_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Hive:
    """Remembers what is asked of it; the first `away` requests find nobody."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.asked: list[wire.AskRequest] = []
        self.answered: list[tuple[int, wire.AnswerRequest]] = []

    def _here(self) -> None:
        if self.away:
            self.away -= 1
            raise HiveError("no_daemon", "the hive does not answer")

    async def ask(self, request: wire.AskRequest) -> wire.QuestionAnswer:
        self.asked.append(request)
        self._here()
        deadline = _AT if request.ttl_seconds else None
        return wire.QuestionAnswer(id=7, asker="alice", to=request.to, status="open", deadline=deadline)

    async def answer(self, question: int, request: wire.AnswerRequest) -> wire.QuestionAnswer:
        self.answered.append((question, request))
        self._here()
        if question == 9:
            raise HiveError("not_allowed", "question 9 was not asked of 'alice'", "Answer what you are asked")
        return wire.QuestionAnswer(id=question, asker="bob", to="alice", status="answered")


class Tools:
    """The tools by name, called as the SDK does: first the schema, then the handler."""

    def __init__(self, hive: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401 - a stand-in
        found: list[Any] = []
        monkeypatch.setattr(tools_module.sdk, "create_sdk_mcp_server", lambda _name, tools: found.extend(tools) or {})
        root = Path("/x")
        settings = Settings(
            socket=root, state=root, shared=root, claude_config=root, timings=Timings(tool_retries=(0, 0, 0))
        )
        reporter: Any = None
        HiveTools(hive, Control(), reporter, settings).server()
        self._tools = {tool.name: tool for tool in found}

    async def __call__(self, name: str, **arguments: Any) -> tuple[str, bool]:  # noqa: ANN401 - JSON
        tool = self._tools[name]
        jsonschema.validate(arguments, tool.input_schema)
        result = await tool.handler(arguments)
        return result["content"][0]["text"], result.get("is_error", False)


async def test_asking_gives_a_number_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hive = Hive()
    call = Tools(hive, monkeypatch)
    text, failed = await call("ask", question="Which?", to="bob", options=["a", "b"], multi=True)
    assert (failed, text.startswith("Asked bob as question 7. The answer comes as a message")) == (False, True)
    text, _ = await call("ask_operator", question="Now?", ttl_seconds=60, default="yes")
    assert text.startswith("Asked operator as question 7. At 2026-01-02T03:04:05.000Z your default holds. ")
    assert "it expires, and you are told" in (await call("ask", question="Now?", ttl_seconds=60))[0]
    assert "of no use" in (await call("ask", question="Now?", default="yes"))[0]
    first, second, *_ = hive.asked
    assert (first.text, first.to, first.options, first.multi) == ("Which?", "bob", ["a", "b"], True)
    assert (second.to, second.ttl_seconds, second.default) == ("operator", 60, "yes")


async def test_a_call_through_a_restart_is_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    hive = Hive(away=2)
    call = Tools(hive, monkeypatch)
    text, failed = await call("ask_operator", question="Which?")
    assert not failed
    assert "The hive was away: this took 3 tries" in text
    assert len(hive.asked) == 3
    assert len({request.idempotency_key for request in hive.asked}) == 1
    await call("ask_operator", question="Which?")
    assert len({request.idempotency_key for request in hive.asked}) == 2


async def test_answering_says_who_gets_it_or_what_was_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    hive = Hive(away=1)
    call = Tools(hive, monkeypatch)
    text, failed = await call("answer", id=3, text="red")
    assert not failed
    assert text.startswith("Question 3 is answered; bob gets your answer as a message.")
    assert hive.answered == [(3, wire.AnswerRequest(text="red"))] * 2
    assert await call("answer", id=9, text="x") == (
        "question 9 was not asked of 'alice'. Answer what you are asked", True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ask", {}),
        ("ask", {"question": ""}),
        ("ask", {"question": "x", "options": ["x"] * 11}),
        ("ask", {"question": "x", "ttl_seconds": 8 * 86400}),
        ("ask_operator", {"question": "x", "to": "bob"}),
        ("answer", {"text": "x"}),
        ("answer", {"id": 1}),
    ],
)
async def test_what_is_no_question_is_refused_before_the_hive_hears_of_it(
    monkeypatch: pytest.MonkeyPatch, name: str, arguments: dict[str, Any]
) -> None:
    hive = Hive()
    with pytest.raises(jsonschema.ValidationError):
        await Tools(hive, monkeypatch)(name, **arguments)
    assert (hive.asked, hive.answered) == ([], [])
