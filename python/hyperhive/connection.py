"""The line to a hive: requests in JSON, the stream of changes, and every failure as a `HiveError`.

Below `HiveClient` and the CLI. It speaks plain JSON and imports no models: `hyperhive list` should cost a blink also on
a slow machine.
"""

from __future__ import annotations

import asyncio
import errno
import json
import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import parse_qs, urlsplit, urlunsplit

import httpx

from hyperhive.errors import HiveError
from hyperhive.socket_path import find_socket, short_enough

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
    from pathlib import Path

Json = dict[str, Any]

#: Seconds. An answer may take a while (a stop waits 5 s for its end); httpx's own 5 s would cut it.
_TIMEOUT: Final = httpx.Timeout(120, connect=10)
#: Seconds. A stream is never silent for longer than 20 s.
_STREAM_TIMEOUT: Final = httpx.Timeout(90, connect=10)
#: Seconds between two tries to come back to a hive that went away: the first and the longest.
_RETRY: Final = (0.2, 2.0)
#: What is a part of a path and of nothing else.
_PART: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
#: What a hive that restarts makes of a request.
_AWAY: Final = {"no_daemon", "shutting_down"}


class Connection:
    """Requests to one hive; use it as an async context manager.

    Args:
        socket: the hive's `host.sock`; without one, and without `url`, `find_socket` says where.
        url: address of the dashboard instead, `http://127.0.0.1:7000`; what `dashboard-url` prints brings its token.
        token: the operator's token for `url`.
    """

    def __init__(self, socket: Path | None = None, *, url: str | None = None, token: str | None = None) -> None:
        headers = {"accept": "application/json"}
        transport = None
        if url is None:
            path = socket or find_socket()
            self.where = str(path)
            # A Unix socket has no TLS; loading certificates for it would cost a tenth of `hyperhive list`.
            transport = httpx.AsyncHTTPTransport(uds=short_enough(path), verify=False)
            base = "http://hive"
        else:
            parts = urlsplit(url)
            token = token or next(iter(parse_qs(parts.fragment).get("token", [])), None)
            base = self.where = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
        if token:
            headers["authorization"] = f"Bearer {token}"
        self._http = httpx.AsyncClient(
            base_url=base, headers=headers, transport=transport, timeout=_TIMEOUT, trust_env=False
        )

    async def __aenter__(self) -> Self:
        """Be ready; nothing is sent yet."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close every connection."""
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def get(self, path: str, **query: object) -> Json:
        """GET `path`; parameters that are None are left out.

        Raises:
            HiveError: what the hive answered, or `no_daemon`.
        """
        return await self._ask("GET", path, params=_given(query))

    async def text(self, path: str) -> str:
        """GET `path`, which answers with text.

        Raises:
            HiveError: what the hive answered, or `no_daemon`.
        """
        try:
            response = await self._http.get(path)
        except httpx.TransportError as error:
            raise self._failure(error) from error
        if not response.is_success:
            self._read(response)
        return response.text

    async def post(self, path: str, body: object = None) -> Json:
        """POST `body` as JSON.

        Raises:
            HiveError: what the hive answered, or `no_daemon`.
        """
        content = b"" if body is None else _encoded(body)
        return await self._ask("POST", path, content=content, headers={"content-type": "application/json"})

    async def delete(self, path: str) -> Json:
        """DELETE `path`.

        Raises:
            HiveError: what the hive answered, or `no_daemon`.
        """
        return await self._ask("DELETE", path)

    async def _ask(self, method: str, path: str, **arguments: Any) -> Json:  # noqa: ANN401 - httpx's
        try:
            response = await self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise self._failure(error) from error
        return self._read(response)

    async def stream(self, since: int | None = None, epoch: str | None = None) -> AsyncGenerator[Json, None]:
        """Changes as they come, from after `since` of `epoch`, or from now. Ends or fails when the hive does.

        Raises:
            HiveError: `no_daemon` when the hive is not there or goes away.
        """
        async with aclosing(self._stream("/api/stream", _given({"since": since, "epoch": epoch}))) as events:
            async for event in events:
                yield event

    async def _stream(self, path: str, query: dict[str, str]) -> AsyncGenerator[Json, None]:
        try:
            async with self._http.stream("GET", path, params=query, timeout=_STREAM_TIMEOUT) as response:
                if not response.is_success:
                    await response.aread()
                    self._read(response)
                async for event in _events(response.aiter_lines()):
                    yield event
        except httpx.TransportError as error:
            raise self._failure(error) from error

    async def follow(
        self, since: int | None = None, epoch: str | None = None, *, on_away: Callable[[], None] | None = None
    ) -> AsyncGenerator[Json, None]:
        """Like `stream`, and comes back whenever the hive does. After its restart the first change is a `resync`.

        Args:
            since: number of the last change that is known.
            epoch: the run of the hive that the number is of.
            on_away: called once each time the hive is gone.

        Raises:
            HiveError: the hive was never there, or refused.
        """
        pause = _RETRY[0]
        while True:
            try:
                if since is None:
                    snapshot = await self.get("/api/state")
                    since, epoch = snapshot["seq"], snapshot["epoch"]
                async for event in self.stream(since, epoch):
                    since, epoch = event.get("seq", since), event.get("epoch", epoch)
                    pause = _RETRY[0]
                    yield event
            except HiveError as error:
                if since is None or error.code not in _AWAY:
                    raise
            if on_away and pause == _RETRY[0]:
                on_away()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RETRY[1])

    async def follow_path(
        self, path: str, *, on_away: Callable[[], None] | None = None, **query: object
    ) -> AsyncGenerator[tuple[bool, Json], None]:
        """What another stream of the hive's says, asked for again whenever it ends; with whether it began anew.

        Args:
            path: where it is.
            on_away: called once each time the hive is gone.
            query: parameters; those that are None are left out.

        Raises:
            HiveError: the hive was never there, or refused.
        """
        pause, heard = _RETRY[0], False
        while True:
            begins = True
            try:
                async with aclosing(self._stream(path, _given(query))) as events:
                    async for event in events:
                        pause, heard = _RETRY[0], True
                        yield begins, event
                        begins = False
            except HiveError as error:
                if not heard or error.code not in _AWAY:
                    raise
                if on_away and pause == _RETRY[0]:
                    on_away()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RETRY[1])

    def _read(self, response: httpx.Response) -> Json:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not response.is_success:
            raise HiveError.from_json(response.status_code, answer)
        if not isinstance(answer, dict):
            raise HiveError("internal", f"what answers at {self.where} is no hive", "Check the address")
        return answer

    def _failure(self, error: httpx.TransportError) -> HiveError:
        if _errno(error) in {errno.EACCES, errno.EPERM}:
            return HiveError(
                "not_allowed",
                f"you may not use the socket {self.where}",
                "Become a member of the group that owns it (hyperhive), or ask its owner",
            )
        if isinstance(error, httpx.ReadTimeout):
            return HiveError("operation_failed", f"the hive at {self.where} did not answer in time", "See its log")
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            hint = "Start a hive with: hyperhive up; or name the socket of another with --socket or HYPERHIVE_SOCKET"
            return HiveError("no_daemon", f"no hive answers at {self.where}", hint)
        return HiveError("no_daemon", f"the hive at {self.where} went away", "Look again once it is back")


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[Json]:
    """Server-sent events: the `data` lines up to an empty line are one JSON object; comments are passed over."""
    data: list[str] = []
    async for line in lines:
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            event = json.loads("\n".join(data))
            data = []
            if isinstance(event, dict):
                yield event


def part_of_path(text: str) -> str:
    """`text` as one part of a route.

    Raises:
        HiveError: `not_found`: it could be read as another route, and no id of the hive's looks like that.
    """
    if not _PART.fullmatch(text):
        raise HiveError("not_found", f"{text!r} is no id of anything", "Ids look like 'crash-alice'")
    return text


def _given(query: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in query.items() if value is not None}


def _encoded(body: object) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise HiveError("malformed", "what you send is no UTF-8 text", "Send text; other data as a file") from None


def _errno(error: BaseException | None) -> int | None:
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        error = error.__cause__ or error.__context__
    return None
