"""Who has a port that we cannot have, as far as `/proc` shows it: for a sentence to a person, and for nothing else.

A program names itself; what is shown of its name is cut and made plain.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_PROC: Final = Path("/proc")
#: The state of a listening socket in /proc/net/tcp.
_LISTENS: Final = "0A"
_PLAIN: Final = re.compile(r"[^A-Za-z0-9 ._:+@/-]")
_SOCKET: Final = re.compile(r"socket:\[(\d+)\]")


def owners(ports: Collection[int], proc: Path = _PROC) -> dict[int, str]:
    """What listens on each of `ports`: `process 123 (nginx)`; those of which nothing can be seen are left out.

    It looks through all processes, so call it in a thread.
    """
    sockets = dict(_listening(frozenset(ports), proc))
    found: dict[int, str] = {}
    if sockets:
        for pid, inode in _open_sockets(proc):
            if inode in sockets:
                found.setdefault(sockets[inode], _described(pid, proc))
    return found


def taken(port: int, owner: str | None) -> str:
    """The sentence's beginning that names a port and who has it."""
    return f"port {port} is taken by {owner or 'another process'}"


def _listening(ports: Collection[int], proc: Path) -> Iterator[tuple[str, int]]:
    for table in ("tcp", "tcp6"):
        lines: list[str] = []
        with suppress(OSError):
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        for line in lines:
            fields = line.split()
            port = int(fields[1].rpartition(":")[2], 16)
            if fields[3] == _LISTENS and port in ports:
                yield fields[9], port


def _open_sockets(proc: Path) -> Iterator[tuple[int, str]]:
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        # Processes end, and those of others may not be looked into.
        with suppress(OSError):
            for descriptor in (entry / "fd").iterdir():
                with suppress(OSError):
                    if match := _SOCKET.fullmatch(str(descriptor.readlink())):
                        yield int(entry.name), match[1]


def _described(pid: int, proc: Path) -> str:
    if pid == os.getpid():
        return "this hive itself"
    program = ""
    with suppress(OSError):
        program = _PLAIN.sub("?", (proc / str(pid) / "comm").read_text(errors="replace").strip())[:40]
    return f"process {pid} ({program})" if program else f"process {pid}"
