"""The part of the operator API about what agents' harnesses print: the last lines, once or followed."""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import FastAPI, Query
from starlette.responses import StreamingResponse

from hyperhive.hive.hive import Hive
from hyperhive.shapes import JournalAnswer
from hyperhive.web.api.reading import streamed

Lines = Annotated[int, Query(ge=1, le=10_000)]


def add_journal(app: FastAPI, hive: Hive) -> None:
    """Add both routes."""

    @app.get("/api/agents/{name}/journal")
    async def journal(name: str, lines: Lines = 100) -> JournalAnswer:
        """What an agent's harness printed, oldest first."""
        return JournalAnswer(lines=await hive.journals.last(hive.lifecycle.find(name).name, lines))

    @app.get("/api/agents/{name}/journal/stream", response_class=StreamingResponse)
    async def journal_stream(name: str, lines: Lines = 100) -> StreamingResponse:
        """Server-sent events, each `{"lines": […]}`: the last lines first, then those that come."""
        return streamed(_frames(hive.journals.follow(hive.lifecycle.find(name).name, lines)))


async def _frames(chunks: AsyncGenerator[list[str] | None, None]) -> AsyncIterator[bytes]:
    async with aclosing(chunks):
        async for lines in chunks:
            yield b": here\n\n" if lines is None else f"data: {json.dumps({'lines': lines})}\n\n".encode()
