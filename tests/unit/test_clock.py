"""Instants and spans."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from hyperhive.clock import Instant, parse_span, rfc3339, utc_now

_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)


def test_now_is_aware() -> None:
    assert utc_now().tzinfo is UTC


def test_instants_are_written_in_utc_with_milliseconds() -> None:
    zone = timezone(timedelta(hours=2))
    assert rfc3339(datetime(2026, 11, 22, 20, 3, 0, 123999, tzinfo=zone)) == "2026-11-22T18:03:00.123Z"
    assert rfc3339(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000Z"


@given(st.datetimes(timezones=st.timezones()))
def test_what_is_written_can_be_read(at: datetime) -> None:
    try:
        text = rfc3339(at)
    except OverflowError:
        return
    read = _INSTANT.validate_python(text)
    assert timedelta(0) <= at - read < timedelta(milliseconds=1)
    assert json.loads(_INSTANT.dump_json(read)) == text


@pytest.mark.parametrize(
    "text", ["2026-01-01T00:00:00", "yesterday", "9999-12-31T23:59:59-23:00", "0001-01-01T00:00:00+12:00"]
)
def test_instants_without_a_zone_or_out_of_range_are_refused_where_they_come_in(text: str) -> None:
    """Later they would break whatever writes them: the store, and every page that shows them."""
    with pytest.raises(ValidationError):
        _INSTANT.validate_python(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), ("15m", 900), ("12h", 43200), ("14d", 1209600), ("2w", 1209600)]
)
def test_spans(text: str, seconds: int) -> None:
    assert parse_span(text).total_seconds() == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-5s", "1.5h", "5 s", "5S", "1h30m", "5s\n", "\uff19s", "99999999999999w", "999999999w"]
)
def test_other_spans_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="span of time"):
        parse_span(text)
