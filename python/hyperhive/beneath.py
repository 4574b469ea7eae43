"""The one way into directories in which an agent could have put anything: links, devices, trees of any depth.

Files are opened step by step, and no step follows a link: `openat2` would do it in one, but a unit that may make no
set-uid files (`RestrictSUIDSGID`) is told that the kernel has none. Sizes and removals are left to `du` and `rm`, which
walk without following links, however deep and strange a tree is.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.runtime.command import run_program

if TYPE_CHECKING:
    from pathlib import Path

    from hyperhive.runtime.command import Runner

#: Seconds.
_COUNT: Final = 20
_WIPE: Final = 600
_STEP: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_beneath(root: Path, relative: str) -> int:
    """Open a regular file below `root` for reading; the caller closes the descriptor.

    Args:
        root: a directory that the hive made; it may be no link itself.
        relative: the file's path in it.

    Raises:
        OSError: it is not there, is reached by a link, or is no regular file.
    """
    *steps, last = relative.split("/")
    if not all(part not in {"", ".", ".."} for part in (*steps, last)):
        raise OSError(errno.EINVAL, "not a path below a directory", relative)
    here = os.open(root, _STEP)
    try:
        for step in steps:
            deeper = os.open(step, _STEP, dir_fd=here)
            os.close(here)
            here = deeper
        made = os.open(last, _FILE, dir_fd=here)
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(made).st_mode):
        os.close(made)
        raise OSError(errno.EINVAL, "not a regular file", relative)
    return made


def has_file(root: Path, relative: str) -> bool:
    """Whether there is a regular file with something in it."""
    try:
        descriptor = open_beneath(root, relative)
    except OSError:
        return False
    try:
        return os.fstat(descriptor).st_size > 0
    finally:
        os.close(descriptor)


async def size_of(root: Path, run: Runner = run_program) -> int | None:
    """Bytes that a tree takes on the disk; None where that cannot be said in a few seconds."""
    if not root.is_dir():  # noqa: ASYNC240 - one question to the kernel
        return 0
    try:
        done = await run("du", "-sx", "--block-size=1", "--", str(root), seconds=_COUNT)
    except HiveError:
        return None
    counted = done.out.split("\t", 1)[0]
    return int(counted) if counted.isdigit() else None


async def wipe(root: Path, run: Runner = run_program) -> None:
    """Remove a tree.

    Raises:
        HiveError: `operation_failed`: something of it is still there.
    """
    if not os.path.lexists(root):  # noqa: ASYNC240 - one question to the kernel
        return
    if os.geteuid() and not root.is_symlink():  # noqa: ASYNC240 - and another
        # Root needs no permission; others cannot empty a directory that is closed to themselves. A link is followed.
        await run("chmod", "-R", "u+rwx", "--", str(root), seconds=_WIPE)
    done = await run("rm", "-rf", "--one-file-system", "--", str(root), seconds=_WIPE)
    if os.path.lexists(root):  # noqa: ASYNC240 - and another
        why = "; ".join(done.tail(1)) or "rm did not say why"
        raise HiveError("operation_failed", f"'{root}' cannot be removed: {why}", "Remove it by hand")
