"""When a declared schedule comes, and in which words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from hyperhive.clock import parse_span
from hyperhive.cron import next_time

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from hyperhive.config import Schedule

#: Times that are counted; beyond it is said that there were more.
_COUNTED: Final = 1000
#: Later than this, it is said.
_LATE: Final = timedelta(minutes=1)


class Rule(Protocol):
    """When something comes again and again; its text tells it from another."""

    def __str__(self) -> str: ...

    def following(self, since: datetime, after: datetime) -> datetime | None:
        """The first time after an instant.

        Args:
            since: when the rule was first seen.
            after: the instant.
        """
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """At whole multiples of a span after the rule was first seen, whatever clocks say."""

    span: timedelta
    text: str
    zone: tzinfo

    def __str__(self) -> str:
        return f"every {self.text}"

    def following(self, since: datetime, after: datetime) -> datetime | None:
        """The first multiple after an instant."""
        at = since + self.span * (max((after - since) // self.span, 0) + 1)
        return at.astimezone(self.zone)


@dataclass(frozen=True, slots=True)
class Cron:
    """At the times of a cron expression in a zone."""

    expression: str
    zone: tzinfo

    def __str__(self) -> str:
        return f"cron {self.expression} ({self.zone})"

    def following(self, since: datetime, after: datetime) -> datetime | None:
        """The first of them after an instant."""
        return next_time(self.expression, max(since, after), self.zone)


def rule_of(schedule: Schedule, zone: tzinfo) -> Rule:
    """The rule that a schedule in the settings declares."""
    if schedule.every is not None:
        return Every(parse_span(schedule.every), schedule.every, zone)
    return Cron(" ".join((schedule.cron or "").split()), zone)


@dataclass(frozen=True, slots=True)
class Missed:
    """The times that have come since the last one that was sent: the first of them, and how many."""

    first: datetime
    count: int


def missed(rule: Rule, since: datetime, last: datetime | None, now: datetime) -> Missed | None:
    """The times after `last` up to `now`, counted up to a thousand; None where there is none."""
    first = at = rule.following(since, last or since)
    if first is None or first > now:
        return None
    count = 0
    while at is not None and at <= now and count <= _COUNTED:
        count += 1
        at = rule.following(since, at)
    return Missed(first, count)


def scheduled_body(name: str, rule: Rule, times: Missed, message: str, now: datetime) -> str:
    """The message of a schedule."""
    due = times.first.isoformat(timespec="seconds")
    head = [f"Your schedule '{name}' ({rule}) was due at {due}."]
    if times.count > 1:
        skipped = times.count - 1
        number = f"{_COUNTED:,} or more" if times.count > _COUNTED else f"{skipped:,}"
        were = "time was" if skipped == 1 else "times were"
        head.append(f"{number} further {were} skipped: the hive was away, or you were not done with the one before.")
    elif now - times.first > _LATE:
        head.append("It comes late: the hive was away, or you were not done with the one before.")
    return " ".join(head) + f"\n\n{message}"
