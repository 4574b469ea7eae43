"""Who may come in, decided before any application code runs.

An agent's gate knows the agent from the socket; what a request says about itself is not asked. The operator's TCP gate
knows the operator from the token; that of an agent's own port knows the token of one page, and which few routes are
that page's. All bound the size of what comes in.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException

from hyperhive.errors import HiveError
from hyperhive.names import MANAGER
from hyperhive.web.door import Door
from hyperhive.wire import MAX_BUNDLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from hyperhive.web.listen import App, Receive, Scope, Send

#: Bytes of a request's body. A message has at most 64 KiB, an event batch more.
MAX_REQUEST: Final = 2 * 1024 * 1024
#: The one route of an agent's socket that takes more: a git bundle, which is not held in memory.
_UPLOAD: Final = "/v1/config-proposals"
#: What an agent's page can ask for on the agent's own port, below `/api/`, and how.
PAGE_ROUTES: Final = {
    "state": ("GET",),
    "stream": ("GET",),
    "events": ("GET",),
    "messages": ("GET", "POST"),
    "cancel": ("POST",),
    "compact": ("POST",),
    "new-session": ("POST",),
    "model": ("POST",),
    "login/start": ("POST",),
    "login/code": ("POST",),
    "login/cancel": ("POST",),
}

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


def _too_large(scope: Scope, most: int = MAX_REQUEST) -> HiveError | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or int(value) > most):
            return HiveError("body_too_large", f"a request may have {most:,} bytes", "Send less at a time")
    return None


def _bounded(receive: Receive, most: int = MAX_REQUEST) -> Receive:
    """Count what comes in, for requests that do not say their length."""
    size = 0

    async def counted() -> Any:  # noqa: ANN401 - an ASGI message
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise HTTPException(413, f"a request may have {most:,} bytes")
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
        uploads = self._agent == MANAGER and scope["path"] == _UPLOAD
        most = MAX_BUNDLE if uploads else MAX_REQUEST
        if large := _too_large(scope, most):
            await refuse(send, large)
            return
        scope["agent"] = self._agent
        _as_json(scope)
        await self._app(scope, _bounded(receive, most), send)


class OperatorGate:
    """The gate of the operator's API: on host.sock everybody who may connect is the operator; on TCP a token shows it.

    Args:
        app: the operator API and the pages.
        token: None on host.sock.
        hosts: names under which TCP requests may address the hive.
        metrics_token: what opens /metrics too, and nothing else.
    """

    def __init__(
        self, app: App, token: str | None, hosts: Collection[str] = (), metrics_token: str | None = None
    ) -> None:
        self._app = app
        self._metrics_token = metrics_token
        asked = ("the operator's token", "Print it with: hyperhive dashboard-url")
        self._door = None if token is None else Door(token, hosts, asked)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the operator in; the page's own files need no token."""
        if scope["type"] != "http":
            return
        error = _too_large(scope) or self._check(scope)
        if error:
            await refuse(_secured(send), error)
            return
        _as_json(scope)
        await self._app(scope, _bounded(receive), _secured(send))

    def _check(self, scope: Scope) -> HiveError | None:
        if self._door is None:
            return None
        path: str = scope["path"]
        if error := self._door.wrong_host(scope):
            return error
        if path == "/metrics":
            return self._door.wrong_token(scope, self._metrics_token)
        return self._door.wrong_token(scope) if path.startswith("/api/") else None


class PageGate:
    """The gate of an agent's own port: its page, and with the page's token what `PAGE_ROUTES` names, of it alone.

    Everything is refused that is not spelled exactly as it stands there, so that no path leads anywhere else.

    Args:
        app: the operator API and the pages.
        agent: whose page it is.
        token: the token of this page.
        hosts: names under which the hive may be addressed, beside those of loopback.
    """

    def __init__(self, app: App, agent: str, token: str, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._agent = agent
        asked = (f"the token of the page of '{agent}'", f"Print its address with: hyperhive dashboard-url {agent}")
        self._door = Door(token, hosts, asked)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request for the page in, or one of the page's, under its place in the operator API."""
        if scope["type"] != "http":
            return
        error = _too_large(scope) or self._door.wrong_host(scope)
        path = error or self._place(scope)
        if isinstance(path, HiveError):
            await refuse(_secured(send), path)
            return
        scope["path"], scope["raw_path"], scope["own_port"] = path, path.encode(), True
        _as_json(scope)
        await self._app(scope, _bounded(receive), _secured(send))

    def _place(self, scope: Scope) -> str | HiveError:
        """Where the operator API has what is asked for."""
        path: str = scope["path"]
        plain = scope.get("raw_path", path.encode()) == path.encode()
        if plain and (path == "/" or path.startswith("/static/")):
            return path if path != "/" else f"/agents/{self._agent}/"
        base, _, wanted = path.partition("/api/")
        if not plain or base or not wanted:
            return _no_page(path)
        if error := self._door.wrong_token(scope):
            return error
        methods = PAGE_ROUTES.get(wanted)
        if methods is None:
            return _no_page(path)
        if scope["method"] not in methods:
            return HiveError("method_not_allowed", f"{path} does not take that method", f"It takes {' '.join(methods)}")
        return f"/api/agents/{self._agent}/{wanted}"


def _no_page(path: str) -> HiveError:
    return HiveError("not_found", f"there is no {path!r} on an agent's port", "The dashboard has what is of all agents")


def _secured(send: Send) -> Send:
    extra = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

    async def with_headers(message: Any) -> None:  # noqa: ANN401 - an ASGI message
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *extra]
        await send(message)

    return with_headers
