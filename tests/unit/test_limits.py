"""How much a sender may have accepted in a minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.errors import HiveError
from hyperhive.hive.limits import Limits, SenderWindow

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _at(seconds: float) -> datetime:
    return _NOW + timedelta(seconds=seconds)


def _refusal(window: SenderWindow, count: int, most: int, at: datetime) -> int:
    with pytest.raises(HiveError) as caught:
        window.admit("alice", count, most, at)
    assert caught.value.code == "too_many_messages"
    assert "'alice'" in caught.value.message
    wait: int = caught.value.data["retry_after"]
    return wait


def test_the_limits_are_the_documented_ones() -> None:
    limits = Limits()
    assert (limits.unread, limits.sends_a_minute, limits.attempts, limits.back_off) == (1000, 600, 5, 5.0)


def test_so_many_in_any_minute() -> None:
    window = SenderWindow()
    window.admit("alice", 2, 3, _at(0))
    window.admit("alice", 1, 3, _at(30))
    assert _refusal(window, 1, 3, _at(59)) == 1
    window.admit("alice", 2, 3, _at(60))
    assert _refusal(window, 1, 3, _at(61)) == 29


def test_a_refusal_counts_nothing() -> None:
    window = SenderWindow()
    _refusal(window, 4, 3, _at(0))
    window.admit("alice", 3, 3, _at(0))


def test_the_time_that_is_named_suffices_for_a_broadcast() -> None:
    window = SenderWindow()
    window.admit("alice", 1, 5, _at(0))
    window.admit("alice", 4, 5, _at(40))
    wait = _refusal(window, 3, 5, _at(50))
    assert wait == 50
    window.admit("alice", 3, 5, _at(50 + wait))


def test_what_was_not_accepted_is_taken_back() -> None:
    window = SenderWindow()
    window.admit("alice", 2, 3, _at(0))
    window.admit("alice", 1, 3, _at(1))
    window.take_back(2, _at(0))
    window.admit("alice", 2, 3, _at(2))
    window.take_back(1, _at(999))
    _refusal(window, 1, 3, _at(2))


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(1, 4)), max_size=40))
def test_after_the_time_that_is_named_it_is_accepted(sends: list[tuple[float, int]]) -> None:
    window, now = SenderWindow(), 0.0
    accepted: list[float] = []
    for pause, count in sends:
        now += pause
        try:
            window.admit("alice", count, 5, _at(now))
        except HiveError as error:
            now += error.data["retry_after"]
            window.admit("alice", count, 5, _at(now))
        accepted += [now] * count
        assert sum(now - at < 59.99 for at in accepted) <= 5
