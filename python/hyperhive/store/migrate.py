"""Bring a database to the schema of this version: `python -m hyperhive.store.migrate`.

The URL comes in the environment, because it may hold a password and arguments are public. The only importer of Alembic.
"""

from __future__ import annotations

import os
from pathlib import Path

from alembic import command
from alembic.config import Config


def migrate(url: str) -> None:
    """Migrate the database at `url` to the newest schema."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["url"] = url
    command.upgrade(config, "head")


if __name__ == "__main__":
    migrate(os.environ["HYPERHIVE_MIGRATE_URL"])
