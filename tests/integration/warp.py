"""A loop whose time passes by itself: whenever nothing is to be done, it is the instant of the next timer.

Sockets between parts of one process need no time. What runs elsewhere does, so while a thread, a program or the store's
writer is at work, time stands still. Where it stands still for good, because two parts call each other again and again
or something elsewhere never ends, the loop fails.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import hyperhive.clock
import hyperhive.harness.hive
from hyperhive.harness.watch import Watch
from hyperhive.hive.broker import Broker
from hyperhive.hive.commands import Commands
from hyperhive.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from hyperhive.wire import Command, CommandsRequest

#: Real seconds that the selector waits at a time for what runs elsewhere, and that it may take.
_PATIENCE, _STUCK = 0.02, 600.0
#: Rounds of the loop in one instant; a start of the whole swarm takes some thousands.
_ROUNDS = 100_000
#: How much longer a poll is parked than it asks for.
_LONGER = 15
#: Three hours before a midnight in Berlin, five before its clocks are changed.
START = datetime(2026, 3, 28, 20, tzinfo=UTC)


class _Selector(selectors.DefaultSelector):
    """Moves the time instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.elsewhere = 0
        self.moves = 0
        self._rounds, self._since = 0, time.monotonic()

    def select(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - keys and masks
        self._rounds += 1
        if self._rounds > _ROUNDS or (self._rounds % 500 == 0 and time.monotonic() - self._since > _STUCK):
            msg = f"time stands still at {self.now} s, after {self._rounds} rounds; {self.elsewhere} at work elsewhere"
            raise RuntimeError(msg)
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.elsewhere or timeout is None:
            return super().select(_PATIENCE)
        self.now += timeout
        self.moves += 1
        self._rounds, self._since = 0, time.monotonic()
        return []


class WarpLoop(asyncio.SelectorEventLoop):
    """The loop."""

    def __init__(self) -> None:
        self._place = _Selector()
        super().__init__(self._place)

    def time(self) -> float:
        """Seconds since the start."""
        return self._place.now

    def now(self) -> datetime:
        """Its time as an instant."""
        return START + timedelta(seconds=self._place.now)

    @property
    def moves(self) -> int:
        """How often something was due later than at once: what an idle machine would have woken up for."""
        return self._place.moves

    def begun(self) -> None:
        """Something runs elsewhere."""
        self._place.elsewhere += 1

    def ended(self, _done: object = None) -> None:
        """It has ended."""
        self._place.elsewhere -= 1

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401 - asyncio's
        """Count what threads do."""
        self.begun()
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self.ended)
        return future


def warped() -> WarpLoop:
    """The running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, WarpLoop)
    return loop


def _park(patch: pytest.MonkeyPatch) -> None:
    """Whoever waits for something waits longer: idle hours then cost next to nothing. Files are not watched."""
    recv, poll = Broker.recv, Commands.poll

    async def longer_recv(self: Broker, *arguments: Any, wait: float, **named: Any) -> Any:  # noqa: ANN401 - recv's
        return await recv(self, *arguments, wait=wait * _LONGER, **named)

    async def longer_poll(self: Commands, agent: str, request: CommandsRequest) -> list[Command]:
        longer = request.model_copy(update={"wait_seconds": request.wait_seconds * _LONGER})
        return await poll(self, agent, longer)

    patch.setattr(Broker, "recv", longer_recv)
    patch.setattr(Commands, "poll", longer_poll)
    patch.setattr(hyperhive.harness.hive, "_SLACK", 1e6)
    # The kernel takes milliseconds to end a watch.
    patch.setattr(Watch, "_open", lambda _self: None)


def warp(patch: pytest.MonkeyPatch, loop: WarpLoop) -> None:
    """Let the hive and its harnesses live in the time of this loop."""

    class Datetime(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # noqa: ANN401 - a zone
            return loop.now().astimezone(tz)

    submit, program = Writer.submit, asyncio.create_subprocess_exec

    def counted(self: Writer, *arguments: Any) -> Any:  # noqa: ANN401 - a future
        future = submit(self, *arguments)
        loop.begun()
        future.add_done_callback(loop.ended)
        return future

    async def started(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - a process
        loop.begun()
        try:
            process = await program(*arguments, **named)
        except BaseException:
            loop.ended()
            raise
        asyncio.ensure_future(process.wait()).add_done_callback(loop.ended)
        return process

    _park(patch)
    patch.setattr(hyperhive.clock, "datetime", Datetime)
    patch.setattr(Writer, "submit", counted)
    patch.setattr(asyncio, "create_subprocess_exec", started)
