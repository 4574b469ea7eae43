"""What was told already, in a file that outlives the daemon: so that nothing is told twice.

A file and not the database, because it is one way's own memory: it changes with each text, and nobody else reads it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_log = logging.getLogger(__name__)


class Told:
    """Keys of what was told.

    Args:
        path: where they are kept, 0600.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = _read(path)
        #: Whether the file does not say it yet.
        self.changed = False

    def __contains__(self, key: str) -> bool:
        """Whether it was told."""
        return key in self._keys

    def __iter__(self) -> Iterator[str]:
        """What was told."""
        return iter(self._keys)

    def add(self, keys: Iterable[str]) -> None:
        """These were told."""
        self._keys |= set(keys)
        self.changed = True

    def forget_unless(self, kept: Callable[[str], bool]) -> None:
        """Forget what is over; when it begins anew, it is told anew."""
        left = {key for key in self._keys if kept(key)}
        if left != self._keys:
            self._keys = left
            self.changed = True

    async def write(self) -> None:
        """Make the file say it.

        Raises:
            OSError: it cannot be written; what was told is known until the end of this run.
        """
        self.changed = False
        await asyncio.to_thread(_write, self._path, sorted(self._keys))


def _read(path: Path) -> set[str]:
    try:
        return {str(key) for key in json.loads(path.read_text(encoding="utf-8"))}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, TypeError) as error:
        _log.warning("%s cannot be read, so what waits may be told once more: %s", path, error)
        return set()


def _write(path: Path, keys: list[str]) -> None:
    """Beside its place and moved there, so that a crash leaves the old one or the new one."""
    half = path.with_name(f"{path.name}.new")
    fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        json.dump(keys, file)
        file.flush()
        os.fsync(fd)
    half.rename(path)
