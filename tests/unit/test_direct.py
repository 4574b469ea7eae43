"""Direct routes: in front of the application and in it, they answer the same."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from fastapi import Request  # noqa: TC002 - FastAPI reads the annotations of its routes
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hyperhive.errors import HiveError
from hyperhive.web.answers import make_app
from hyperhive.web.api.direct import Direct, add_direct

if TYPE_CHECKING:
    from fastapi import FastAPI


class Body(BaseModel):
    """What is asked; `then` is what goes wrong."""

    count: int = Field(ge=0)
    then: str = ""


class Done(BaseModel):
    """What is answered."""

    twice: int


class TeapotError(Exception):
    """One that the application has a handler of its own for."""


async def _caller(request: Request) -> str:
    if request.headers.get("x-caller") == "nobody":
        raise HiveError("unknown_agent", "this hive does not know you", "Ask the operator")
    return str(request.app.title)


async def _work(body: Body, request: Request) -> Done:
    await _caller(request)
    failures = {
        "hive": HiveError("too_many_messages", "too many", "Wait", retry_after=7),
        "http": HTTPException(413, "large"),
        "teapot": TeapotError(),
        "mistake": ZeroDivisionError("of our own"),
    }
    if body.then in failures:
        raise failures[body.then]
    return Done(twice=2 * body.count)


async def _direct_work(_who: str, body: Body, request: Request) -> Done:
    return await _work(body, request)


def _app() -> FastAPI:
    app = make_app("some")

    @app.exception_handler(TeapotError)
    async def teapot(_request: Request, _error: Exception) -> Response:
        return Response(status_code=418)

    @app.get("/v1/other")
    async def other() -> Done:
        return Done(twice=0)

    return app


class Answer(NamedTuple):
    """An answer, read."""

    status: int
    headers: dict[str, str]
    body: Any


async def _ask(app: Any, body: bytes, *, method: str = "POST", path: str = "/v1/work", caller: str = "") -> Answer:  # noqa: ANN401
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"x-caller", caller.encode())]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "headers": headers,
        "server": None, "client": None,
    }  # fmt: skip
    with suppress(ZeroDivisionError):  # Starlette answers a mistake, and lets its server see it too.
        await app(scope, receive, send)
    said = b"".join(message.get("body", b"") for message in sent[1:])
    names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], names, json.loads(said) if said else None)


def _both() -> tuple[Direct, FastAPI]:
    inside, front = _app(), _app()
    inside.post("/v1/work", status_code=201)(_work)
    add_direct(front, "/v1/work", Body, _caller, _direct_work, 201)
    return Direct(front), inside


@pytest.mark.parametrize(
    ("body", "caller", "status"),
    [
        (b'{"count": 4}', "", 201),
        (b'{"count": 4, "then": "hive"}', "", 429),
        (b'{"count": 4, "then": "http"}', "", 413),
        (b'{"count": 4, "then": "teapot"}', "", 418),
        (b'{"count": 4, "then": "mistake"}', "", 500),
        (b'{"count": -1}', "", 422),
        (b'{"count": "many"}', "", 422),
        (b"{}", "", 422),
        (b'{"count": 4}', "nobody", 404),
    ],
)
async def test_both_answer_the_same(body: bytes, caller: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    direct, inside = _both()
    answer = await _ask(direct, body, caller=caller)
    assert answer == await _ask(inside, body, caller=caller)
    assert answer.status == status


async def test_what_is_no_json_is_malformed_in_both() -> None:
    direct, inside = _both()
    codes = [(await _ask(app, b"no")).body["error"]["code"] for app in (direct, inside)]
    assert codes == ["malformed", "malformed"]


async def test_a_mistake_is_logged_and_does_not_leave_the_front(caplog: pytest.LogCaptureFixture) -> None:
    direct, _inside = _both()
    answer = await _ask(direct, b'{"count": 4, "then": "mistake"}')
    assert answer.body["error"]["code"] == "internal"
    assert "of our own" not in json.dumps(answer.body)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/work", 405), ("GET", "/v1/other", 200), ("POST", "/v1/none", 404)]
)
async def test_all_else_is_the_applications(method: str, path: str, status: int) -> None:
    direct, inside = _both()
    answer = await _ask(direct, b"", method=method, path=path)
    assert answer == await _ask(inside, b"", method=method, path=path)
    assert answer.status == status


async def test_the_schema_has_them() -> None:
    direct, _inside = _both()
    schema = (await _ask(direct, b"", method="GET", path="/openapi.json")).body
    assert schema["paths"].keys() == {"/v1/work", "/v1/other"}
