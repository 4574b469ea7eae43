"""A program is started whole or not at all, whenever its caller is cancelled."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from hyperhive.programs import start_program

if TYPE_CHECKING:
    from pathlib import Path

#: Says more than anybody buffers, and so does a child of it that outlives its parent.
_TALKATIVE = "exec 9>'{alive}'; yes & yes"


def _alive(reader: int) -> bool:
    """Whether somebody still has the other end of the pipe."""
    os.set_blocking(reader, False)
    try:
        return os.read(reader, 1) != b""
    except BlockingIOError:
        return True


@pytest.mark.parametrize("steps", range(6))
async def test_a_caller_may_be_cancelled_at_any_moment(tmp_path: Path, steps: int) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    command = ("sh", "-c", _TALKATIVE.format(alive=alive))
    pipe = asyncio.subprocess.PIPE
    task = asyncio.create_task(start_program(*command, stdout=pipe, stderr=pipe, start_new_session=True))
    for _ in range(steps):
        await asyncio.sleep(0)
    assert not task.done(), "it is started in fewer steps: nothing is tried here"
    task.cancel()
    async with asyncio.timeout(60):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not _alive(reader)
    os.close(reader)


async def test_what_cannot_be_started_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await start_program(str(tmp_path / "none"))


async def test_a_program_that_has_ended_before_it_is_abandoned_is_no_mistake() -> None:
    task = asyncio.create_task(start_program("true"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
