"""Routes that every message passes through, in front of the application and not inside it.

FastAPI's and Starlette's own handling costs more than the whole of a send. What stays is the same: the same model reads
the body, the same function does the work, the same handlers answer errors, and the application has each of these routes
too, for its schema and for whoever is not in front of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from hyperhive.web.answers import malformed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI

    from hyperhive.web.listen import Receive, Scope, Send

    Handler = Callable[[Request], Awaitable[Response]]

Caller = TypeVar("Caller")
Body = TypeVar("Body", bound=BaseModel)

_ROUTES: Final = "direct_routes"


def add_direct(  # noqa: PLR0913, PLR0917 - what makes up a route
    app: FastAPI,
    path: str,
    model: type[Body],
    caller: Callable[[Request], Awaitable[Caller]],
    work: Callable[[Caller, Body, Request], Awaitable[BaseModel]],
    status: int = 200,
) -> None:
    """Serve POST `path` in the application, and in front of it.

    Args:
        app: the application.
        path: the route, without parameters.
        model: what the body is read with.
        caller: finds out who calls.
        work: does it; FastAPI reads its annotations.
        status: of the answer.
    """

    async def direct(request: Request) -> Response:
        who = await caller(request)
        try:
            body = model.model_validate_json(await request.body())
        except ValidationError as error:
            raise malformed(error.errors()) from None
        answer = await work(who, body, request)
        return Response(answer.model_dump_json(by_alias=True), status, media_type="application/json")

    app.post(path, status_code=status)(work)
    routes = getattr(app.state, _ROUTES, {})
    routes[path] = direct
    setattr(app.state, _ROUTES, routes)


class Direct:
    """What stands in front of an application: its direct routes, and the application for all else.

    Args:
        app: whose direct routes they are.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._routes: dict[str, Handler] = getattr(app.state, _ROUTES, {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        handler = self._routes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if handler is None:
            await self._app(scope, receive, send)
            return
        scope["app"] = self._app
        request = Request(scope, receive)
        try:
            response = await handler(request)
        except Exception as error:  # noqa: BLE001 - as Starlette does: whatever it is, it is answered
            response = await self._answer(request, error)
        await response(scope, receive, send)

    async def _answer(self, request: Request, error: Exception) -> Response:
        handlers: dict[Any, Callable[..., Any]] = self._app.exception_handlers
        handler = next(handlers[kind] for kind in type(error).__mro__ if kind in handlers)
        answer = await handler(request, error)
        assert isinstance(answer, Response)  # noqa: S101 - all of ours give one
        return answer
