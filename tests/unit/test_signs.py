"""Signs of life at the end of a hive."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from hyperhive.hive import signs
from hyperhive.hive.commands import Commands
from hyperhive.hive.signs import Signs
from hyperhive.wire import CommandsRequest

if TYPE_CHECKING:
    import pytest


class _Runtime:
    survives_daemon = True

    def running(self) -> frozenset[str]:
        return frozenset({"alice"})

    async def look(self) -> frozenset[str]:
        return self.running()


async def test_the_end_of_the_hive_is_no_lost_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its polls are answered after the last look was given up: nothing may be looked into then, there is nobody to."""
    monkeypatch.setattr(signs, "_SILENCE", 0.0)
    wrong: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: wrong.append(context))
    silent: list[str] = []
    commands = Commands(lambda name, parked: None if parked else watch.lost(name))
    async with asyncio.TaskGroup() as group:
        watch = Signs(_Runtime(), commands, group, silent.append)  # type: ignore[arg-type]
    poll = asyncio.create_task(commands.poll("alice", CommandsRequest(wait_seconds=60, done=[], instance="i")))
    await asyncio.sleep(0)
    watch.close()
    commands.close()
    await poll
    for _ in range(5):
        await asyncio.sleep(0)
    assert wrong == []
    assert silent == []


async def test_a_poll_that_was_lost_before_the_hive_was_cancelled_begins_no_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task of the hive fails, its group closes, and the timers go on until their owner is closed."""
    monkeypatch.setattr(signs, "_SILENCE", 0.01)
    monkeypatch.setattr(signs, "_NEXT", 0.02)
    wrong: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: wrong.append(context))
    overdue = asyncio.Event()
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            commands = Commands(lambda _name, _parked: None)
            watch = Signs(_Runtime(), commands, group, lambda _name: overdue.set())  # type: ignore[arg-type]
            watch.lost("alice")
            msg = "a task of the hive has failed"
            raise RuntimeError(msg)
    async with asyncio.timeout(60):
        await overdue.wait()  # the doubt came before
    assert wrong == []
