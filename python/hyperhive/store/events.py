"""Statements about the events of agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import delete, func, insert, select

from hyperhive.store.counters import take_ids
from hyperhive.store.tables import EventRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Table

_events = cast("Table", EventRow.__table__)  # type: ignore[attr-defined]

#: Events kept for each agent.
KEPT: Final = 2000


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One event as the harness numbered it."""

    n: int
    at: datetime
    kind: str
    turn: int | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events of one harness process, `n` counting up."""

    agent: str
    instance: str
    events: tuple[NewEvent, ...]


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event that is on disk."""

    seq: int
    agent: str
    event: NewEvent


def insert_events(connection: Connection, items: list[EventBatch]) -> list[list[StoredEvent]]:
    """Append batches; what a repeated batch brought before is passed over."""
    stored: list[list[StoredEvent]] = []
    for batch in items:
        statement = select(func.max(_events.c.n)).where(
            _events.c.agent == batch.agent, _events.c.instance == batch.instance
        )
        newest = connection.execute(statement).scalar()
        numbered = {event.n: event for event in reversed(batch.events)}
        fresh = [event for n, event in sorted(numbered.items()) if newest is None or n > newest]
        first = take_ids(connection, "event", len(fresh)) if fresh else 0
        made = [StoredEvent(first + i, batch.agent, event) for i, event in enumerate(fresh)]
        if made:
            connection.execute(insert(_events), [_row(batch, entry) for entry in made])
        stored.append(made)
    return stored


def _row(batch: EventBatch, entry: StoredEvent) -> dict[str, Any]:
    event = entry.event
    return {
        "seq": entry.seq,
        "agent": batch.agent,
        "instance": batch.instance,
        "n": event.n,
        "at": event.at,
        "kind": event.kind,
        "turn": event.turn,
        "data": event.data,
    }


def page(connection: Connection, agent: str, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """Events of an agent, newest first."""
    statement = select(_events).where(_events.c.agent == agent)
    if before is not None:
        statement = statement.where(_events.c.seq < before)
    return connection.execute(statement.order_by(_events.c.seq.desc()).limit(limit)).all()


def trim(connection: Connection, items: list[str]) -> list[int]:
    """Drop all but the newest events of each agent named."""
    dropped = []
    for agent in items:
        newest = select(_events.c.seq).where(_events.c.agent == agent).order_by(_events.c.seq.desc())
        edge = connection.execute(newest.offset(KEPT).limit(1)).scalar()
        if edge is None:
            dropped.append(0)
            continue
        gone = connection.execute(delete(_events).where(_events.c.agent == agent, _events.c.seq <= edge))
        dropped.append(gone.rowcount)
    return dropped
