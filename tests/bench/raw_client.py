"""HTTP/1.1 over Unix sockets with nothing around it, so that the load costs less than what it measures.

One `Line` is one kept connection with one request under way at a time. Requests carry the same headers as those of a
harness; when an answer is complete is noted where its last byte is read, not where the awaiting task comes to run.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from pathlib import Path

_HEADERS = (
    "Host: hive\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n"
    "User-Agent: python-httpx/0.28.1\r\nContent-Type: application/json\r\n"
)


class Answer(NamedTuple):
    """An answer, and when it was complete (`time.monotonic()`)."""

    status: int
    body: bytes
    at: float

    def json(self, status: int = 200) -> Any:  # noqa: ANN401 - JSON
        """The body; anything but `status` ends the measurement."""
        if self.status != status:
            msg = f"the hive answered {self.status}: {self.body[:500]!r}"
            raise RuntimeError(msg)
        return json.loads(self.body)


class Line(asyncio.Protocol):
    """One connection to a hive."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Connect to a socket."""
        _transport, line = await asyncio.get_running_loop().create_unix_connection(cls, str(path))
        return line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = transport  # type: ignore[assignment]

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Write a request; the future has its answer."""
        assert self._transport
        assert self._answer is None, "one request at a time"
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        """Part of an answer came."""
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0 or self._answer is None:
            return
        start = self._buffer.find(b"content-length: ", 0, head) + 16
        assert start > 15, "an answer without a length"
        end = self._buffer.find(b"\r", start)
        size = head + 4 + int(self._buffer[start:end])
        if len(self._buffer) < size:
            return
        answer = Answer(int(self._buffer[9:12]), bytes(self._buffer[head + 4 : size]), time.monotonic())
        del self._buffer[:size]
        waiter, self._answer = self._answer, None
        if not waiter.done():
            waiter.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        """The hive closed the connection."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the hive closed the connection"))

    def close(self) -> None:
        """Hang up."""
        if self._transport:
            self._transport.close()


def post(path: str, body: dict[str, Any]) -> bytes:
    """A POST request with a JSON body."""
    content = json.dumps(body, separators=(",", ":")).encode()
    return f"POST {path} HTTP/1.1\r\n{_HEADERS}Content-Length: {len(content)}\r\n\r\n".encode() + content


def get(path: str) -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\n{_HEADERS}\r\n".encode()
