"""The story of the demo is a valid scenario, and its pieces fit: each message is one that its recipient understands."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hyperhive.cli.logs import fresh
from hyperhive.clock import utc_now
from hyperhive.harness.prompts import wake_prompt
from hyperhive.testing import demo
from hyperhive.testing.scripted_model import Scenario
from hyperhive.testing.scripted_model.template import fill
from hyperhive.wire import Delivery

RULES: dict[str, list[dict[str, Any]]] = {name: script["rules"] for name, script in demo.scenario()["agents"].items()}


def _prompt(sender: str, body: str) -> str:
    return wake_prompt(Delivery(id=1, from_=sender, body=body, sent_at=utc_now()), 0)


def _answer(name: str, sender: str, body: str) -> tuple[int, list[tuple[str, str]]]:
    """Which rule answers, and what is sent: (to, body)."""
    for index, rule in enumerate(RULES[name]):
        found = re.search(rule["when"], _prompt(sender, body))
        if found:
            values = {**found.groupdict(), "tool_result": "/shared/release", "agent": name}
            sent = [step["input"] for step in rule["steps"] if isinstance(step, dict) and step.get("tool") == "send"]
            return index, [(one["to"], fill(one["body"], values)) for one in sent]
    return -1, []


def test_the_scenario_is_valid() -> None:
    Scenario.parse(demo.scenario(10))
    assert set(RULES) == set(demo.AGENTS)


def test_the_story_comes_to_its_end_through_messages_alone() -> None:
    waiting = [("operator", "alice", demo.kick_off("/shared"))]
    told: list[str] = []
    for _ in range(40):
        if not waiting:
            break
        sender, to, body = waiting.pop(0)
        _index, sent = _answer(to, sender, body)
        for recipient, text in sent:
            if recipient == "operator":
                told.append(text)
            elif recipient != "*":
                waiting.append((to, recipient, text))
    assert waiting == []
    assert told[-1].startswith(f'{demo.THE_END}: it lies in "/shared/release".')
    assert sum(demo.THE_END in text for text in told) == 1


@pytest.mark.parametrize("name", sorted(demo.AGENTS))
@pytest.mark.parametrize("body", ["hello", "what is your status?", "something else\nentirely [red] {prompt}", "yes"])
def test_everybody_answers_the_operator(name: str, body: str) -> None:
    _index, sent = _answer(name, "operator", body)
    assert any(to == "operator" for to, _ in sent)


@pytest.mark.parametrize("sender", ["alice", "bob", "carol"])
def test_thanks_are_not_answered_so_that_the_talk_ends(sender: str) -> None:
    for name in demo.AGENTS:
        assert _answer(name, sender, "Thank you both, that was good work. The release is done.") == (-1, [])


@pytest.mark.parametrize(
    ("known", "newest", "new"),
    [
        (["a", "b"], ["a", "b"], []),
        (["a", "b"], ["a", "b", "c"], ["c"]),
        (["a", "b", "c"], ["c", "d"], ["d"]),
        (["a"], ["x", "y"], ["x", "y"]),
        ([], ["x"], ["x"]),
    ],
)
def test_following_a_journal_shows_each_line_once(known: list[str], newest: list[str], new: list[str]) -> None:
    assert fresh(known, newest) == new
