"""Programs are run to their end, and never longer than they may."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from hyperhive.errors import HiveError
from hyperhive.runtime.command import Done, run_program

if TYPE_CHECKING:
    from pathlib import Path


async def test_output_and_status_come_back() -> None:
    done = await run_program("sh", "-c", "echo out; echo err >&2; pwd; exit 25", seconds=20)
    assert (done.code, done.ok) == (25, False)
    assert done.out.split() == ["out", "/"]
    assert done.tail() == ("err",)
    assert Done(0, out="a\n\n b\n").tail(1) == ("b",)


async def test_much_output_keeps_its_end() -> None:
    done = await run_program("sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' x; echo end", seconds=20)
    assert done.out.endswith("xend\n")
    assert len(done.out) <= 1024 * 1024


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(HiveError, match="no-such-program") as refusal:
        await run_program("no-such-program", seconds=1)
    assert refusal.value.code == "runtime_unavailable"


async def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    alive = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    gone = asyncio.Event()
    with pytest.raises(HiveError, match="did not end within"):
        await run_program("sh", "-c", f"exec 3>{fifo}; sleep 1000 & wait", seconds=0.5)
    asyncio.get_running_loop().add_reader(alive, gone.set)
    await asyncio.wait_for(gone.wait(), 20)
    assert os.read(alive, 1) == b""
    asyncio.get_running_loop().remove_reader(alive)
    os.close(alive)


async def test_a_cancelled_caller_leaves_nothing_running(tmp_path: Path) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    task = asyncio.create_task(run_program("sh", "-c", f"echo $$ >{started}; exec sleep 1000", seconds=60))
    pid = int(await asyncio.to_thread(started.read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_program_that_floods_and_is_given_up_ends(tmp_path: Path) -> None:
    task = asyncio.create_task(run_program("sh", "-c", f"touch {tmp_path}/began; exec cat /dev/zero", seconds=60))
    while not (tmp_path / "began").exists():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    task.cancel()
    async with asyncio.timeout(60):
        with pytest.raises(asyncio.CancelledError):
            await task
