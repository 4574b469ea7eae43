"""`Store`: the database of one hive, opened, migrated, written by one thread and read by a few."""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from hyperhive.errors import HiveError
from hyperhive.programs import start_program
from hyperhive.store.engine import open_engine
from hyperhive.store.tables import SCHEMA
from hyperhive.store.writer import Writer, storage_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Concatenate

    from sqlalchemy import Connection, Engine

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")
Result = TypeVar("Result")

_READERS: Final = 2


class Store:
    """The database of one hive. Use `Store.open`.

    Args:
        url: SQLAlchemy URL of a database whose schema is current.
    """

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url, write=True)
        self._readers_engine = open_engine(url, write=False, pool_size=_READERS)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        self.writer = Writer(self._engine, asyncio.get_running_loop())

    @classmethod
    async def open(cls, url: str) -> Store:
        """Bring the schema up to date where needed, then open.

        Raises:
            HiveError: `storage_unavailable`, with what the database or the migration said.
        """
        if await asyncio.to_thread(_schema_of, url) != SCHEMA:
            await _migrate(url)
        store = cls(url)
        store.writer.start()
        return store

    def submit(
        self,
        operation: Callable[[Connection, list[Item]], list[Result]],
        item: Item,
        then: Callable[[Result], None] | None = None,
    ) -> asyncio.Future[Result]:
        """Write, and be told once it is on disk; see `Writer.submit`."""
        return self.writer.submit(operation, item, then)

    def note(self, operation: Callable[[Connection, list[Item]], list[Any]], item: Item) -> None:
        """Write with the next commit; see `Writer.note`."""
        self.writer.note(operation, item)

    async def read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a query on a reader's thread.

        Raises:
            HiveError: `storage_unavailable`.
        """

        def run() -> T:
            try:
                with self._readers_engine.begin() as connection:
                    return query(connection, *args, **kwargs)
            except SQLAlchemyError as error:
                raise storage_error(error) from error

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    async def close(self) -> None:
        """Commit what is queued and close. What was accepted before is on disk afterwards."""
        self.writer.finish()
        await asyncio.to_thread(self.writer.join)
        self._readers.shutdown(wait=True, cancel_futures=True)
        self._engine.dispose()
        self._readers_engine.dispose()


def _schema_of(url: str) -> str | None:
    """The schema version of the database, None where there is none yet."""
    engine: Engine = open_engine(url, write=True)
    try:
        with engine.connect() as connection:
            return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())
    except SQLAlchemyError as error:
        known = storage_error(error)
        if isinstance(known, HiveError):
            raise known from None
        return None
    finally:
        engine.dispose()


async def _migrate(url: str) -> None:
    """Migrate in a process of its own: Alembic's memory would never come back to the daemon."""
    process = await start_program(
        sys.executable,
        "-m",
        "hyperhive.store.migrate",
        env={**os.environ, "HYPERHIVE_MIGRATE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode:
        lines = output.decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else "it said nothing"
        raise HiveError("storage_unavailable", f"the database could not be migrated: {last}", "See the daemon's log")
