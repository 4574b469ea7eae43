"""Which state follows from what was observed and decided."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hyperhive.config import AgentSettings, HiveSettings
from hyperhive.hive.roster import Agent, Decision, Roster

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_BUDGET = Decision("over_budget", _NOW, "it has used up its day", _NOW + timedelta(hours=3))


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def roster(told: list[str]) -> Roster:
    roster = Roster(HiveSettings(), "hive", "process", lambda: _NOW, lambda agent: told.append(agent.name))
    agent = Agent("alice", "declared", "running", AgentSettings(), fact=None, turn_state="idle", problem="as it was")
    roster.agents["alice"] = agent
    return roster


def test_a_decision_is_shown_with_its_reason_and_its_end(roster: Roster) -> None:
    alice = roster.agents["alice"]
    roster.decide(alice, "budget", _BUDGET)
    row = roster.row(alice, 0)
    assert (row.state, row.since, row.problem, row.until) == (
        "over_budget",
        _NOW,
        "it has used up its day",
        _NOW + timedelta(hours=3),
    )
    roster.decide(alice, "budget", None)
    assert (roster.row(alice, 0).state, roster.row(alice, 0).problem) == ("idle", "as it was")


def test_the_same_decision_is_told_once(roster: Roster, told: list[str]) -> None:
    alice = roster.agents["alice"]
    for decision in (None, _BUDGET, _BUDGET, None, None):
        roster.decide(alice, "budget", decision)
    assert told == ["alice", "alice"]


def test_the_oldest_decision_is_shown(roster: Roster) -> None:
    alice = roster.agents["alice"]
    roster.decide(alice, "hold", Decision("paused", _NOW + timedelta(seconds=1), "held"))
    roster.decide(alice, "budget", _BUDGET)
    assert roster.row(alice, 0).state == "over_budget"


@pytest.mark.parametrize(
    ("turn_state", "fact", "wanted", "shown"),
    [
        ("thinking", None, "running", "thinking"),
        ("idle", "stopped", "running", "stopped"),
        ("idle", None, "paused", "paused"),
        ("needs_login", None, "running", "over_budget"),
    ],
)
def test_what_goes_before_a_decision(
    roster: Roster, turn_state: str, fact: str | None, wanted: str, shown: str
) -> None:
    alice = roster.agents["alice"]
    alice.turn_state, alice.fact, alice.wanted = turn_state, fact, wanted  # type: ignore[assignment]
    roster.decide(alice, "budget", _BUDGET)
    row = roster.row(alice, 0)
    assert (row.state, row.problem) == (shown, "it has used up its day" if shown == "over_budget" else "as it was")
