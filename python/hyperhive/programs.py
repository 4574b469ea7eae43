"""Starting a program so that the caller may be cancelled at any moment.

asyncio, cancelled while it starts one, kills it and waits until all that it left in its pipes was read, which nobody
does: with more than its buffers hold, or a child that keeps a pipe open, the caller never ends. Here a program is
started whole, and ended then.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import Any, Final

#: Seconds in which the last words of a program that was ended are read.
_LAST_WORDS: Final = 2.0


async def start_program(*command: str, **options: Any) -> asyncio.subprocess.Process:  # noqa: ANN401 - Popen's
    """Start a program.

    Args:
        command: the program and its arguments.
        options: as for `asyncio.create_subprocess_exec`.

    Raises:
        OSError: it cannot be started.
    """
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*command, **options))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.shield(_abandon(starting, whole=bool(options.get("start_new_session"))))
        raise


async def _abandon(starting: asyncio.Future[asyncio.subprocess.Process], *, whole: bool) -> None:
    """End what nobody wants any more, with the children that are of its session where it has one of its own."""
    await asyncio.wait({starting})
    if starting.cancelled() or starting.exception() is not None:
        return
    process = starting.result()
    with suppress(ProcessLookupError):
        if whole:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS):
            await process.communicate()
