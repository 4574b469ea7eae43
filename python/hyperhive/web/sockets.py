"""Making listening sockets: path, mode, owner, both loopback families. Nothing else in the hive binds."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.web.port_owner import owners, taken

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)

#: Bytes that the path of a Unix socket may have on Linux, without the closing NUL.
MAX_SOCKET_PATH: Final = 107
_BACKLOG: Final = 512
_TRIES: Final = 12
#: Seconds between tries: doubled from 0.1, at most 2; about 22 s in all with the last ones.
_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 2.0


def bind_unix(path: Path, mode: int, owner: tuple[int, int] | None = None) -> socket.socket:
    """Make a listening Unix socket, in place of one that lies there.

    The process's umask keeps everybody else out until mode and owner are set.

    Args:
        path: where; its directory exists.
        mode: permission bits; to connect one needs the write bit.
        owner: uid and gid, if not our own.

    Raises:
        HiveError: `path_too_long`; `operation_failed` with the system's word.
    """
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise HiveError(
            "path_too_long",
            f"the socket path {path} has more than {MAX_SOCKET_PATH} bytes, which Linux does not allow",
            "Set a shorter runtimeDir or stateDir",
        )
    try:
        return _bound(path, mode, owner)
    except OSError as error:
        raise HiveError(
            "operation_failed", f"the socket {path} cannot be made: {error.strerror}", "Look at its directory"
        ) from None


def _bound(path: Path, mode: int, owner: tuple[int, int] | None) -> socket.socket:
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    old = os.umask(0o177)
    try:
        made.bind(str(path))
        if owner is not None and os.geteuid() == 0:
            os.chown(path, *owner)
        path.chmod(mode)
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    finally:
        os.umask(old)
    return made


async def bind_tcp(port: int, kept: dict[str, socket.socket] | None = None) -> list[socket.socket]:
    """Make listening sockets on 127.0.0.1 and ::1, waiting a while for a port that is still taken.

    Both families, because with one of them free another process could sit where `localhost` leads. A machine without
    ::1 gets the one, and a line in the log.

    Args:
        port: 0 lets the kernel choose one, the same for both.
        kept: sockets by `kept_name` that were left from before; those of this port are taken out and used.

    Raises:
        HiveError: `port_taken`, after about 22 seconds.
    """
    wait = _FIRST_WAIT
    for attempt in range(1, _TRIES + 1):
        try:
            return bind_tcp_now(port, kept)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise HiveError(
                    "port_taken", f"port {port} cannot be had: {error.strerror}", "Choose another"
                ) from None
        if attempt == 1:
            _log.warning("port %d is taken, trying again for a while", port)
        if attempt < _TRIES:
            await asyncio.sleep(wait)
        wait = min(wait * 2, _LONGEST_WAIT)
    owner = (await asyncio.to_thread(owners, [port])).get(port)
    raise HiveError(
        "port_taken",
        taken(port, owner),
        f"See who has it: ss -ltnp 'sport = :{port}'; or choose another port (dashboard.port, --port)",
        port=port,
    )


def kept_name(listener: socket.socket) -> str:
    """The name under which a TCP listener outlives the daemon: `tcp-7000-v4`."""
    return _name(listener.family, listener.getsockname()[1])


def kept_port(name: str) -> int | None:
    """The port that a name of `kept_name` is of; None where it is no such name."""
    kind, _, rest = name.partition("-")
    port = rest.partition("-")[0]
    return int(port) if kind == "tcp" and port.isdecimal() else None


def _name(family: int, port: int) -> str:
    return f"tcp-{port}-{'v6' if family == socket.AF_INET6 else 'v4'}"


def bind_tcp_now(
    port: int, kept: dict[str, socket.socket] | None = None, *, quiet: bool = False
) -> list[socket.socket]:
    """Like `bind_tcp`, at once or not at all. What is used of `kept` stays in it.

    Args:
        port: 0 lets the kernel choose one, the same for both.
        kept: sockets by `kept_name` that were left from before.
        quiet: whether nothing is to be said about a machine without ::1.

    Raises:
        OSError: one of the two cannot be had; then neither is.
    """
    kept = {} if kept is None else kept
    first = kept.get(_name(socket.AF_INET, port)) or _bind_one(socket.AF_INET, "127.0.0.1", port)
    chosen = first.getsockname()[1]
    try:
        second = kept.get(_name(socket.AF_INET6, chosen)) or _bind_one(socket.AF_INET6, "::1", chosen)
    except OSError as error:
        if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            if not quiet:
                _log.warning("this machine has no ::1; port %d listens on 127.0.0.1 alone", chosen)
            return [first]
        if first not in kept.values():
            first.close()
        raise
    return [first, second]


def _bind_one(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, port))
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    return made
