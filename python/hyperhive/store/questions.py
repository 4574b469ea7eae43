"""Statements about questions. What each state means stands at `tables.QuestionState`.

A question and the message that it causes are written in one transaction: the one that tells an agent what it is asked,
and the one that carries the end to the asker. So neither is lost, and no end comes twice, whenever the hive is killed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import and_, func, insert, select, update

from hyperhive.store.audit import append
from hyperhive.store.counters import take_ids
from hyperhive.store.messages import Accepted, NewMessage, insert_messages
from hyperhive.store.tables import QuestionRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Table

    from hyperhive.store.audit import AuditEntry

#: Questions of one asker that may be open.
MOST_OPEN: Final = 50

_questions = cast("Table", QuestionRow.__table__)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class NewQuestion:
    """A question that asks to be accepted; `tell` makes the message to the one who is asked, of the stored row."""

    asker: str
    recipient: str
    text: str
    asked_at: datetime
    options: tuple[str, ...] = ()
    multi: bool = False
    deadline: datetime | None = None
    fallback: str | None = None
    idempotency_key: str | None = None
    tell: Callable[[Row[Any]], NewMessage] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class End:
    """An end of one question, for the case that it has none yet; `tell` makes the message to its asker."""

    id: int
    status: str
    at: datetime
    by: str | None = None
    answer: str | None = None
    tell: Callable[[Row[Any]], NewMessage] | None = field(default=None, repr=False)
    audit: AuditEntry | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What an operation did.

    Attributes:
        row: the question as it is now; None where there are too many open ones of its asker.
        fresh: whether it was this operation that made it so.
        message: the message that was written with it.
    """

    row: Row[Any] | None
    fresh: bool
    message: tuple[NewMessage, Accepted] | None = None


def ask(connection: Connection, items: list[NewQuestion]) -> list[Written]:
    """Accept questions, each once for its asker's idempotency key."""
    return [_ask(connection, item) for item in items]


def _ask(connection: Connection, item: NewQuestion) -> Written:
    known = asked_before(connection, item.asker, item.idempotency_key) if item.idempotency_key else None
    if known is not None:
        return Written(known, fresh=False)
    mine = and_(_questions.c.asker == item.asker, _questions.c.status == "open")
    if connection.execute(select(func.count()).select_from(_questions).where(mine)).scalar_one() >= MOST_OPEN:
        return Written(None, fresh=False)
    values = {
        "id": take_ids(connection, "question", 1),
        "asker": item.asker,
        "recipient": item.recipient,
        "text": item.text,
        "options": list(item.options),
        "multi": item.multi,
        "asked_at": item.asked_at,
        "deadline": item.deadline,
        "fallback": item.fallback,
        "idempotency_key": item.idempotency_key,
        "status": "open",
    }
    row = connection.execute(insert(_questions).values(values).returning(*_questions.c)).one()
    return Written(row, fresh=True, message=_message(connection, item.tell, row))


def end(connection: Connection, items: list[End]) -> list[Written]:
    """End questions; whoever comes second finds how it ended."""
    return [_end(connection, item) for item in items]


def _end(connection: Connection, item: End) -> Written:
    mine = _questions.c.id == item.id
    values: dict[str, Any] = {"status": item.status, "ended_by": item.by, "ended_at": item.at, "answer": item.answer}
    if item.status == "expired":
        values["answer"] = _questions.c.fallback
    statement = update(_questions).where(mine, _questions.c.status == "open").values(values)
    row = connection.execute(statement.returning(*_questions.c)).one_or_none()
    if row is None:
        return Written(connection.execute(select(_questions).where(mine)).one_or_none(), fresh=False)
    if item.audit is not None:
        append(connection, [item.audit])
    return Written(row, fresh=True, message=_message(connection, item.tell, row))


def _message(
    connection: Connection, tell: Callable[[Row[Any]], NewMessage] | None, row: Row[Any]
) -> tuple[NewMessage, Accepted] | None:
    if tell is None:
        return None
    message = tell(row)
    return message, insert_messages(connection, [message])[0]


def asked_before(connection: Connection, asker: str, idempotency_key: str) -> Row[Any] | None:
    """The question that an asker's key stands for, if there is one."""
    mine = and_(_questions.c.idempotency_key == idempotency_key, _questions.c.asker == asker)
    return connection.execute(select(_questions).where(mine)).one_or_none()


def get(connection: Connection, number: int) -> Row[Any] | None:
    """One question."""
    return connection.execute(select(_questions).where(_questions.c.id == number)).one_or_none()


def page(
    connection: Connection,
    status: str | None = None,
    asker: str | None = None,
    limit: int | None = None,
    recipient: str | None = None,
) -> Sequence[Row[Any]]:
    """Questions (in a state, of an asker, to a recipient), newest first."""
    statement = select(_questions)
    if status is not None:
        statement = statement.where(_questions.c.status == status)
    if asker is not None:
        statement = statement.where(_questions.c.asker == asker)
    if recipient is not None:
        statement = statement.where(_questions.c.recipient == recipient)
    return connection.execute(statement.order_by(_questions.c.id.desc()).limit(limit)).all()
