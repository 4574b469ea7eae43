"""When schedules come: the five fields of cron, spans, and the two nights on which clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from hyperhive.config import AgentSettings, HiveSettings, Schedule
from hyperhive.cron import check_cron, next_time
from hyperhive.hive.schedule_rules import missed, rule_of, scheduled_body
from hyperhive.zones import named_zone, zone_of

if TYPE_CHECKING:
    from pathlib import Path

BERLIN = ZoneInfo("Europe/Berlin")


def _times(expression: str, start: str, count: int, zone: ZoneInfo = BERLIN) -> list[str]:
    at: datetime | None = datetime.fromisoformat(start)
    found = []
    for _ in range(count):
        assert at is not None
        at = next_time(expression, at, zone)
        found.append("" if at is None else at.isoformat())
    return found


@pytest.mark.parametrize(
    ("expression", "start", "times"),
    [
        ("0 8 * * *", "2026-11-27T06:59:59.5+00:00", ["2026-11-27T08:00:00+01:00", "2026-11-28T08:00:00+01:00"]),
        # An instant that is a time is past, and so is what is left of its second.
        ("0 8 * * *", "2026-11-27T07:00:00+00:00", ["2026-11-28T08:00:00+01:00"]),
        ("0 8 * * *", "2026-11-27T07:00:00.4+00:00", ["2026-11-28T08:00:00+01:00"]),
        ("*/20 * * * *", "2026-11-27T06:59:00+00:00", ["2026-11-27T08:00:00+01:00", "2026-11-27T08:20:00+01:00"]),
        ("30 9 * * MON-FRI", "2026-11-27T08:31:00+00:00", ["2026-11-30T09:30:00+01:00"]),
        ("0 0 1 * *", "2026-11-27T00:00:00+00:00", ["2026-12-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"]),
        ("0 0 29 2 *", "2026-11-27T00:00:00+00:00", ["2028-02-29T00:00:00+01:00"]),
        # 29 March 2026: two o'clock becomes three. What stands in the hour that is left out comes right after it.
        ("30 2 * * *", "2026-03-28T12:00:00+00:00", ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]),
        ("0 8 * * *", "2026-03-28T12:00:00+00:00", ["2026-03-29T08:00:00+02:00", "2026-03-30T08:00:00+02:00"]),
        ("0 * * * *", "2026-03-29T00:00:00+00:00", ["2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"]),
        # 25 October 2026: three o'clock becomes two. What stands in the hour that comes twice comes the first time.
        ("30 2 * * *", "2026-10-24T12:00:00+00:00", ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),
        (
            "30 * * * *",
            "2026-10-25T00:00:00+00:00",
            ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"],
        ),
    ],
)
def test_times_of_cron(expression: str, start: str, times: list[str]) -> None:
    assert _times(expression, start, len(times)) == times


def test_a_time_after_the_one_of_a_clock_change_is_never_the_same_again() -> None:
    """Reckoned from where the last one was: twice the same hour must not be twice the same time."""
    at = datetime(2026, 10, 24, 12, tzinfo=UTC)
    seen: list[datetime] = []
    for _ in range(400):
        following = next_time("*/7 * * * *", at, BERLIN)
        assert following is not None
        assert following > at
        at = following.astimezone(UTC)
        seen.append(at)
    gaps = {later - earlier for earlier, later in pairwise(seen)}
    assert gaps <= {timedelta(minutes=7), timedelta(minutes=4)}


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "* * * * * *", "61 * * * *", "0 8 * * MOON", "0 0 30 2 *", "@daily", "0 8 * * *; reboot"],
)
def test_what_is_no_cron_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"cron|never comes"):
        check_cron(expression)


def _agent(**schedule: Any) -> AgentSettings:  # noqa: ANN401 - JSON
    return AgentSettings.model_validate({"schedules": {"s": {"message": "m", **schedule}}})


@pytest.mark.parametrize(
    ("schedule", "word"),
    [
        ({}, "either"),
        ({"cron": "0 8 * * *", "every": "1h"}, "either"),
        ({"every": "59s"}, "once a minute"),
        ({"every": "soon"}, "span"),
        ({"cron": "0 8 * *"}, "five fields"),
        ({"every": "1h", "message": " "}, "says something"),
        ({"every": "1h", "message": "x" * 40_000}, "says something"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(schedule: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        _agent(**schedule)


def test_a_schedule_has_a_name_of_one_word() -> None:
    with pytest.raises(ValidationError, match="name of a schedule"):
        AgentSettings.model_validate({"schedules": {"a b": {"every": "1h", "message": "m"}}})
    assert _agent(cron="0 8 * * *").schedules["s"].cron == "0 8 * * *"


def test_a_zone_is_named_or_the_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(zone_of("Europe/Berlin")) == "Europe/Berlin"
    monkeypatch.setenv("TZ", ":Asia/Tokyo")
    assert str(zone_of(None)) == "Asia/Tokyo"
    monkeypatch.setenv("TZ", "no/where")
    (tmp_path / "zoneinfo" / "Europe").mkdir(parents=True)
    real = tmp_path / "zoneinfo" / "Europe" / "Rome"
    real.write_bytes(_zone_file("Europe/Rome"))
    (tmp_path / "localtime").symlink_to(real)
    zone = zone_of(None, tmp_path / "localtime")
    assert (str(zone), zone.utcoffset(datetime(2026, 7, 1))) == ("Europe/Rome", timedelta(hours=2))  # noqa: DTZ001
    assert zone_of(None, tmp_path / "none") is UTC
    (tmp_path / "broken").write_bytes(b"no zone")
    assert zone_of(None, tmp_path / "broken") is UTC
    for wrong in ("Europe/Nowhere", "../../etc/passwd", "/etc/localtime", ""):
        with pytest.raises(ValueError, match="time zone"):
            named_zone(wrong)
    with pytest.raises(ValidationError, match="time zone"):
        HiveSettings(time_zone="Mars/Base")


def _zone_file(name: str) -> bytes:
    import zoneinfo  # noqa: PLC0415
    from pathlib import Path as AnyPath  # noqa: PLC0415

    return next(place for root in zoneinfo.TZPATH if (place := AnyPath(root) / name).exists()).read_bytes()


SINCE = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "last", "expected"),
    [
        (59, None, None),
        (60, None, (60, 1)),
        (119, None, (60, 1)),
        (185, None, (60, 3)),
        (185, 61, (120, 2)),
        (185, 120, (180, 1)),
        (185, 184, None),
        (60 * 5000, None, (60, 1001)),
    ],
)
def test_times_that_were_missed_are_counted(seconds: int, last: int | None, expected: tuple[int, int] | None) -> None:
    rule = rule_of(Schedule(every="1m", message="m"), UTC)
    before = None if last is None else SINCE + timedelta(seconds=last)
    found = missed(rule, SINCE, before, SINCE + timedelta(seconds=seconds))
    assert (found and ((found.first - SINCE).total_seconds(), found.count)) == expected


def test_the_words_of_a_schedule() -> None:
    rule = rule_of(Schedule(cron="0  8 * * *", message="m"), BERLIN)
    since = datetime(2026, 11, 20, 12, tzinfo=UTC)

    def said(now: datetime) -> str:
        times = missed(rule, since, None, now)
        assert times is not None
        return scheduled_body("morning", rule, times, "Look at the build.", now)

    first = datetime(2026, 11, 21, 7, 0, 0, 2000, tzinfo=UTC)
    head = "Your schedule 'morning' (cron 0 8 * * * (Europe/Berlin)) was due at 2026-11-21T08:00:00+01:00."
    assert said(first) == f"{head}\n\nLook at the build."
    assert said(first + timedelta(hours=1)).startswith(f"{head} It comes late")
    assert "1 further time was skipped" in said(first + timedelta(days=1))
    assert "6 further times were skipped" in said(first + timedelta(days=6))
    assert "1,000 or more further times" in said(first + timedelta(days=4000))
