"""What a budget allows, and what is left of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.config import Budget, HiveSettings
from hyperhive.config_file import parse_settings
from hyperhive.errors import HiveError
from hyperhive.hive.budget_rules import WARN_AT, budget_row, in_words, is_over
from hyperhive.store.usage import BudgetDay, Sums

_UNTIL = datetime(2026, 1, 2, tzinfo=UTC)


def test_without_a_limit_there_is_no_budget() -> None:
    assert budget_row(Budget(), None, Sums(turns=1000), _UNTIL) is None
    assert budget_row(Budget(), BudgetDay("d", "alice", warned_at=_UNTIL), Sums(), _UNTIL) is None


@pytest.mark.parametrize(
    ("declared", "sums", "over", "words"),
    [
        (Budget(turns=3), Sums(turns=2), False, ""),
        (Budget(turns=3), Sums(turns=3), True, "3 of 3 turns"),
        (Budget(turns=10), Sums(turns=8), False, "8 of 10 turns"),
        (Budget(turns=0), Sums(), True, "0 of 0 turns"),
        (Budget(usd=1), Sums(cost_micros=999_999), False, "1.00 of 1.00 USD"),
        (Budget(usd=1), Sums(cost_micros=1_000_000), True, "1.00 of 1.00 USD"),
        (Budget(usd=0.1), Sums(cost_micros=100_000), True, "0.10 of 0.10 USD"),
        (Budget(tokens=1000), Sums(input_tokens=300, output_tokens=300, cache_write_tokens=400), True,
         "1,000 of 1,000 tokens"),
        (Budget(tokens=1000), Sums(cache_read_tokens=10**9), False, ""),
        (Budget(usd=5, turns=3), Sums(turns=4, cost_micros=1), True, "4 of 3 turns"),
    ],
)  # fmt: skip
def test_a_limit_that_is_reached_is_used_up(declared: Budget, sums: Sums, over: bool, words: str) -> None:  # noqa: FBT001
    row = budget_row(declared, None, sums, _UNTIL)
    assert row is not None
    assert (is_over(row), in_words(row)) == (over, words)
    assert bool(words) == (row.share >= WARN_AT)


def test_what_is_allowed_today_takes_the_place_of_what_is_declared() -> None:
    today = BudgetDay("d", "alice", cost_micros=2_500_000, turns=0)
    row = budget_row(Budget(usd=1, tokens=10), today, Sums(cost_micros=1_000_000), _UNTIL)
    assert row is not None
    assert row.usd is not None
    assert row.tokens is not None
    assert row.turns is not None
    assert (row.usd.allowed, row.usd.raised, row.usd.used) == (2.5, True, 1.0)
    assert (row.tokens.allowed, row.tokens.raised) == (10, False)
    assert (row.turns.allowed, row.turns.raised) == (0, True), "also less than declared, down to nothing"
    assert is_over(row)


@given(st.integers(0, 10**12), st.integers(0, 10**15))
def test_share_and_over_say_the_same_at_any_size(allowed: int, used: int) -> None:
    row = budget_row(Budget(tokens=allowed), None, Sums(input_tokens=used), _UNTIL)
    assert row is not None
    assert is_over(row) == (used >= allowed)
    assert (row.share >= 1) == (used >= allowed)


@given(st.floats(0, 1e6), st.integers(0, 10**12))
def test_dollars_are_compared_to_the_millionth(allowed: float, used: int) -> None:
    row = budget_row(Budget(usd=allowed), None, Sums(cost_micros=used), _UNTIL)
    assert row is not None
    assert is_over(row) == (used / 1_000_000 >= allowed)


def _settings(**more: object) -> HiveSettings:
    return parse_settings(json.dumps(more))


def test_of_each_kind_an_agents_own_limit_wins() -> None:
    settings = _settings(
        defaults={"budget": {"usd": 1, "turns": 20}},
        agents={"alice": {"budget": {"usd": 0}}, "bob": {}},
        manager={"budget": {"tokens": 5}},
    )
    assert settings.budget_of("alice") == Budget(usd=0, turns=20)
    assert settings.budget_of("bob") == settings.budget_of("spawned") == Budget(usd=1, turns=20)
    assert settings.budget_of("manager") == Budget(usd=1, turns=20, tokens=5)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"budgets": {"usd": -1}}, "budgets.usd"),
        ({"defaults": {"budget": {"turns": 1.5}}}, "defaults.budget.turns"),
        ({"agents": {"alice": {"budget": {"dollars": 1}}}}, "agents.alice.budget.dollars"),
    ],
)
def test_what_can_be_no_budget_is_refused_with_its_path(given: dict[str, object], path: str) -> None:
    with pytest.raises(HiveError, match=path.replace(".", r"\.")):
        _settings(**given)
