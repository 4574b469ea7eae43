"""The agent's own record of its events: `hyperhive-events.sqlite` in its state directory, kept for seven days.

The agent may do to the file what it likes, so nothing in it is trusted: what is no regular file with exactly our table
is moved aside and begun anew, and if that does not help either, the harness works on without a record. All of this
happens in one thread of its own; the event loop only hands over batches.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from hyperhive.clock import rfc3339, utc_now

if TYPE_CHECKING:
    import asyncio
    from datetime import datetime
    from pathlib import Path

FILE: Final = "hyperhive-events.sqlite"
_FILES: Final = (FILE, FILE + "-wal", FILE + "-shm")
_KEPT: Final = timedelta(days=7)
#: Seconds between two sweeps, which ride with a batch.
_SWEEP_EVERY: Final = 3600
_SCHEMA: Final = (
    "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT, turn INTEGER, kind TEXT, data TEXT)",
    "CREATE INDEX events_at ON events (at)",
)
_OURS: Final = frozenset({*_SCHEMA, None, "CREATE TABLE sqlite_sequence(name,seq)"})
_log = logging.getLogger(__name__)

Row = tuple["datetime", int | None, str, dict[str, Any]]
"""When, in which turn, what kind, and what."""


class Record:
    """Writes batches of events to the file in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._thread = ThreadPoolExecutor(1, "record")
        self._database: sqlite3.Connection | None = None
        self._swept = float("-inf")
        self._given_up = False

    async def open(self, loop: asyncio.AbstractEventLoop) -> int:
        """Open the file, or begin a new one; returns the highest number of a turn in it."""
        return await loop.run_in_executor(self._thread, self._open)

    async def write(self, loop: asyncio.AbstractEventLoop, rows: list[Row]) -> None:
        """Keep `rows`. A failure is logged, never raised."""
        await loop.run_in_executor(self._thread, self._write, rows)

    def close(self) -> None:
        """Let what was handed over be written, then close."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=True)

    def _open(self) -> int:
        for attempt in range(2):
            try:
                self._database = self._connect()
                return self._last_turn(self._database)
            except (sqlite3.Error, OSError) as error:
                self._close()
                if attempt:
                    self._give_up(error)
                else:
                    _log.warning("the record of events cannot be used and is moved aside: %s", error)
                    self._move_aside()
        return 0

    def _connect(self) -> sqlite3.Connection:
        for name in _FILES:
            with suppress(FileNotFoundError):
                if not stat.S_ISREG(os.lstat(self._path.with_name(name)).st_mode):
                    msg = f"{name} is no regular file"
                    raise OSError(msg)
        database = sqlite3.connect(self._path, timeout=2, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA trusted_schema=OFF")
            found = {row[0] for row in database.execute("SELECT sql FROM sqlite_master")}
            _check(found)
            for statement in _SCHEMA if not found else ():
                database.execute(statement)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            database.close()
            raise
        return database

    @staticmethod
    def _last_turn(database: sqlite3.Connection) -> int:
        with closing(database.execute("SELECT max(turn) FROM events WHERE typeof(turn) = 'integer'")) as rows:
            last = rows.fetchone()[0] or 0
        return last if 0 <= last < 2**53 else 0

    def _write(self, rows: list[Row]) -> None:
        if self._given_up:
            return
        try:
            self._insert(rows)
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                _log.warning("the record of events is locked; %d events are not in it", len(rows))
                return
            _log.warning("the record of events cannot be written and is moved aside: %s", error)
            self._close()
            self._move_aside()
            self._open()
            with suppress(sqlite3.Error):
                self._insert(rows)

    def _insert(self, rows: list[Row]) -> None:
        if self._database is None:
            return
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany(
                "INSERT INTO events (at, turn, kind, data) VALUES (?, ?, ?, ?)",
                [(rfc3339(at), turn, kind, json.dumps(data, ensure_ascii=False)) for at, turn, kind, data in rows],
            )
            if time.monotonic() - self._swept > _SWEEP_EVERY:
                self._swept = time.monotonic()
                self._database.execute("DELETE FROM events WHERE at < ?", (rfc3339(utc_now() - _KEPT),))
            self._database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise

    def _move_aside(self) -> None:
        suffix = f".unusable-{time.time_ns()}"
        for name in _FILES:
            with suppress(OSError):
                self._path.with_name(name).rename(self._path.with_name(name + suffix))

    def _give_up(self, error: Exception) -> None:
        self._given_up = True
        _log.error("events are not recorded in %s: %s", self._path, error)

    def _close(self) -> None:
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
        self._database = None


def _check(found: set[str | None]) -> None:
    """Refuse a database that holds anything but our table: views and triggers would run in our name."""
    if found and not (found <= _OURS and _SCHEMA[0] in found):
        msg = "it holds something else"
        raise sqlite3.DatabaseError(msg)
