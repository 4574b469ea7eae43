"""What several parts of the operator API read in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import StreamingResponse

from hyperhive import __version__
from hyperhive.hive import views
from hyperhive.shapes import HiveInfo
from hyperhive.store import messages
from hyperhive.web.tokens import metrics_token_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from hyperhive.hive.hive import Hive
    from hyperhive.shapes import MessageRow

#: No cache keeps a stream, and no proxy collects it.
_STREAM_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def message_page(hive: Hive, wanted: messages.Filter) -> list[MessageRow]:
    """Messages as a listing shows them, newest first."""
    rows = await hive.store.read(messages.page, wanted)
    held = {number for name in hive.roster.agents for number in hive.broker.holds(name)}
    return [views.message_row(row, held) for row in rows]


def followed(hive: Hive, since: int | None, epoch: str | None, agent: str | None = None) -> StreamingResponse:
    """The stream of changes as an answer; of one agent, or of everything."""
    return streamed(hive.stream.follow(since, epoch, agent))


def streamed(frames: AsyncIterator[bytes]) -> StreamingResponse:
    """Server-sent events as an answer that goes on."""
    return StreamingResponse(frames, media_type="text/event-stream", headers=_STREAM_HEADERS)


def _metrics_token_file(hive: Hive) -> Path:
    return metrics_token_file(hive.layout.state, hive.settings.metrics.token_file)


def hive_info(hive: Hive, *, whole: bool) -> HiveInfo:
    """What the hive says of itself; an agent's page is told no paths."""
    return HiveInfo(
        name=hive.name,
        version=__version__,
        runtime=hive.runtime.name,
        started_at=hive.started_at,
        state_dir=str(hive.layout.state) if whole else None,
        metrics_token_file=str(_metrics_token_file(hive)) if whole else None,
    )
