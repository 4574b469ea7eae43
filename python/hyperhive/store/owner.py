"""One daemon a state directory: a lock that the kernel takes back when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from hyperhive.errors import HiveError

#: Seconds that the lock of a dead daemon is waited for, and between two looks.
_PATIENCE: Final = 2.0
_STEP: Final = 0.02


class StateDirOwner:
    """Holds `<state_dir>/hive.lock` for the life of the daemon."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "hive.lock"
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            HiveError: `hive_running`, naming the process that has it.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + _PATIENCE
        while not _locked(fd):
            pid = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            if not _is_there(pid) and time.monotonic() < deadline:
                # Killed while it started a program: until that has begun, it holds what its parent had.
                time.sleep(_STEP)
                continue
            os.close(fd)
            raise HiveError(
                "hive_running",
                f"another hive, process {pid}, runs on {self._path.parent}",
                f"Use that one, end it (kill {pid}), or choose another state directory (--state-dir)",
                pid=pid,
            )
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give the lock back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_there(pid: str) -> bool:
    return not pid.isdigit() or Path("/proc", pid).exists()
