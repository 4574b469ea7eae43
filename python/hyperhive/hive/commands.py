"""Commands for a harness: it polls for them, long, and reports with its next poll what became of them.

The poll is also the sign of life: an agent without one for a while is unreachable.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from hyperhive.errors import HiveError
from hyperhive.wire import Command, CommandDone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(slots=True)
class _Line:
    """What one agent is asked to do."""

    queued: list[Command] = field(default_factory=list)
    handed_out: dict[int, Command] = field(default_factory=dict)
    replies: dict[int, asyncio.Future[CommandDone]] = field(default_factory=dict)
    waiter: asyncio.Future[None] | None = None
    polls: int = 0


class Commands:
    """The command lines of all agents.

    Args:
        poll_changed: called with an agent's name and whether a poll of it is parked, at each change.
    """

    def __init__(self, poll_changed: Callable[[str, bool], None]) -> None:
        self._poll_changed = poll_changed
        self._lines: dict[str, _Line] = {}
        # A harness outlives daemons, and passes over a number that it knows.
        self._ids = count(time.time_ns() // 1000)
        self._closed = False

    def give(self, agent: str, kind: str, **args: Any) -> asyncio.Future[CommandDone]:  # noqa: ANN401 - JSON
        """Queue a command; the future has the harness's reply.

        The future fails with `agent_not_running` when the agent's harness ends first.
        """
        line = self._line(agent)
        command = Command(id=next(self._ids), kind=kind, args=args)
        reply: asyncio.Future[CommandDone] = asyncio.get_running_loop().create_future()
        reply.add_done_callback(lambda done: done.cancelled() or done.exception())
        line.replies[command.id] = reply
        line.queued.append(command)
        self._wake(line)
        return reply

    async def poll(self, agent: str, wait: float, done: Iterable[CommandDone]) -> list[Command]:
        """Take replies, and hand out commands, waiting for one up to `wait` seconds."""
        line = self._line(agent)
        for reply in done:
            line.handed_out.pop(reply.id, None)
            future = line.replies.pop(reply.id, None)
            if future is not None and not future.done():
                future.set_result(reply)
        if wait > 0:
            self._wake(line)
        line.polls += 1
        self._poll_changed(agent, True)  # noqa: FBT003 - the callback's only argument
        try:
            if not line.queued and wait > 0 and not self._closed:
                await self._park(line, wait)
        finally:
            line.polls -= 1
            self._poll_changed(agent, line.polls > 0)
        commands, line.queued = line.queued, []
        line.handed_out.update((command.id, command) for command in commands)
        return commands

    async def _park(self, line: _Line, wait: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.waiter = waiter
        try:
            async with asyncio.timeout(wait):
                await waiter
        except TimeoutError:
            pass
        finally:
            if line.waiter is waiter:
                line.waiter = None

    @staticmethod
    def _wake(line: _Line) -> None:
        if line.waiter is not None and not line.waiter.done():
            line.waiter.set_result(None)

    def polled(self, agent: str) -> bool:
        """Whether a poll of the agent is parked."""
        line = self._lines.get(agent)
        return line is not None and line.polls > 0

    def forget(self, agent: str) -> None:
        """The agent's harness is gone: nobody will reply."""
        line = self._lines.pop(agent, None)
        if line is None:
            return
        self._wake(line)
        for reply in line.replies.values():
            if not reply.done():
                reply.set_exception(
                    HiveError("agent_not_running", f"the harness of '{agent}' ended", f"See: hyperhive logs {agent}")
                )

    def close(self) -> None:
        """Answer every poll with nothing."""
        self._closed = True
        for line in self._lines.values():
            self._wake(line)

    def _line(self, agent: str) -> _Line:
        return self._lines.setdefault(agent, _Line())
