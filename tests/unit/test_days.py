"""When a day begins, in zones whose clocks do odd things."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.hive.days import Days
from hyperhive.zones import zone_of

#: Berlin changes at night, Beirut and Havana at midnight, Apia left a whole day out, Lord Howe moves half an hour.
ZONES = (
    "UTC", "Europe/Berlin", "Asia/Beirut", "America/Havana", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Kathmandu",
)  # fmt: skip


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("zone", "at", "day", "end"),
    [
        ("UTC", "2026-11-27T23:59:59.999Z", "2026-11-27", "2026-11-28T00:00Z"),
        ("UTC", "2026-11-28T00:00Z", "2026-11-28", "2026-11-29T00:00Z"),
        ("Europe/Berlin", "2026-11-27T23:00Z", "2026-11-28", "2026-11-28T23:00Z"),
        # 23 hours, then 25
        ("Europe/Berlin", "2026-03-28T23:00Z", "2026-03-29", "2026-03-29T22:00Z"),
        ("Europe/Berlin", "2026-10-24T22:00Z", "2026-10-25", "2026-10-25T23:00Z"),
        # there is no midnight: the clock goes from 23:59:59 to 01:00
        ("Asia/Beirut", "2024-03-30T12:00Z", "2024-03-30", "2024-03-30T22:00Z"),
        ("Asia/Beirut", "2024-03-30T22:00Z", "2024-03-31", "2024-03-31T21:00Z"),
        # there are two, and the day begins with the first one
        ("America/Havana", "2024-11-03T03:59Z", "2024-11-02", "2024-11-03T04:00Z"),
        ("America/Havana", "2024-11-03T05:30Z", "2024-11-03", "2024-11-04T05:00Z"),
        # there is no 30 December
        ("Pacific/Apia", "2011-12-30T09:59Z", "2011-12-29", "2011-12-30T10:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00Z", "2011-12-31", "2011-12-31T10:00Z"),
    ],
)
def test_a_day_ends_at_midnight_whatever_the_clocks_do(zone: str, at: str, day: str, end: str) -> None:
    days = Days(zone_of(zone))
    assert (days.of(_at(at)), days.end(_at(at))) == (day, _at(end))


@given(
    st.sampled_from(ZONES),
    st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis' way
)
def test_the_end_of_a_day_is_the_first_instant_of_a_later_one(zone: str, at: datetime) -> None:
    days = Days(zone_of(zone))
    end = days.end(at)
    assert at < end <= at + timedelta(hours=49)
    assert days.of(end - timedelta(microseconds=1)) == days.of(at) < days.of(end)


def test_days_before_are_told_by_their_date() -> None:
    days = Days(zone_of("Asia/Tokyo"))
    at = _at("2026-11-27T16:00Z")
    assert (days.of(at), days.before(at, 0), days.before(at, 28)) == ("2026-11-28", "2026-11-28", "2026-10-31")
    assert days.name == "Asia/Tokyo"
