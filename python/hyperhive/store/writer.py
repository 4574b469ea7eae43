"""The one writer: a thread that commits whatever is queued as one transaction.

What flows through: operations with one item each. Neighbours of the same operation are handed to it together, so that
fifty sends are one INSERT and one sync. Results reach the loop in one call a batch, after the commit; `then` runs there
before the futures are resolved, and runs also when nobody waits any more: the memory of the broker must not depend on
whether a client stayed. Order is the order of submission.

If a batch fails, its items are tried once more, each in a transaction of its own: one bad row fails alone.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

_log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Items of one transaction. More would make the first of them wait for the last.
_BATCH: Final = 512
#: Seconds that a note waits for a commit to ride along with.
_LINGER: Final = 0.05


@dataclass(slots=True)
class _Job:
    operation: Callable[[Connection, list[Any]], list[Any]]
    item: Any
    future: asyncio.Future[Any] | None
    then: Callable[[Any], None] | None


class Writer:
    """Group commit on a thread of its own.

    Args:
        engine: a writing engine; this thread alone uses it.
        loop: the loop that results are delivered to.
    """

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._closed = False
        #: Transactions committed; for tests and measurements.
        self.commits = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(
        self,
        operation: Callable[[Connection, list[Item]], list[Result]],
        item: Item,
        then: Callable[[Result], None] | None = None,
    ) -> asyncio.Future[Result]:
        """Queue `item`; the future has its result once it is on disk.

        Args:
            operation: takes a connection inside a transaction and several items, returns a result (or an exception, for
                that item alone) for each.
            item: what the operation gets.
            then: called in the loop with the result right after the commit, also if the future was cancelled.

        Raises:
            HiveError: through the future: `storage_full`, `storage_unavailable`.
        """
        if self._closed:
            raise HiveError("shutting_down", "the hive is stopping", "Ask again in a few seconds")
        future: asyncio.Future[Result] = self._loop.create_future()
        self._queue.put(_Job(operation, item, future, then))
        return future

    def note(self, operation: Callable[[Connection, list[Item]], list[Any]], item: Item) -> None:
        """Queue `item` to ride with the next commit; it starts one by itself only after a short while."""
        if not self._closed:
            self._queue.put(_Job(operation, item, None, None))

    def finish(self) -> None:
        """Take nothing more; the thread ends once what is queued is committed. Called in the loop, as `submit` is."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)

    def join(self) -> None:
        """Wait for the thread. Blocks."""
        self._thread.join()

    def _run(self) -> None:
        jobs: list[_Job] = []
        deadline: float | None = None
        while True:
            try:
                timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
                job = self._queue.get(timeout=timeout)
            except queue.Empty:
                job = _FLUSH
            if job is not None and job is not _FLUSH:
                jobs.append(job)
                if job.future is None:
                    deadline = deadline or time.monotonic() + _LINGER
                    continue
            while len(jobs) < _BATCH and job is not None and not self._queue.empty():
                job = self._queue.get()
                if job is not None:
                    jobs.append(job)
            if jobs:
                self._commit(jobs)
            jobs, deadline = [], None
            if job is None:
                return

    def _commit(self, jobs: list[_Job]) -> None:
        results = self._attempt(jobs)
        if isinstance(results, BaseException) and len(jobs) > 1 and not isinstance(results, HiveError):
            results = [self._first(self._attempt([job])) for job in jobs]
        elif isinstance(results, BaseException):
            results = [results] * len(jobs)
        try:
            self._loop.call_soon_threadsafe(_deliver, jobs, results)
        except RuntimeError:
            _log.warning("results of %d operations found no loop", len(jobs))

    @staticmethod
    def _first(results: list[Any] | BaseException) -> object:
        return results if isinstance(results, BaseException) else results[0]

    def _attempt(self, jobs: list[_Job]) -> list[Any] | BaseException:
        results: list[Any] = []
        try:
            with self._engine.begin() as connection:
                for operation, group in groupby(jobs, key=lambda job: job.operation):
                    results += operation(connection, [job.item for job in group])
        except (SQLAlchemyError, sqlite3.Error) as error:
            return storage_error(error)
        except Exception as error:  # noqa: BLE001 - the thread must outlive any mistake; the caller gets it
            return error
        self.commits += 1
        return results


_FLUSH: Final = _Job(lambda _connection, _items: [], None, None, None)


def storage_error(error: Exception) -> Exception:
    """What a person should read when the database refuses; other mistakes are returned as they are."""
    text = str(error.orig if isinstance(error, DBAPIError) else error)
    if "disk is full" in text or "No space left" in text:
        return HiveError(
            "storage_full", "the disk of the hive's state directory is full", "Free some room; then send again"
        )
    if isinstance(error, (OperationalError, InterfaceError)) and not text.startswith("no such "):
        return HiveError("storage_unavailable", f"the hive's database refuses: {text}", "See the daemon's log")
    return error


def _deliver(jobs: list[_Job], results: list[Any]) -> None:
    for job, result in zip(jobs, results, strict=True):
        failed = isinstance(result, BaseException)
        if failed and job.future is None:
            _log.warning("a note could not be written: %s", result)
        if not failed and job.then is not None:
            try:
                job.then(result)
            except Exception:  # noqa: BLE001 - it is on disk; and whoever waits for the others of the batch must hear
                _log.exception("what follows a commit failed")
        if job.future is not None and not job.future.done():
            if failed:
                job.future.set_exception(result)
            else:
                job.future.set_result(result)
