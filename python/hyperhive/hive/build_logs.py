"""What a builder said of a proposal, whole: from its file, or from the row where nothing of it was left out there."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from pathlib import Path

    from hyperhive.hive.hive import Hive

#: Bytes that are read of a log at most, from its end. `NixBuilder` writes less than a third of that.
_MOST: Final = 1024 * 1024


async def build_log(hive: Hive, number: int) -> str:
    """The log of an approval's last build.

    Raises:
        HiveError: `unknown_approval`; `wrong_state` where nothing was built, or not yet; `not_found` where it is not
            kept any more.
    """
    row = await hive.approvals.find(number)
    if row.kind != "apply":
        raise HiveError("wrong_state", f"approval {number} is about a new agent: there is nothing to build")
    if row.status == "building":
        what = f"approval {number} is being built; what is said meanwhile is kept at the end"
        raise HiveError("wrong_state", what, "Ask again when it is pending, or has failed")
    kept = await asyncio.to_thread(_read, hive.layout.builds / f"{number}.log")
    log = (row.build or {}).get("log") if kept is None else kept
    if log is None:
        what = f"the log of approval {number} is not kept any more"
        raise HiveError("not_found", what, "Those of the last 200 builds are")
    return str(log)


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _MOST))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return None
