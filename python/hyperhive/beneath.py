"""The one way into directories in which an agent could have put anything: links, devices, trees of any depth.

Files are opened with `openat2`, which follows no link and leaves the directory on no way. Sizes and removals are left
to `du` and `rm`, which walk without following links, however deep and strange a tree is.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.runtime.command import run_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hyperhive.runtime.command import Runner

#: The same number on every architecture of Linux; include/uapi/asm-generic/unistd.h.
_OPENAT2: Final = 437
#: include/uapi/linux/openat2.h
_NO_MAGIC_LINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
#: Seconds.
_COUNT: Final = 20
_WIPE: Final = 600


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc: Final = ctypes.CDLL(None, use_errno=True)


@contextmanager
def _descriptor(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_beneath(root: Path, relative: str) -> int:
    """Open a regular file below `root` for reading; the caller closes the descriptor.

    Args:
        root: a directory that the hive made; it may be no link itself.
        relative: the file's path in it.

    Raises:
        OSError: it is not there, is reached by a link, or is no regular file.
    """
    how = _How(os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, 0, _NO_MAGIC_LINKS | _NO_SYMLINKS | _BENEATH)
    with _descriptor(root) as directory:
        name = os.fsencode(relative)
        made = _libc.syscall(_OPENAT2, directory, name, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)))
    if made < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), relative)
    if not stat.S_ISREG(os.fstat(made).st_mode):
        os.close(made)
        raise OSError(errno.EINVAL, "not a regular file", relative)
    return int(made)


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
    if os.geteuid():
        # Root needs no permission; others cannot empty a directory that is closed to themselves.
        await run("chmod", "-R", "u+rwx", "--", str(root), seconds=_WIPE)
    done = await run("rm", "-rf", "--one-file-system", "--", str(root), seconds=_WIPE)
    if os.path.lexists(root):  # noqa: ASYNC240 - and another
        why = "; ".join(done.tail(1)) or "rm did not say why"
        raise HiveError("operation_failed", f"'{root}' cannot be removed: {why}", "Remove it by hand")
