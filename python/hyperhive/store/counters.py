"""Ids: given inside the transaction that uses them, so never twice and never lost to a rolled-back one's neighbour."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlalchemy import update

from hyperhive.store.tables import CounterRow

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

_counters = cast("Table", CounterRow.__table__)  # type: ignore[attr-defined]


def take_ids(connection: Connection, series: str, count: int) -> int:
    """Take `count` ids of a series and return the first of them."""
    statement = (
        update(_counters)
        .where(_counters.c.name == series)
        .values(value=_counters.c.value + count)
        .returning(_counters.c.value)
    )
    return int(connection.execute(statement).scalar_one()) - count + 1
