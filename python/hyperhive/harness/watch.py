"""Tells at once when something in a directory changes, without looking again and again: inotify, through the C library.

Where the kernel gives no watch (there is a limit for each user), nothing is ever told, so whoever waits looks now and
then besides.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path

_CLOSE_WRITE: Final = 0x8
_MOVED_FROM: Final = 0x40
_MOVED_TO: Final = 0x80
_DELETE: Final = 0x200
_ANY: Final = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _DELETE
_log = logging.getLogger(__name__)


class Watch:
    """Watches directories while it is entered; use it in a running event loop.

    Args:
        directories: what to watch; those that are not there are passed over.
    """

    def __init__(self, *directories: Path | None) -> None:
        self.changed = asyncio.Event()
        """Set when a file was written, moved or removed there; whoever waits clears it."""
        self._directories = [directory for directory in directories if directory is not None]
        self._descriptor = -1

    def __enter__(self) -> Self:
        try:
            self._open()
        except (OSError, AttributeError) as error:
            _log.debug("changes of %s are not told: %s", self._directories, error)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        descriptor = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "no inotify instance is left")
        self._descriptor = descriptor
        for directory in self._directories:
            if library.inotify_add_watch(descriptor, os.fsencode(directory), _ANY) < 0:
                _log.debug("changes of %s are not told: error %d", directory, ctypes.get_errno())
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._descriptor, 64 * 1024)
            self.changed.set()
