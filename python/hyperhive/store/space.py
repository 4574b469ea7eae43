"""The room that the database takes on the disk: given back in small steps, between the writes of others.

The one module whose statements are SQLite's alone; PostgreSQL sees to this by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: `PRAGMA auto_vacuum` of a file that can be made smaller bit by bit.
INCREMENTAL: Final = 2
#: Free pages that are left for what comes next: so many, or this share of the file.
_RESERVE: Final = 2500
_SHARE: Final = 10


def surplus(connection: Connection) -> int:
    """How many free pages the file can do without."""
    if connection.dialect.name != "sqlite" or _number(connection, "auto_vacuum") != INCREMENTAL:
        return 0
    reserve = max(_RESERVE, _number(connection, "page_count") // _SHARE)
    return max(0, _number(connection, "freelist_count") - reserve)


def give_back(connection: Connection, items: list[int]) -> list[int]:
    """Make the file smaller by up to so many pages; the result is how many more it can do without."""
    left = []
    for pages in items:
        for _ in range(min(pages, surplus(connection))):
            # Page by page: the driver does not go on by itself, however many are asked for.
            connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
        left.append(surplus(connection))
    return left


def _number(connection: Connection, pragma: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one())
