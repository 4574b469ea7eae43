"""Statements about agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import insert, select, update

from hyperhive.store.tables import AgentRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Table

_agents = cast("Table", AgentRow.__table__)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Declared:
    """An agent that the settings name."""

    name: str
    wanted: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted for an agent from now on."""

    name: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An agent that is no more; its directories are kept."""

    name: str
    at: datetime


def list_agents(connection: Connection) -> Sequence[Row[Any]]:
    """Every agent, tombstones included, by name."""
    return connection.execute(select(_agents).order_by(_agents.c.name)).all()


def declare(connection: Connection, items: list[Declared]) -> list[None]:
    """Make declared agents known; one that was there keeps what is wanted for it, a tombstone comes back."""
    known = {row.name: row for row in list_agents(connection)}
    for item in items:
        if item.name not in known:
            values = {"name": item.name, "origin": "declared", "wanted": item.wanted, "created_at": item.at}
            connection.execute(insert(_agents).values(values))
        else:
            statement = update(_agents).where(_agents.c.name == item.name)
            connection.execute(statement.values(origin="declared", tombstone_at=None))
    return [None] * len(items)


def set_wanted(connection: Connection, items: list[Wanted]) -> list[None]:
    """Write what is wanted."""
    for item in items:
        connection.execute(update(_agents).where(_agents.c.name == item.name).values(wanted=item.wanted))
    return [None] * len(items)


def bury(connection: Connection, items: list[Tombstone]) -> list[None]:
    """Turn agents into tombstones."""
    for item in items:
        connection.execute(update(_agents).where(_agents.c.name == item.name).values(tombstone_at=item.at))
    return [None] * len(items)
