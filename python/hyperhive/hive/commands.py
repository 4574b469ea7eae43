"""Commands for a harness: it polls for them, long, and reports with its next poll what became of them.

What was handed out and is neither done nor running by the word of the next poll was lost on the way, and is handed out
again; a harness executes each number once. The poll is also the sign of life: an agent without one for a while is
unreachable.
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
    from collections.abc import Callable

    from hyperhive.wire import CommandsRequest


@dataclass(slots=True)
class _Line:
    """What one agent is asked to do."""

    queued: list[Command] = field(default_factory=list)
    handed_out: dict[int, Command] = field(default_factory=dict)
    replies: dict[int, asyncio.Future[CommandDone]] = field(default_factory=dict)
    waiter: asyncio.Future[None] | None = None
    polls: int = 0
    instance: str | None = None


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

        The future fails with `agent_not_running` when the agent's harness ends first. Cancelling it takes the command
        back, if it was not executed yet.
        """
        line = self._line(agent)
        command = Command(id=next(self._ids), kind=kind, args=args)
        reply: asyncio.Future[CommandDone] = asyncio.get_running_loop().create_future()
        reply.add_done_callback(lambda done: _take_back(line, command) if done.cancelled() else done.exception())
        line.replies[command.id] = reply
        line.queued.append(command)
        self._wake(line)
        return reply

    async def poll(self, agent: str, request: CommandsRequest) -> list[Command]:
        """Take replies, and hand out commands, waiting for one as long as the request says."""
        line, wait = self._line(agent), request.wait_seconds
        _note(line, request)
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


def _note(line: _Line, request: CommandsRequest) -> None:
    """Take what a harness says of commands: those that are done, those that run, and so those that it never got."""
    for reply in request.done:
        line.handed_out.pop(reply.id, None)
        future = line.replies.pop(reply.id, None)
        if future is not None and not future.done():
            future.set_result(reply)
    if request.instance != line.instance:
        # Another process: what the earlier one was asked for, a stop for example, is not for this one.
        for number in line.handed_out if line.instance is not None else ():
            if (future := line.replies.pop(number, None)) and not future.done():
                problem = "the harness was restarted before it answered"
                future.set_exception(HiveError("agent_not_running", problem, "Ask again"))
        line.handed_out.clear()
        line.instance = request.instance
    if request.running is not None:
        lost = [command for number, command in line.handed_out.items() if number not in request.running]
        for command in lost:
            del line.handed_out[command.id]
        line.queued[:0] = lost


def _take_back(line: _Line, command: Command) -> None:
    line.replies.pop(command.id, None)
    line.handed_out.pop(command.id, None)
    if command in line.queued:
        line.queued.remove(command)
