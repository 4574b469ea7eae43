"""Signs of life at the end of the hive: timers that fire while its group is closing begin nothing and break nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from hyperhive.hive import signs
from hyperhive.hive.signs import Signs


class _Runtime:
    survives_daemon = False

    def __init__(self) -> None:
        self.looks = 0
        self.looked = asyncio.Event()

    def running(self) -> set[str]:
        return {"alice"}

    async def look(self) -> None:
        self.looks += 1
        self.looked.set()


class _Bed:
    """Signs in a group that ends when the test says so; what an event loop complains of is kept."""

    def __init__(self) -> None:
        self.runtime = _Runtime()
        self.silent: list[str] = []
        self.complaints: list[str] = []
        self.overdue = asyncio.Event()
        self.signs: Signs

    async def run(self) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: self.complaints.append(str(context)))
        commands: Any = SimpleNamespace(polled=lambda _name: False)
        async with asyncio.TaskGroup() as group:
            self.signs = Signs(self.runtime, commands, group, self._silent)  # type: ignore[arg-type]
            await asyncio.Event().wait()

    def _silent(self, name: str) -> None:
        self.silent.append(name)
        self.overdue.set()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "_SILENCE", 0.01)
    monkeypatch.setattr(signs, "_NEXT", 0.02)


async def _up() -> tuple[_Bed, asyncio.Task[None]]:
    bed = _Bed()
    task = asyncio.create_task(bed.run())
    await asyncio.sleep(0)  # one step, in which it is made
    return bed, task


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_lost_poll_is_looked_into_and_then_overdue() -> None:
    bed, task = await _up()
    bed.signs.lost("alice")
    async with asyncio.timeout(5):
        await bed.runtime.looked.wait()
        await bed.overdue.wait()
    await _end(task)
    assert (bed.silent, bed.complaints) == (["alice"], [])


async def test_a_poll_that_was_lost_before_the_group_closed_begins_no_look_in_it() -> None:
    bed, task = await _up()
    bed.signs.lost("alice")
    await _end(task)
    async with asyncio.timeout(5):
        await bed.overdue.wait()  # the doubt came before
    assert (bed.runtime.looks, bed.complaints) == (0, [])


async def test_polls_that_end_with_the_hive_are_expected_no_more() -> None:
    bed, task = await _up()
    bed.signs.close()
    bed.signs.lost("alice")
    bed.signs.expect_first("alice")
    assert not bed.signs._timers
    assert not bed.signs._doubts
    await _end(task)
    assert bed.complaints == []
