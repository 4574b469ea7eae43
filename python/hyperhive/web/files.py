"""The pages' own files: fixed content of this package, the same for everybody, so they need no token."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from fastapi import FastAPI

_PAGES: Final = Path(__file__).parent / "pages"


def add_pages(app: FastAPI) -> None:
    """Serve the dashboard at `/` and its modules below `/static/`."""
    app.mount("/static", StaticFiles(directory=_PAGES / "static"), name="static")

    @app.get("/", include_in_schema=False)
    async def dashboard() -> FileResponse:
        return FileResponse(_PAGES / "index.html", headers={"Cache-Control": "no-cache"})
