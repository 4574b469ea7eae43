"""Text for a terminal, pure: what an agent wrote is made harmless here, instants become ages and times of day.

An agent's words may hold escape sequences that move the cursor, forge a line or set the clipboard, and marks that turn
the reading direction so that a name reads as another. Whatever is shown passes through `plain`; it is then printed as
text, never as markup.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from datetime import UTC, datetime, timedelta
from typing import Final

#: Whole escape sequences: strings (OSC, DCS, APC, PM, SOS) up to their end, control sequences, two-byte ones.
_ESCAPES: Final = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|\Z)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
#: Marks without a width that are no part of ordinary words: direction marks, invisible characters, tags.
_HIDDEN: Final = re.compile(
    "[\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_SPACE: Final = re.compile(r"\s+")
_COLOURS: Final = ("cyan", "magenta", "green", "yellow", "blue", "bright_red", "bright_cyan", "bright_magenta")
#: How the states of an agent are shown.
STATE_STYLES: Final = {
    "idle": "green",
    "thinking": "cyan",
    "compacting": "cyan",
    "starting": "yellow",
    "rate_limited": "yellow",
    "paused": "blue",
    "needs_login": "bold yellow",
    "unreachable": "bold red",
    "failed": "bold red",
}
_AGES: Final = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def plain(text: object, *, one_line: bool = False) -> str:
    """`text` without anything that a terminal would obey, and with hidden marks made visible.

    Escape sequences are dropped whole, other control characters are shown as their pictures (`␇`), marks that turn the
    direction or have no width as `<U+202E>`. Newlines and tabs stay, or with `one_line` all white space is one blank.
    """
    clean = _ESCAPES.sub("", str(text).replace("\r\n", "\n"))
    clean = _HIDDEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", clean)
    if one_line:
        clean = _SPACE.sub(" ", clean).strip()
    return "".join(char if char in "\n\t" or char.isprintable() else _picture(char) for char in clean)


def _picture(char: str) -> str:
    code = ord(char)
    if code < 0x20:  # noqa: PLR2004 - the control characters of ASCII
        return chr(0x2400 + code)
    if code == 0x7F:  # noqa: PLR2004 - DEL
        return "\u2421"
    return char if unicodedata.category(char) == "Zs" else f"<U+{code:04X}>"


def short(text: object, length: int) -> str:
    """`plain` text in one line of at most `length` characters, the last an ellipsis where something was cut."""
    line = plain(text, one_line=True)
    return line if len(line) <= length else line[: length - 1] + "…"


def instant(text: object) -> datetime | None:
    """An instant of the API, or None where there is none."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def age(text: object, now: datetime | None = None) -> str:
    """How long ago an instant of the API is, in one unit: `12s`, `3m`, `2h`, `5d`."""
    return _between(instant(text), now or datetime.now(UTC))


def took(since: object, until: object) -> str:
    """The time between two instants of the API, in one unit."""
    return _between(instant(since), instant(until))


def _between(since: datetime | None, until: datetime | None) -> str:
    if since is None or until is None:
        return "-"
    seconds = max(0, int((until - since).total_seconds()))
    for length, unit in _AGES:
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return "0s"


def size(count: object) -> str:
    """So many bytes, as a person reads them: `812 B`, `4.2 KiB`, `31.0 MiB`."""
    if not isinstance(count, int):
        return "-"
    number, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while number >= 1024 and len(units) > 1:  # noqa: PLR2004 - the step between two units
        number, units = number / 1024, units[1:]
    return f"{count} B" if units[0] == "B" else f"{number:.1f} {units[0]}"


def clock(text: object, now: datetime | None = None) -> str:
    """An instant of the API in local time: the time of day, with the date unless it is today's."""
    at = instant(text)
    if at is None:
        return "--:--:--"
    local = at.astimezone()
    today = (now or datetime.now(UTC)).astimezone().date()
    return local.strftime("%H:%M:%S" if local.date() == today else "%Y-%m-%d %H:%M:%S")


def login_end(text: object, now: datetime | None = None, within: timedelta | None = None) -> str | None:
    """When a login ends; None where that is not known, or further away than `within`."""
    at, now = instant(text), now or datetime.now(UTC)
    if at is None or (within is not None and at - now > within):
        return None
    how = f"ends in {_between(now, at)}" if at > now else f"ended {_between(at, now)} ago"
    return f"{how}, {clock(text, now)}"


def colour_of(name: str) -> str:
    """A colour for an agent, always the same."""
    return _COLOURS[zlib.crc32(name.encode("utf-8", "replace")) % len(_COLOURS)]
