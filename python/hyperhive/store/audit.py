"""Statements about the audit log: append and read, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import insert, select

from hyperhive.store.counters import take_ids
from hyperhive.store.tables import AuditRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Table

_audit = cast("Table", AuditRow.__table__)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to what, and why."""

    at: datetime
    actor: str
    action: str
    subject: str
    detail: str | None = None


def append(connection: Connection, items: list[AuditEntry]) -> list[None]:
    """Write entries."""
    first = take_ids(connection, "audit", len(items))
    rows = [
        {"id": first + i, "at": e.at, "actor": e.actor, "action": e.action, "subject": e.subject, "detail": e.detail}
        for i, e in enumerate(items)
    ]
    connection.execute(insert(_audit), rows)
    return [None] * len(items)


def page(connection: Connection, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """Entries, newest first."""
    statement = select(_audit) if before is None else select(_audit).where(_audit.c.id < before)
    return connection.execute(statement.order_by(_audit.c.id.desc()).limit(limit)).all()
