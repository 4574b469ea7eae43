"""The mounter: the step between the holder and `setpriv` that gives one harness its own view of closed directories.

In a mount namespace of its own it puts an empty directory over each one that it is told to cover, lets through what it
is told to show, changes into a directory and becomes the command, still as root: giving that up is the command's part.
The host's mounts stay as they are, and the namespace goes with its last process. What to cover and to show is decided
by `opened`.

Standard library only, started with `-I -S`, run as a file and never imported by the hive, as the holder is.

    mounter.py [cover|read-only|writable PATH | link PATH TARGET | directory PATH]… -- COMMAND…

Orders come outermost first. What is shown is bound from an open descriptor, so that it needs no second place to be at
while its own is being covered. Nothing may be imported after that, codecs included: Python may lie behind a cover.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys

TYPE_CHECKING = False  # importing typing would cost more than the mounts
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

_CLONE_NEWNS = 0x00020000
_RDONLY, _NOSUID, _NODEV, _NOEXEC = 1, 2, 4, 8
_REMOUNT, _BIND, _REC, _SLAVE = 1 << 5, 1 << 12, 1 << 14, 1 << 19
_KEPT = {"ro": _RDONLY, "nosuid": _NOSUID, "nodev": _NODEV, "noexec": _NOEXEC}
#: A covered directory holds nothing but the way to what is shown.
_EMPTY = b"mode=0755,size=1m"
_HIDDEN = {errno.EINVAL, errno.ENOENT}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: bytes, flags: int, data: bytes | None = None) -> None:
    _check(_libc.mount(source.encode(), os.fsencode(target), kind, flags, data), f"mount on {target}")


def _orders(arguments: list[str]) -> Iterator[tuple[str, str, str]]:
    """Kind, path and, for a link, target of each order."""
    words = iter(arguments)
    for kind in words:
        yield kind, next(words), next(words) if kind == "link" else ""


def _own_namespace() -> None:
    _check(_libc.unshare(_CLONE_NEWNS), "unshare")
    # Nothing goes out to the host; what the host unmounts goes here, too, so that no agent keeps a disk busy.
    _mount("none", "/", b"", _REC | _SLAVE)


def _unescaped(place: bytes) -> str:
    for character in b" \t\n\\":
        place = place.replace(b"\\%03o" % character, bytes([character]))
    return os.fsdecode(place)


def _mounted_below(path: str) -> dict[str, int]:
    """Each mount at or below `path`, with the flags that it has and must keep."""
    found = {}
    with open("/proc/self/mountinfo", "rb") as table:  # noqa: PTH123 - pathlib costs a third of the start
        for line in table:
            fields = line.split()
            place = _unescaped(fields[4])
            if place == path or place.startswith(path + "/"):
                options = fields[5].decode().split(",")
                found[place] = sum(flag for name, flag in _KEPT.items() if name in options)
    return found


def _restrict(path: str, kind: str) -> None:
    wanted = _NOSUID | _NODEV | (_RDONLY if kind == "read-only" else 0)
    for place, flags in _mounted_below(path).items():
        try:
            _mount("none", place, b"", _BIND | _REMOUNT | flags | wanted)
        except OSError as error:
            # One that lies under another one is out of reach, for the agent as for us.
            if place == path or error.errno not in _HIDDEN:
                raise


def _show(path: str, kind: str, source: int) -> None:
    here = f"/proc/self/fd/{source}"
    with contextlib.suppress(FileExistsError):
        if os.path.isdir(here):  # noqa: PTH112
            os.makedirs(path)  # noqa: PTH103
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444))
    _mount(here, path, b"", _BIND | _REC)
    _restrict(path, kind)


def _follow(orders: list[tuple[str, str, str]]) -> None:
    _own_namespace()
    shown = [path for kind, path, _ in orders if kind in {"read-only", "writable"}]
    sources = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in shown}
    for kind, path, target in orders:
        if kind == "cover":
            _mount("tmpfs", path, b"tmpfs", _NOSUID | _NODEV | _NOEXEC, _EMPTY)
        elif kind == "link":
            os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
            os.symlink(target, path)  # noqa: PTH211
        elif kind in {"read-only", "writable"}:
            _show(path, kind, sources[path])
    for kind, path, _ in orders:
        if kind == "cover":
            _mount("none", path, b"", _BIND | _REMOUNT | _RDONLY | _NOSUID | _NODEV | _NOEXEC)
        elif kind == "directory":
            # By its path once more: until now we are in the one behind the cover.
            os.chdir(path)


def main(arguments: list[str]) -> NoReturn:
    """Follow the orders and become COMMAND, with the umask that we got."""
    end = arguments.index("--")
    command = arguments[end + 1 :]
    try:
        umask = os.umask(0o022)
        _follow(list(_orders(arguments[:end])))
        os.umask(umask)
        os.execv(command[0], command)  # noqa: S606 - that is what it is for
    except OSError as error:
        sys.exit(f"{error.filename or ''} {error.strerror}".lstrip())


if __name__ == "__main__":
    main(sys.argv[1:])
