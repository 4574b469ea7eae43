"""Cron expressions: the five fields of cron(5), read and reckoned by `cronsim` the way Debian's cron does.

Where clocks are changed: what would come in the hour that is left out comes right after it, once; what stands at an
hour that comes twice comes the first time; what comes every hour or every few minutes goes on through it all.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import tzinfo

_FIELDS: Final = 5
_ANY: Final = datetime(2000, 1, 1, tzinfo=UTC)


def check_cron(expression: str) -> None:
    """Refuse what is no expression, or what no day ever fits.

    Raises:
        ValueError: says what is wrong.
    """
    if len(expression.split()) != _FIELDS:
        msg = f"{expression!r} has not the five fields of cron; write for example '0 8 * * MON-FRI'"
        raise ValueError(msg)
    if _next(expression, _ANY) is None:
        msg = f"{expression!r} never comes: no day fits it"
        raise ValueError(msg)


def next_time(expression: str, after: datetime, zone: tzinfo) -> datetime | None:
    """The first time after an instant, in `zone`; None where there is none within fifty years."""
    # Whole seconds: what is left of one second after the minute is still that minute, and is past.
    return _next(expression, after.astimezone(zone))


def _next(expression: str, after: datetime) -> datetime | None:
    # Only who has a schedule pays for it.
    from cronsim import CronSim, CronSimError  # noqa: PLC0415

    try:
        return next(CronSim(expression, after), None)
    except CronSimError as error:
        msg = f"{expression!r} is no cron expression: {error}"
        raise ValueError(msg) from None
