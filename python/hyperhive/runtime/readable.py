"""Whether another uid could read a path: by looking at modes alone, before anything is started as that uid.

Access lists are not looked at: they may grant what is refused here, never the other way round in practice.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hyperhive.runtime.base import Owner

    Stat = Callable[[Path], os.stat_result]


def _allows(status: os.stat_result, owner: Owner, bits: int) -> bool:
    """Whether the mode has `bits` (of `rwx`) for `owner`, who is in no other group."""
    if status.st_uid == owner.uid:
        shift = 6
    elif status.st_gid == owner.gid:
        shift = 3
    else:
        shift = 0
    return (status.st_mode >> shift) & bits == bits


def first_closed(
    path: Path, owner: Owner, within: Iterable[Path] = (Path("/"),), *, passing: bool = False, look: Stat = Path.stat
) -> Path | None:
    """The first directory (or `path` itself) that keeps `owner` from reading `path`; None if nothing does.

    Args:
        path: what shall be read; directories must be searchable too.
        owner: who shall read it.
        within: only what is at or below one of these counts.
        passing: whether it is enough to pass through `path`, without listing it.
        look: how a mode is found out.
    """
    roots = tuple(within)
    for step in (*reversed(path.parents), path):
        if not any(step.is_relative_to(root) for root in roots):
            continue
        status = look(step)
        needed = os.X_OK if passing or step != path else os.R_OK | (os.X_OK if stat.S_ISDIR(status.st_mode) else 0)
        if not _allows(status, owner, needed):
            return step
    return None


def closed_above(path: Path, owner: Owner, look: Stat = Path.stat) -> list[Path]:
    """Every directory above `path` that `owner` cannot pass, outermost first."""
    found = []
    for step in reversed(path.parents):
        # What cannot be looked at is `check_readable`'s to refuse.
        with contextlib.suppress(OSError):
            if not _allows(look(step), owner, os.X_OK):
                found.append(step)
    return found


def check_readable(  # noqa: PLR0913 - the last three have defaults
    paths: Iterable[Path],
    owner: Owner,
    what: str,
    hint: str,
    within: Iterable[Path] = (Path("/"),),
    *,
    passing: bool = False,
    look: Stat = Path.stat,
) -> None:
    """Refuse before a start what would fail after it, with nothing but "Permission denied" in a log.

    Raises:
        HiveError: `sandbox_unreadable`, naming the first directory that is closed.
    """
    roots = tuple(within)
    for path in paths:
        # Both the path that programs use and the one behind its links have to be open.
        for form in dict.fromkeys((path.absolute(), path.resolve())):
            try:
                closed = first_closed(form, owner, roots, passing=passing, look=look)
            except OSError as error:
                msg = f"{what} '{form}' cannot be looked at: {error.strerror}"
                refusal = HiveError("sandbox_unreadable", msg, hint, path=str(form))
                raise refusal from error
            if closed:
                msg = f"{what} '{form}' cannot be read by the agent's uid {owner.uid}: '{closed}' is closed to it"
                refusal = HiveError("sandbox_unreadable", msg, hint, path=str(closed))
                raise refusal
