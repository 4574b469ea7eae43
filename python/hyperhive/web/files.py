"""The pages' own files: fixed content of this package, the same for everybody, so they need no token."""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
import re
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from hyperhive.names import check_agent_name

_PAGES: Final = Path(__file__).parent / "pages"
#: Asked for anew each time, answered with 304 where it is the same: the pages follow the hive's version.
_HEADERS: Final = {"Cache-Control": "no-cache"}
_FILLED: Final = re.compile(r'\bdata-(api|agent)="[^"]*"')


class _Static(StaticFiles):
    """Modules of one version must not meet those of another in a browser's cache."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401 - what Starlette passes
        """The file, to be asked for anew each time."""
        response = super().file_response(*args, **kwargs)
        response.headers.update(_HEADERS)
        return response


def add_pages(app: FastAPI) -> None:
    """Serve the dashboard at `/`, an agent's page below `/agents/`, and the modules of both below `/static/`."""
    app.mount("/static", _Static(directory=_PAGES / "static"), name="static")

    @app.get("/", include_in_schema=False)
    async def dashboard() -> FileResponse:
        return FileResponse(_PAGES / "index.html", headers=_HEADERS)

    @app.get("/agents/{name}/", include_in_schema=False)
    async def agent_page(name: str, request: Request) -> HTMLResponse:
        """The page of one agent; whether there is such an agent is told to those with a token."""
        _check(name)
        base = "/api" if request.scope.get("own_port") else f"/api/agents/{name}"
        return HTMLResponse(_filled(base, name), headers=_HEADERS)

    @app.get("/agents/{name}", include_in_schema=False)
    async def with_slash(name: str) -> RedirectResponse:
        """Without scheme and host, which a proxy may have changed."""
        _check(name)
        return RedirectResponse(f"/agents/{name}/")


def _check(name: str) -> None:
    try:
        check_agent_name(name)
    except ValueError:
        raise HTTPException(404) from None


def _filled(base: str, name: str) -> str:
    """The page with its base and its agent in the root element's attributes; both are names of ours, checked before."""
    page = (_PAGES / "agent.html").read_text(encoding="utf-8")
    values = {"api": base, "agent": name}
    return _FILLED.sub(lambda found: f'data-{found[1]}="{values[found[1]]}"', page, count=2)
