"""What the hive wants of the harness: a poll that is always parked at the hive, and the commands that it brings.

The poll doubles as the sign of life: without one for 15 s an agent counts as unreachable. A command runs in a task of
its own, so the poll goes on; its result travels at once, and again with each poll until the hive has taken it. A
command that comes twice runs once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from hyperhive import wire
from hyperhive.errors import HiveError
from hyperhive.harness.hive import is_untaken, until_taken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hyperhive.harness.control import Control
    from hyperhive.harness.hive import HiveClient
    from hyperhive.harness.settings import Timings

#: Commands that are remembered, so that none runs twice.
_REMEMBERED: Final = 200
#: Carries a command out: its arguments in, its result out.
Work = Callable[[dict[str, Any]], Awaitable[dict[str, Any] | None]]
_log = logging.getLogger(__name__)


class Commands:
    """Polls and executes.

    Args:
        hive: is polled.
        control: cancels and stops.
        timings: waits.
        on_return: called when the hive answers again after it was away.
        instance: the word that names this process.
        further: commands beside `cancel` and `stop`, by kind.
    """

    def __init__(  # noqa: PLR0913 - it joins all that can be asked for
        self,
        hive: HiveClient,
        control: Control,
        timings: Timings,
        on_return: Callable[[], None],
        *,
        instance: str | None = None,
        further: Mapping[str, Work] | None = None,
    ) -> None:
        self._hive, self._control, self._timings, self._on_return = hive, control, timings, on_return
        self._instance = instance
        self._known: OrderedDict[int, wire.CommandDone | None] = OrderedDict()
        self._unsaid: dict[int, wire.CommandDone] = {}
        self._away = False
        self._kinds: dict[str, Work] = {"cancel": self._cancel, "stop": self._stop, **(further or {})}

    async def run(self) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as running:
            while True:
                for command in await self._poll(self._timings.poll):
                    if self._is_new(command):
                        running.create_task(self._execute(command), name=f"command-{command.id}")

    async def flush(self, seconds: float) -> None:
        """Give the hive the results that it does not have yet, within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                while self._unsaid:
                    await self._poll(0)
        except (TimeoutError, HiveError) as error:
            _log.warning("results of commands did not reach the hive: %s", error)

    async def _poll(self, wait: float) -> list[wire.Command]:
        def ask() -> Awaitable[wire.CommandsAnswer]:
            # The first one after the hive was away returns at once: only then is it told all again.
            patience = 0 if self._away else wait
            running = [number for number, done in self._known.items() if done is None]
            return self._hive.commands(
                wire.CommandsRequest(
                    wait_seconds=patience, done=list(said.values()), running=running, instance=self._instance
                )
            )

        said = dict(self._unsaid)
        answer = await until_taken(ask, self._timings.backoff, is_untaken, self._lost)
        for number in said:
            self._unsaid.pop(number, None)
        if self._away:
            self._away = False
            self._on_return()
        return answer.commands

    def _lost(self, _error: HiveError) -> None:
        self._away = True

    def _is_new(self, command: wire.Command) -> bool:
        if command.id in self._known:
            if done := self._known[command.id]:
                self._unsaid[command.id] = done
            return False
        self._known[command.id] = None
        ended = [number for number, done in self._known.items() if done]
        for number in ended[: max(0, len(self._known) - _REMEMBERED)]:
            del self._known[number]
        return True

    async def _execute(self, command: wire.Command) -> None:
        try:
            if command.kind not in self._kinds:
                hint = "The harness may be older than the hive; restart the agent"
                raise HiveError("malformed", f"there is no command {command.kind!r}", hint)  # noqa: TRY301
            result = await self._kinds[command.kind](command.args)
            done = wire.CommandDone(id=command.id, ok=True, result=result)
        except HiveError as error:
            said = {"code": error.code, "message": error.message, "hint": error.hint}
            done = wire.CommandDone(id=command.id, ok=False, error=str(error), result=said)
        except Exception as error:  # noqa: BLE001 - the top of a task
            _log.exception("command %s failed", command.kind)
            done = wire.CommandDone(id=command.id, ok=False, error=f"{type(error).__name__}: {error}")
        self._known[command.id] = self._unsaid[command.id] = done
        # The parked poll cannot carry it, so it goes with one of its own that does not wait.
        for further in await self._poll(0):
            if self._is_new(further):
                await self._execute(further)

    async def _cancel(self, _args: dict[str, Any]) -> dict[str, Any]:
        turn = self._control.cancel()
        await turn.over.wait()
        if not turn.cancelled:
            raise HiveError("wrong_state", "the turn ended by itself before it could be cancelled")
        return {"turn": turn.number}

    async def _stop(self, args: dict[str, Any]) -> None:
        grace = args.get("graceSeconds", self._timings.stop_grace)
        if not isinstance(grace, (int, float)) or isinstance(grace, bool):
            raise HiveError("malformed", "graceSeconds is no number")
        self._control.stop(float(grace))
