"""What a harness says: appended to its log with times, the last lines kept for whoever asks why it ended.

The log belongs to the hive and is bounded: at 5 MiB it becomes `<log>.1`. A full disk costs lines, never the run.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from typing import TYPE_CHECKING, Final

from hyperhive.clock import rfc3339, utc_now

if TYPE_CHECKING:
    from pathlib import Path

    from hyperhive.clock import Clock

#: Bytes after which a log is rotated.
ROTATE_AT: Final = 5 * 1024 * 1024
#: Lines that are kept in memory.
TAIL: Final = 20
_LINE: Final = 8192
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC

_log = logging.getLogger(__name__)


class OutputLog:
    """The output of one run.

    Args:
        path: the file to append to.
        clock: where the times come from.
        rotate_at: bytes after which the file is moved away.
    """

    def __init__(self, path: Path, clock: Clock = utc_now, rotate_at: int = ROTATE_AT) -> None:
        self._path = path
        self._clock = clock
        self._rotate_at = rotate_at
        self._rest = b""
        self._tail: deque[str] = deque(maxlen=TAIL)
        self._broken = False
        self._file: int | None = None
        self._size = 0

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, without times."""
        return tuple(self._tail)

    def feed(self, chunk: bytes) -> None:
        """Take what was read, in pieces of any size. A line that does not end is broken up at 8 KiB."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        while len(self._rest) > _LINE:
            lines.append(self._rest[:_LINE])
            self._rest = self._rest[_LINE:]
        self._write(lines)

    def close(self) -> None:
        """Write what has no line end yet, and close the file."""
        if self._rest:
            self._write([self._rest])
            self._rest = b""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, lines: list[bytes]) -> None:
        if not lines:
            return
        texts = [line.decode(errors="replace").rstrip("\r") for line in lines]
        self._tail.extend(texts)
        at = rfc3339(self._clock())
        block = "".join(f"{at} {text}\n" for text in texts).encode()
        try:
            self._append(block)
            self._broken = False
        except OSError as error:
            if not self._broken:
                _log.warning("output is lost: cannot write '%s': %s", self._path, error.strerror)
            self._broken = True

    def _append(self, block: bytes) -> None:
        if self._file is not None and self._size >= self._rotate_at:
            os.close(self._file)
            self._file = None
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        if self._file is None:
            self._file = os.open(self._path, _FLAGS, 0o600)
            self._size = os.fstat(self._file).st_size
        self._size += os.write(self._file, block)
