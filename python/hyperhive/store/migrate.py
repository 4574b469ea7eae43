"""Bring a database to the schema of this version: `python -m hyperhive.store.migrate`.

The URL comes in the environment, because it may hold a password and arguments are public. The only importer of Alembic.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from hyperhive.store.engine import open_engine
from hyperhive.store.space import INCREMENTAL

#: Bytes of a file that is written anew; about 3 s for each 100 MB.
_REWRITTEN: Final = 4 * 1024**3


def migrate(url: str) -> None:
    """Migrate the database at `url` to the newest schema."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["url"] = url
    command.upgrade(config, "head")
    _let_it_shrink(url)


def _let_it_shrink(url: str) -> None:
    """Write a file of an earlier version anew, once: only then can it be made smaller bit by bit later.

    Nothing is served meanwhile. Where the disk has no room for a second one, or it would take minutes, it stays as it
    is: what is dropped is used again, and the file never gets smaller.
    """
    path = make_url(url).database
    if make_url(url).get_backend_name() != "sqlite" or not path:
        return
    engine = open_engine(url, write=True)
    try:
        with engine.connect() as connection:
            raw = connection.connection.cursor()
            connection.rollback()
            (mode,) = raw.execute("PRAGMA auto_vacuum").fetchone()
            size = Path(path).stat().st_size
            if mode != INCREMENTAL and size <= _REWRITTEN and shutil.disk_usage(Path(path).parent).free > 3 * size:
                raw.execute("PRAGMA auto_vacuum=INCREMENTAL")
                raw.execute("VACUUM")
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        print(f"the database was not written anew: {error}")  # noqa: T201 - the daemon reads it
    finally:
        engine.dispose()


if __name__ == "__main__":
    migrate(os.environ["HYPERHIVE_MIGRATE_URL"])
