"""Serving applications on sockets that were made here: one small uvicorn server a listener, in one loop.

The server differs from uvicorn's own in three ways, each measured: it installs no signal handlers (several servers in
one process would take them from each other), it has no ten ticks a second (an idle hive uses no processor), and its
HTTP protocol puts the peer's credentials into the scope, because who is calling is known from the socket and from
nothing that is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Any, Final, Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping
    from pathlib import Path

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Seconds that an idle connection is kept; an agent that speaks once a minute should not meet a closed one.
_KEEP_ALIVE: Final = 300
#: Seconds that requests under way get when a listener closes. Parked ones are answered before.
_GRACE: Final = 2
_CREDENTIALS: Final = struct.Struct("3i")


class PeerProtocol(HttpToolsProtocol):
    """HTTP/1.1 that tells the application who is at the other end: `scope["state"]["peer"]` = (pid, uid, gid)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Read the credentials once, from the kernel."""
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family == socket.AF_UNIX:
            raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            self.app_state = {**self.app_state, "peer": _CREDENTIALS.unpack(raw)}
        super().connection_made(transport)


class _Server(uvicorn.Server):
    def __init__(self, app: App) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=PeerProtocol,
                ws="none",
                lifespan="off",
                loop="none",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=_GRACE,
            )
        )
        self._leave = asyncio.Event()
        self.listening = asyncio.Event()

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()

    async def main_loop(self) -> None:
        self.server_state.default_headers = self.config.encoded_headers
        self.listening.set()
        await self._leave.wait()

    def leave(self) -> None:
        self._leave.set()


class Listeners:
    """All listeners of a hive. Their tasks live in a task group that `open` holds.

    Used as `async with Listeners() as listeners`; leaving closes every one.
    """

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._servers: dict[str, tuple[_Server, asyncio.Task[None]]] = {}

    async def __aenter__(self) -> Self:
        """Be ready for `add`."""
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close every listener."""
        await asyncio.gather(*(self.remove(name) for name in list(self._servers)))
        await self._group.__aexit__(*error)  # type: ignore[arg-type]

    async def add(self, name: str, sockets: list[socket.socket], app: App) -> None:
        """Serve `app` on `sockets`; one that was there under this name is closed first."""
        try:
            await self.remove(name)
        except BaseException:
            for one in sockets:
                one.close()
            raise
        server = _Server(app)
        task = self._group.create_task(server.serve(sockets), name=f"listen {name}")
        self._servers[name] = (server, task)
        await server.listening.wait()

    async def remove(self, name: str) -> None:
        """Close a listener: no new connections, requests under way may end, then the rest is cut."""
        found = self._servers.pop(name, None)
        if found is not None:
            server, task = found
            server.leave()
            await task

    def names(self) -> Iterator[str]:
        """The listeners that are open."""
        return iter(tuple(self._servers))


def remove_socket(path: Path) -> None:
    """Take a Unix socket's file away; uvicorn leaves it."""
    path.unlink(missing_ok=True)
