"""How an application answers when something is wrong: always `{"error": {code, message, hint}}`, never a traceback."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from hyperhive import __version__
from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Request

_log = logging.getLogger(__name__)

_BY_STATUS = {
    400: ("malformed", "the request cannot be read", "Send JSON; see /openapi.json for its form"),
    404: ("not_found", "there is no such page or route", "See /openapi.json for what there is"),
    405: ("method_not_allowed", "this route does not take that method", "See /openapi.json for what there is"),
    413: ("body_too_large", "the request is too large", "Send less at a time"),
}


def make_app(title: str) -> FastAPI:
    """A FastAPI application with our errors, and without the documentation pages, which load code from elsewhere."""
    app = FastAPI(title=title, version=__version__, docs_url=None, redoc_url=None)
    app.add_exception_handler(HiveError, _hive_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _mistake)
    return app


def error_response(error: HiveError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error as an answer, with Retry-After where it names one."""
    sent = dict(headers or {})
    if "retry_after" in error.data:
        sent["Retry-After"] = str(error.data["retry_after"])
    return JSONResponse(error.to_json(), status_code=error.status, headers=sent)


async def _hive_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HiveError)  # noqa: S101 - registered for it alone
    return error_response(error)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return error_response(malformed(error.errors()))


def malformed(problems: Any) -> HiveError:  # noqa: ANN401 - pydantic's list
    """What pydantic found, in one sentence that names each field."""
    said = "; ".join(
        f"{_field(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}" for problem in problems
    )
    return HiveError("malformed", f"the request cannot be read: {said}", "See /openapi.json for its form")


def _field(loc: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in loc if part != "body") or "body"


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    code, message, hint = _BY_STATUS.get(error.status_code, ("malformed", str(error.detail), ""))
    return error_response(HiveError(code, message, hint), error.headers)


async def _mistake(request: Request, error: Exception) -> JSONResponse:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_response(HiveError("internal", "the hive made a mistake", "See the daemon's log, and report it"))
