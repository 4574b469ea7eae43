"""HTTP/1.1 over a Unix socket with as little as possible between the test and the daemon: fast, and cut off at will."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Self

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from pathlib import Path

    Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class GoneError(Exception):
    """The other end closed before the whole answer was there: whether it did what was asked is not known."""


class RawClient:
    """Requests to one socket, each on a connection of its own while it lasts; a cancelled one closes it."""

    def __init__(self, socket: Path) -> None:
        self._socket = str(socket)
        self._idle: list[Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        for _reader, writer in self._idle:
            writer.close()
        self._idle.clear()
        await asyncio.sleep(0)

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One request; the status and the answer.

        Raises:
            GoneError: there was none.
        """
        content = b"" if body is None else json.dumps(body).encode()
        status, _headers, answer = await self.exchange(
            f"{method} {path} HTTP/1.1\r\nHost: hive\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content
        )
        return status, json.loads(answer)

    async def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Like `call`; what is refused is raised.

        Raises:
            HiveError: refused.
            GoneError: there was no answer.
        """
        status, answer = await self.call(method, path, body)
        if status >= 400:
            raise HiveError.from_json(status, answer)
        return answer

    async def exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Write bytes, read one answer: status, headers, body."""
        reader, writer = self._idle.pop() if self._idle else await self._connect()
        whole = False
        try:
            writer.write(request)
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = await reader.readexactly(int(headers["content-length"]))
            whole = headers.get("connection") != "close"
            return int(head[0].split()[1]), headers, body
        except (OSError, asyncio.IncompleteReadError) as error:
            raise GoneError from error
        finally:
            if whole:
                self._idle.append((reader, writer))
            else:
                writer.close()

    async def _connect(self) -> Connection:
        try:
            return await asyncio.open_unix_connection(self._socket, limit=2**22)
        except OSError as error:
            raise GoneError from error
