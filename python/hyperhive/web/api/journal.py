"""The last lines of an agent's log, read from the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes read from the end at most.
_MOST: Final = 1024 * 1024


async def last_lines(path: Path, count: int) -> list[str]:
    """The last `count` lines, oldest first; none where there is no log yet. The file is the hive's own."""
    return await asyncio.to_thread(_read, path, count)


def _read(path: Path, count: int) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _MOST))
            text = file.read()
    except FileNotFoundError:
        return []
    return text.decode("utf-8", "replace").splitlines()[-count:]
