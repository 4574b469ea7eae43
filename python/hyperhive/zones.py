"""Time zones: the one that the settings name, or else this host's. Schedules and days are counted in it."""

from __future__ import annotations

import os
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_LOCALTIME: Final = Path("/etc/localtime")
_DATABASE: Final = "zoneinfo/"


def named_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name such as `Europe/Berlin`.

    Raises:
        ValueError: there is none of that name on this host.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"{name!r} is no time zone that this host knows; write for example 'Europe/Berlin' or 'UTC'"
        raise ValueError(msg) from None


def zone_of(name: str | None, localtime: Path = _LOCALTIME) -> tzinfo:
    """The zone of that name, without one the host's: `$TZ`, else /etc/localtime, else UTC."""
    for known in (name, os.environ.get("TZ", "").removeprefix(":")):
        if known:
            try:
                return named_zone(known)
            except ValueError:
                continue
    try:
        target = str(localtime.resolve())
        with localtime.open("rb") as file:
            return ZoneInfo.from_file(file, key=target.partition(_DATABASE)[2] or "local time")
    except (OSError, ValueError):
        return UTC
