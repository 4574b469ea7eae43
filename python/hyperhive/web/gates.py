"""Who may come in, decided before any application code runs.

An agent's gate knows the agent from the socket; what a request says about itself is not asked. The operator's TCP gate
knows the operator from the token, and refuses hosts that are not on its list, so that a name that was pointed at
loopback from outside (DNS rebinding) leads nowhere. Both bound the size of what comes in.
"""

from __future__ import annotations

import hmac
import json
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from hyperhive.web.listen import App, Receive, Scope, Send

#: Bytes of a request's body. A message has at most 64 KiB, an event batch more.
MAX_REQUEST: Final = 2 * 1024 * 1024
#: Wrong tokens in a minute, after which further wrong ones are answered 429.
_GUESSES: Final = 10

SECURITY_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def _as_json(scope: Scope) -> None:
    """Whatever comes in is read as JSON, so that `curl -d` needs no header; only what is no JSON is malformed."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
    scope["headers"] = [*headers, (b"content-type", b"application/json")]


async def refuse(send: Send, error: HiveError) -> None:
    """Answer a request with an error, without an application."""
    body = json.dumps(error.to_json()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if "retry_after" in error.data:
        headers.append((b"retry-after", str(error.data["retry_after"]).encode()))
    if error.status == 401:  # noqa: PLR2004 - HTTP's number
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _too_large(scope: Scope) -> HiveError | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or int(value) > MAX_REQUEST):
            return HiveError("body_too_large", f"a request may have {MAX_REQUEST:,} bytes", "Send less at a time")
    return None


def _bounded(receive: Receive) -> Receive:
    """Count what comes in, for requests that do not say their length."""
    size = 0

    async def counted() -> Any:  # noqa: ANN401 - an ASGI message
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_REQUEST:
            raise HTTPException(413, f"a request may have {MAX_REQUEST:,} bytes")
        return message

    return counted


class AgentGate:
    """The gate of one agent's socket.

    Args:
        app: the agent API.
        agent: whose socket it is.
        is_peer: whether it is the agent's harness that connects with a uid, as the runtime says.
    """

    def __init__(self, app: App, agent: str, is_peer: Callable[[int], Awaitable[bool]]) -> None:
        self._app = app
        self._agent = agent
        self._is_peer = is_peer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the agent in, under its name."""
        if scope["type"] != "http":
            return
        _pid, uid, _gid = scope["state"]["peer"]
        if not await self._is_peer(uid):
            await refuse(
                send,
                HiveError(
                    "peer_refused",
                    f"this is the socket of '{self._agent}', and uid {uid} is not it",
                    "Each agent has a socket of its own; the operator uses host.sock",
                ),
            )
            return
        if large := _too_large(scope):
            await refuse(send, large)
            return
        scope["agent"] = self._agent
        _as_json(scope)
        await self._app(scope, _bounded(receive), send)


class OperatorGate:
    """The gate of the operator's API: on host.sock everybody who may connect is the operator; on TCP a token shows it.

    Args:
        app: the operator API and the pages.
        token: None on host.sock.
        hosts: names under which TCP requests may address the hive.
    """

    def __init__(self, app: App, token: str | None, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._token = token
        self._hosts = frozenset(host.lower() for host in hosts) | {"localhost", "127.0.0.1", "[::1]"}
        self._wrong: deque[float] = deque(maxlen=_GUESSES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the operator in; the page's own files need no token."""
        if scope["type"] != "http":
            return
        error = _too_large(scope) or (self._check(scope) if self._token is not None else None)
        if error:
            await refuse(_secured(send), error)
            return
        _as_json(scope)
        await self._app(scope, _bounded(receive), _secured(send))

    def _check(self, scope: Scope) -> HiveError | None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if name not in self._hosts and host not in self._hosts:
            return HiveError("forbidden_host", f"this hive is not called {host!r}", "Add the name to allowedHosts")
        path: str = scope["path"]
        if not (path.startswith("/api/") or path == "/metrics"):
            return None
        given = headers.get(b"authorization", b"")
        if self._token and hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            return None
        return self._wrong_token(bool(given))

    def _wrong_token(self, guessed: bool) -> HiveError:  # noqa: FBT001 - one caller, one meaning
        now = time.monotonic()
        if guessed:
            if len(self._wrong) == _GUESSES and now - self._wrong[0] < 60:  # noqa: PLR2004 - a minute
                return HiveError("too_many_failures", "too many wrong tokens", "Wait a minute", retry_after=60)
            self._wrong.append(now)
        return HiveError("bad_token", "this needs the operator's token", "Print it with: hyperhive dashboard-url")


def _secured(send: Send) -> Send:
    extra = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

    async def with_headers(message: Any) -> None:  # noqa: ANN401 - an ASGI message
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *extra]
        await send(message)

    return with_headers
