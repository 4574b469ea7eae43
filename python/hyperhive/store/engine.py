"""Engines: one writer, a few readers, for SQLite and PostgreSQL alike.

SQLite runs in WAL mode with `synchronous=FULL`, so that a commit survives a power cut. The driver is kept from opening
transactions by itself: the writer begins with BEGIN IMMEDIATE, readers are `query_only` and see a snapshot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, make_url

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection, Engine

#: Milliseconds that a statement waits for another process's lock, for example a backup's.
_BUSY_MS = 5000
#: Bytes of the write-ahead log that are kept after a burst.
_JOURNAL = 16 * 1024 * 1024


def sqlite_url(path: Path) -> str:
    """The URL of an SQLite file."""
    return f"sqlite+pysqlite:///{path}"


def open_engine(url: str, *, write: bool, pool_size: int = 1) -> Engine:
    """Make an engine.

    Args:
        url: SQLAlchemy URL; `postgresql://` means psycopg 3.
        write: one that may write, for the writer thread, or one for readers.
        pool_size: connections kept.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        return create_engine(parsed, pool_size=pool_size, max_overflow=0, pool_pre_ping=not write)
    engine = create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": _BUSY_MS / 1000},
    )
    _configure_sqlite(engine, write=write)
    return engine


def _configure_sqlite(engine: Engine, *, write: bool) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's connection
        connection.isolation_level = None
        cursor = connection.cursor()
        if write:
            # Before anything is in the file; one that is older is written anew by `migrate`. Later it is a write.
            if cursor.execute("PRAGMA page_count").fetchone() == (0,):
                cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute(f"PRAGMA journal_size_limit={_JOURNAL}")
        else:
            cursor.execute("PRAGMA query_only=ON")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def began(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
