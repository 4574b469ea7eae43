"""Time, passed in: one type for instants, one clock that tests can replace.

Instants are aware UTC datetimes everywhere; on the wire they are RFC 3339 with milliseconds and `Z`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, PlainSerializer

if TYPE_CHECKING:
    from collections.abc import Callable

    Clock = Callable[[], datetime]

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SPAN: Final = re.compile(r"([0-9]{1,7})([smhdw])")


def utc_now() -> datetime:
    """The present instant."""
    return datetime.now(UTC)


def rfc3339(at: datetime) -> str:
    """`at` as the API writes it: `2026-11-22T18:03:00.123Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _in_utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        msg = "a time needs its zone, for example Z"
        raise ValueError(msg)
    try:
        return at.astimezone(UTC)
    except OverflowError:
        msg = "a time must lie between the years 1 and 9999 in UTC"
        raise ValueError(msg) from None


Instant = Annotated[datetime, AfterValidator(_in_utc), PlainSerializer(rfc3339, return_type=str, when_used="json")]
"""A datetime field that is written to JSON by `rfc3339`; one without a zone, or that UTC cannot say, is refused."""


def parse_span(text: str) -> timedelta:
    """Read a span such as `90s`, `15m`, `12h`, `14d`, `2w`.

    Raises:
        ValueError: it has another form, or is longer than any use.
    """
    found = _SPAN.fullmatch(text)
    if not found:
        msg = f"{text!r} is no span of time; write a whole number and one of s, m, h, d, w, for example 14d"
        raise ValueError(msg)
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])
