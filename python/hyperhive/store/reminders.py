"""Statements about reminders. What each state means stands at `tables.ReminderState`.

A reminder is sent in the transaction in which it stops to be pending: so it comes once, whenever the hive is killed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import and_, delete, func, insert, select, update

from hyperhive.store.audit import append
from hyperhive.store.counters import take_ids
from hyperhive.store.messages import Accepted, NewMessage, insert_messages
from hyperhive.store.tables import ReminderRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Table

    from hyperhive.store.audit import AuditEntry

#: Reminders of one agent that may be pending.
MOST_PENDING: Final = 50

_reminders = cast("Table", ReminderRow.__table__)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class NewReminder:
    """A reminder that asks to be accepted."""

    agent: str
    text: str
    made_at: datetime
    due_at: datetime
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Firing:
    """The instant of one reminder has come; `tell` makes its message, of the stored row."""

    id: int
    at: datetime
    tell: Callable[[Row[Any]], NewMessage] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Somebody does not want a reminder any more, if it is still pending."""

    id: int
    at: datetime
    by: str
    audit: AuditEntry | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What an operation did.

    Attributes:
        row: the reminder as it is now; None where there are too many of its agent, or none of that number.
        fresh: whether it was this operation that made it so.
        message: the message that was written with it.
    """

    row: Row[Any] | None
    fresh: bool
    message: tuple[NewMessage, Accepted] | None = None


def remember(connection: Connection, items: list[NewReminder]) -> list[Written]:
    """Accept reminders, each once for its agent's idempotency key."""
    return [_remember(connection, item) for item in items]


def _remember(connection: Connection, item: NewReminder) -> Written:
    known = made_before(connection, item.agent, item.idempotency_key) if item.idempotency_key else None
    if known is not None:
        return Written(known, fresh=False)
    mine = and_(_reminders.c.agent == item.agent, _reminders.c.status == "pending")
    if connection.execute(select(func.count()).select_from(_reminders).where(mine)).scalar_one() >= MOST_PENDING:
        return Written(None, fresh=False)
    values = {
        "id": take_ids(connection, "reminder", 1),
        "agent": item.agent,
        "text": item.text,
        "made_at": item.made_at,
        "due_at": item.due_at,
        "idempotency_key": item.idempotency_key,
        "status": "pending",
    }
    row = connection.execute(insert(_reminders).values(values).returning(*_reminders.c)).one()
    return Written(row, fresh=True)


def fire(connection: Connection, items: list[Firing]) -> list[Written]:
    """Send reminders; one that is not pending any more, or not due, is left alone."""
    return [_fire(connection, item) for item in items]


def _fire(connection: Connection, item: Firing) -> Written:
    due = and_(_reminders.c.id == item.id, _reminders.c.status == "pending", _reminders.c.due_at <= item.at)
    row = _end(connection, due, status="fired", ended_at=item.at)
    if row is None:
        return Written(get(connection, item.id), fresh=False)
    message = item.tell(row)
    accepted = insert_messages(connection, [message])[0]
    row = _end(connection, _reminders.c.id == item.id, message=accepted.ids[0])
    return Written(row, fresh=True, message=(message, accepted))


def cancel(connection: Connection, items: list[Cancel]) -> list[Written]:
    """Cancel reminders; whoever comes too late finds what it became."""
    done = []
    for item in items:
        pending = and_(_reminders.c.id == item.id, _reminders.c.status == "pending")
        row = _end(connection, pending, status="cancelled", ended_at=item.at, ended_by=item.by)
        if row is not None and item.audit is not None:
            append(connection, [item.audit])
        done.append(Written(row or get(connection, item.id), fresh=row is not None))
    return done


def _end(connection: Connection, which: Any, **values: object) -> Row[Any] | None:  # noqa: ANN401 - a condition
    return connection.execute(update(_reminders).where(which).values(values).returning(*_reminders.c)).one_or_none()


def made_before(connection: Connection, agent: str, idempotency_key: str) -> Row[Any] | None:
    """The reminder that an agent's key stands for, if there is one."""
    mine = and_(_reminders.c.idempotency_key == idempotency_key, _reminders.c.agent == agent)
    return connection.execute(select(_reminders).where(mine)).one_or_none()


def get(connection: Connection, number: int) -> Row[Any] | None:
    """One reminder."""
    return connection.execute(select(_reminders).where(_reminders.c.id == number)).one_or_none()


def page(
    connection: Connection, status: str | None = None, agent: str | None = None, limit: int | None = None
) -> Sequence[Row[Any]]:
    """Reminders (in a state, of an agent), newest first."""
    statement = select(_reminders)
    if status is not None:
        statement = statement.where(_reminders.c.status == status)
    if agent is not None:
        statement = statement.where(_reminders.c.agent == agent)
    return connection.execute(statement.order_by(_reminders.c.id.desc()).limit(limit)).all()


def drop_ended(connection: Connection, items: list[tuple[datetime, int]]) -> list[int]:
    """Drop reminders that ended before an instant, at most so many at a time; a pending one never."""
    ended = _reminders.c.status != "pending"
    dropped = []
    for before, most in items:
        old = select(_reminders.c.id).where(ended, _reminders.c.ended_at < before).limit(most)
        dropped.append(connection.execute(delete(_reminders).where(_reminders.c.id.in_(old))).rowcount)
    return dropped
