"""Statements about crashes that the operator has not dismissed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from sqlalchemy import delete, insert, select

from hyperhive.store.tables import CrashRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Table

_crashes = cast("Table", CrashRow.__table__)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Crash:
    """Crashes of one agent: how many, since when, and why the last one was. A count of 0 is none any more."""

    agent: str
    count: int
    since: datetime
    reason: str


def list_crashes(connection: Connection) -> list[Crash]:
    """Of every agent that has any."""
    columns = (_crashes.c.agent, _crashes.c["count"], _crashes.c.since, _crashes.c.reason)
    return [Crash(*row) for row in connection.execute(select(*columns))]


def remember(connection: Connection, items: list[Crash]) -> list[None]:
    """Write what is known of each agent's crashes; the later of two about the same one counts."""
    latest = {item.agent: item for item in items}
    connection.execute(delete(_crashes).where(_crashes.c.agent.in_(latest)))
    rows = [
        {"agent": one.agent, "count": one.count, "since": one.since, "reason": one.reason}
        for one in latest.values()
        if one.count
    ]
    if rows:
        connection.execute(insert(_crashes), rows)
    return [None] * len(items)
