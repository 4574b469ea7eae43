"""Waiting for the end of a process that is nobody's child here: its pidfd becomes readable then."""

from __future__ import annotations

import asyncio
import os


async def ended(pidfd: int, seconds: float) -> None:
    """Wait until the process is gone, so many seconds at most; the pidfd is closed then."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(pidfd, gone.set)
    try:
        async with asyncio.timeout(seconds):
            await gone.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


async def gone(pid: int, seconds: float) -> None:
    """Wait until there is no such process, so many seconds at most."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    await ended(pidfd, seconds)
