"""What the daemon says to systemd and gets from it: ready and stopping, the watchdog's beat, listening sockets kept.

A socket in systemd's fd store outlives the daemon, restarts and stops included, so nobody else can take a port that an
open browser tab trusts. Where there is no systemd every function here does nothing. See sd_notify(3), sd_listen_fds(3).
"""

from __future__ import annotations

import array
import asyncio
import logging
import os
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_log = logging.getLogger(__name__)

#: The first descriptor that systemd hands over.
_FIRST_FD: Final = 3


def notify(state: str, descriptors: tuple[int, ...] = ()) -> bool:
    """Send `sd_notify(3)` text, with descriptors; false where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.connect("\0" + address[1:] if address.startswith("@") else address)
            out.sendmsg([state.encode()], rights)
    except OSError as error:
        _log.warning("systemd could not be told %r: %s", state.splitlines()[0], error)
        return False
    return True


def keep(listener: socket.socket, name: str) -> None:
    """Put a listening socket into systemd's store, under a name; one that is there under it stays."""
    notify(f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", (listener.fileno(),))


def forget(name: str) -> None:
    """Take what is stored under a name out of systemd's store."""
    notify(f"FDSTOREREMOVE=1\nFDNAME={name}")


def kept(environment: Mapping[str, str] | None = None) -> dict[str, socket.socket]:
    """The listening sockets that systemd kept for us, by name. The first of a name counts, others are closed."""
    given = os.environ if environment is None else environment
    if given.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = int(given.get("LISTEN_FDS") or 0)
    names = (given.get("LISTEN_FDNAMES") or "").split(":")
    found: dict[str, socket.socket] = {}
    for number, name in zip(range(_FIRST_FD, _FIRST_FD + count), names, strict=False):
        os.set_inheritable(number, False)  # noqa: FBT003 - its only argument
        try:
            adopted = socket.socket(fileno=number)
        except OSError as error:
            _log.warning("descriptor %d (%s) of systemd is no socket: %s", number, name, error)
            continue
        if name in found:
            adopted.close()
            continue
        adopted.setblocking(False)  # noqa: FBT003 - likewise
        found[name] = adopted
    return found


async def beat() -> None:
    """Tell the watchdog that the loop turns, twice in its time; returns where there is no watchdog."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return
    usec = int(os.environ.get("WATCHDOG_USEC") or 0)
    if not usec:
        return
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(usec / 2_000_000)
