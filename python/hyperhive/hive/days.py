"""Days as the operator counts them: which one an instant is in, and when the next begins.

A day begins at midnight in the hive's time zone; where the clocks leave midnight out, with the instant at which they do
so.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import tzinfo


class Days:
    """The days of one time zone.

    Args:
        zone: the zone.
    """

    def __init__(self, zone: tzinfo) -> None:
        self.name = str(zone)
        self._zone = zone

    def of(self, at: datetime) -> str:
        """The day that an instant is in, as YYYY-MM-DD."""
        return self._date(at).isoformat()

    def end(self, at: datetime) -> datetime:
        """The instant at which the day after that of `at` begins."""
        return self._begin(self._date(at) + timedelta(days=1))

    def before(self, at: datetime, days: int) -> str:
        """The day that was so many days before that of `at`."""
        return (self._date(at) - timedelta(days=days)).isoformat()

    def _date(self, at: datetime) -> date:
        return at.astimezone(self._zone).date()

    def _begin(self, day: date) -> datetime:
        # Of a midnight that there is twice the first one; one that is left out is the instant of the change.
        midnight = datetime(day.year, day.month, day.day, tzinfo=self._zone)
        return midnight.astimezone(UTC)
