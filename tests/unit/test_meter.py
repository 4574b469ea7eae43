"""What a turn used is a difference of totals, whatever process said them; and when a conversation is shortened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.harness.compaction import FURTHER, SHARE, Level
from hyperhive.harness.meter import Spent, Tokens, Total, add, combined, spent, tokens_of, total_of
from hyperhive.wire import Usage

counts = st.integers(0, 10**7)
some = st.builds(Tokens, counts, counts, counts, counts)


def of(tokens: Tokens) -> Total:
    """A total that costs a dollar for a million tokens of input."""
    return Total(tokens.weight / 1e6, tokens)


@given(before=some, turn=some)
def test_a_total_that_goes_on_gives_the_turn(before: Tokens, turn: Tokens) -> None:
    used = spent(of(before), of(before.plus(turn)), turn)
    assert used.tokens == turn
    assert used.cost == pytest.approx(turn.weight / 1e6, abs=1e-6)


@given(before=some, turn=some)
def test_a_total_that_begins_anew_gives_the_turn_however_large_it_is(before: Tokens, turn: Tokens) -> None:
    used = spent(of(before), of(turn), turn)
    assert used.tokens == turn
    assert used.cost == pytest.approx(turn.weight / 1e6, abs=1e-6)


@given(before=some, turn=some, aside=some)
def test_what_a_result_leaves_out_counts(before: Tokens, turn: Tokens, aside: Tokens) -> None:
    """A subagent, or a response that was broken off."""
    used = spent(of(before), of(before.plus(turn).plus(aside)), turn)
    assert used.tokens == turn.plus(aside)


def test_a_program_that_tells_no_totals_of_tokens_is_counted_by_its_results() -> None:
    turn = Tokens(10, 5)
    assert spent(Total(0.5, Tokens(1, 1)), Total(0.75, None), turn) == Spent(0.25, turn)
    assert spent(Total(0.5, None), Total(0.25, Tokens(9, 9)), turn) == Spent(0.25, turn)
    assert spent(Total(None, None), Total(0.25, None), turn) == Spent(0.0, turn)


def test_what_claude_says_is_read_with_care() -> None:
    assert tokens_of({"input_tokens": 7, "output_tokens": None, "cache_read_input_tokens": "x"}) == Tokens(7)
    assert tokens_of(None) == Tokens()
    models = {"a": {"inputTokens": 1, "outputTokens": 2}, "b": {"inputTokens": 3, "cacheReadInputTokens": 4}, "c": 5}
    assert total_of(1.0, models) == Total(1.0, Tokens(4, 2, 4))
    assert total_of(1.0, {}) == Total(1.0, None)
    assert combined([]) == Tokens()


def test_it_is_added_to_the_usage_of_a_turn() -> None:
    usage = Usage(input_tokens=1, cost_usd=1.0)
    add(usage, Spent(0.5, Tokens(1, 2, 3, 4)))
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (2, 2, 3, 4)
    assert usage.cost_usd == 1.5


@pytest.mark.parametrize(("context", "window"), [(None, 100), (100, None), (0, 100), (74, 100)])
def test_what_is_unknown_or_small_is_left(context: int | None, window: int | None) -> None:
    assert not Level().due(context, window)


def test_a_conversation_is_shortened_at_three_quarters_and_looked_at_before_it_is_again() -> None:
    level = Level()
    assert level.due(75, 100)
    level.tried()
    assert not level.due(75, 100), "the first look only tells what it came to"
    assert not level.due(79, 100)
    assert level.due(80, 100)
    level.tried()
    assert not level.due(10, 100)
    assert level.due(75, 100)


@given(st.lists(st.integers(0, 200), min_size=1, max_size=60))
def test_it_is_never_shortened_twice_without_having_grown(contexts: list[int]) -> None:
    level, last = Level(), None
    for context in contexts:
        if last is not None and context > last and last < SHARE * 100:
            last = None
        if level.due(context, 100):
            level.tried()
            assert context >= SHARE * 100
            assert last is None or last < SHARE * 100 or context >= last + FURTHER * 100
            last = context
        elif last is not None:
            last = min(last, context)
