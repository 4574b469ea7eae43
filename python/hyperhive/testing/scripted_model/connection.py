"""A loopback HTTP/1.1 listener that can do what no web framework offers: hang, and drop a connection at a given byte.

Bytes are parsed by httptools (the parser of uvicorn). Each connection is one task that reads, with one task below it
that answers; when the client goes away the answering task is cancelled, and closing the listener ends both.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field
from http.client import responses
from typing import TYPE_CHECKING, Final

import httptools

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Handler = Callable[["Request", "Reply"], Awaitable[None]]

LOOPBACK: Final = "127.0.0.1"
_READ: Final = 1 << 18  # bytes
_log: Final = logging.getLogger(__name__)


@dataclass
class Request:
    """One request, complete."""

    arrived: float
    method: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Dropped(Exception):  # noqa: N818 - a wish, not a failure
    """The handler wants the connection closed as it is."""


class Reply:
    """Writes one response: whole with `send`, or `start`, any number of `write`, `finish`."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.started = False

    async def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """A whole response."""
        await self._head(status, {**headers, "content-length": str(len(body))}, body)

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of a response whose body comes in pieces."""
        await self._head(status, {**headers, "transfer-encoding": "chunked"}, b"")

    async def write(self, data: bytes) -> None:
        """One piece of the body."""
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self._writer.drain()

    async def finish(self) -> None:
        """The end of a body in pieces."""
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def _head(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        lines = [f"HTTP/1.1 {status} {responses.get(status, 'Scripted')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.started = True
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body)
        await self._writer.drain()


class _Reader:
    """Callbacks of the parser: collects requests and puts each complete one on the queue."""

    def __init__(self) -> None:
        self.complete: asyncio.Queue[Request] = asyncio.Queue()
        self._request = Request(0.0)
        self._target = b""
        self._body: list[bytes] = []
        self.parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self._request, self._target, self._body = Request(time.monotonic()), b"", []

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._request.method = self.parser.get_method().decode("ascii")
        self._request.path = self._target.decode("latin-1").partition("?")[0]
        self._request.body = b"".join(self._body)
        self.complete.put_nowait(self._request)


class Listener:
    """Serves `handler` on loopback, in the running event loop."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self, port: int) -> int:
        """Listen on `port`, or on any free one if it is 0; returns the port."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Close all connections, those that hang too, and wait until nothing is left."""
        if self._server is None:
            return
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Own the connection from its first moment: a task that `close` finds even before it has run."""
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="scripted-model-connection")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests = _Reader()
        answering = asyncio.create_task(self._answer(requests.complete, writer), name="scripted-model-answer")
        broken = (ConnectionError, httptools.HttpParserError, httptools.HttpParserUpgrade)
        try:
            with contextlib.suppress(*broken):
                while data := await reader.read(_READ):
                    requests.parser.feed_data(data)
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, requests: asyncio.Queue[Request], writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other; a handler that fails or wants to drop closes the connection."""
        try:
            while True:
                await self._handler(await requests.get(), Reply(writer))
        except (Dropped, ConnectionError):
            pass
        except Exception:  # noqa: BLE001 - the top of a task
            _log.exception("the scripted model failed at a request")
        finally:
            writer.close()
