"""Operations on agents: one at a time for each agent, in a queue that everybody can see.

Whatever changes an agent goes through here: what the operator asks for, what a changed configuration asks for, and the
start after a crash. An operation goes on when nobody waits for it any more, and is kept for a while when it has ended.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import count
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.shapes import OperationRow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hyperhive.clock import Clock

_log = logging.getLogger(__name__)

#: Seconds that a request waits for its operation; then it is answered with the operation's number.
PATIENCE: Final = 5.0
#: Ended operations that can still be asked for.
_KEPT: Final = 500


class Operations:
    """The operations of this run of the daemon.

    Args:
        group: owns the tasks.
        clock: the time.
        changed: called after each change of an operation.
    """

    def __init__(self, group: asyncio.TaskGroup, clock: Clock, changed: Callable[[OperationRow], None]) -> None:
        self._group = group
        self._clock = clock
        self._changed = changed
        self._ids = count(1)
        self._rows: dict[int, OperationRow] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._errors: dict[int, HiveError] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def begin(
        self, agent: str, kind: str, work: Callable[[], Awaitable[None]], *, queue: str | None = None
    ) -> tuple[OperationRow, asyncio.Task[None]]:
        """Queue `work`; the task ends with it and raises nothing.

        Args:
            agent: what it is done to.
            kind: what is done, in a word.
            work: does it.
            queue: of operations that wait for each other; by default, those on the agent.

        Raises:
            HiveError: `shutting_down`.
        """
        if self._closed:
            raise HiveError("shutting_down", "the hive is stopping", "Ask again in a few seconds")
        row = OperationRow(id=next(self._ids), agent=agent, kind=kind, status="queued", started_at=self._clock())
        self._keep(row)
        task = self._group.create_task(self._work(row, queue or agent, work), name=f"{kind} {agent}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return row, task

    async def run(
        self,
        agent: str,
        kind: str,
        work: Callable[[], Awaitable[None]],
        *,
        queue: str | None = None,
        patience: float | None = None,
    ) -> OperationRow:
        """Queue `work` and wait `patience` seconds for its end, by default `PATIENCE`.

        Raises:
            HiveError: the work ended with it while it was waited for.
        """
        row, task = self.begin(agent, kind, work, queue=queue)
        await asyncio.wait({task}, timeout=PATIENCE if patience is None else patience)
        if row.id in self._errors:
            raise self._errors.pop(row.id)
        return row

    def get(self, number: int) -> OperationRow:
        """An operation.

        Raises:
            HiveError: `not_found`.
        """
        row = self._rows.get(number)
        if row is None:
            raise HiveError("not_found", f"there is no operation {number}", "Operations are forgotten at a restart")
        return row

    def current(self, agent: str) -> OperationRow | None:
        """What is done to an agent: what runs, else what is queued; of several, what came first."""
        open_ones = [row for row in self._rows.values() if row.agent == agent and row.ended_at is None]
        running = [row for row in open_ones if row.status == "running"]
        return next(iter(running or open_ones), None)

    def listing(self) -> list[OperationRow]:
        """All that are known, newest first."""
        return list(reversed(self._rows.values()))

    def cancel_all(self) -> None:
        """End what runs, because the daemon stops, and begin nothing more."""
        self._closed = True
        for task in self._tasks:
            task.cancel()

    async def _work(self, row: OperationRow, queue: str, work: Callable[[], Awaitable[None]]) -> None:
        lock = self._locks.setdefault(queue, asyncio.Lock())
        async with lock:
            row.status = "running"
            self._changed(row)
            try:
                await work()
            except HiveError as error:
                _log.warning("%s of '%s' failed: %s", row.kind, row.agent, error)
                self._end(row, error)
            except Exception as error:  # noqa: BLE001 - top of a task: the daemon goes on, the operator is told
                _log.exception("operation %s on %s failed", row.kind, row.agent)
                self._end(row, HiveError("internal", f"{row.kind} of '{row.agent}' failed: {error}", "See the log"))
            else:
                self._end(row, None)

    def _end(self, row: OperationRow, error: HiveError | None) -> None:
        row.status = "failed" if error else "done"
        row.error = str(error) if error else None
        row.ended_at = self._clock()
        if error:
            self._errors[row.id] = error
        self._changed(row)

    def _keep(self, row: OperationRow) -> None:
        self._rows[row.id] = row
        ended = [number for number, kept in self._rows.items() if kept.ended_at is not None]
        for oldest in ended[: max(0, len(self._rows) - _KEPT)]:
            del self._rows[oldest]
            self._errors.pop(oldest, None)
        self._changed(row)
