"""Statements about messages. What each state means stands at `tables.MessageState`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, update

from hyperhive.names import OPERATOR
from hyperhive.store.counters import take_ids
from hyperhive.store.tables import MessageRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select, Table

#: Characters of a body that the pages are sent first. One more is kept, to know whether that is all.
PREVIEW: Final = 400

_messages = cast("Table", MessageRow.__table__)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that asks to be accepted, with all its recipients."""

    sender: str
    recipients: tuple[str, ...]
    body: str
    sent_at: datetime
    in_reply_to: int | None = None
    idempotency_key: str | None = None
    broadcast: bool = False
    #: Recipients that it is handed out to the moment it is on disk.
    handed_to: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that is on disk; `fresh` is false where the idempotency key had been used before."""

    ids: tuple[int, ...]
    recipients: tuple[str, ...]
    broadcast_id: int | None
    fresh: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A new state of one message; what is None stays, but for `not_before`."""

    id: int
    state: str
    at: datetime
    outcome: str | None = None
    reason: str | None = None
    failures: int | None = None
    not_before: datetime | None = None


def insert_messages(connection: Connection, items: list[NewMessage]) -> list[Accepted]:
    """Accept messages, each once for its idempotency key."""
    known = _already_accepted(connection, items)
    fresh: list[NewMessage] = []
    for item in items:
        key = (item.sender, item.idempotency_key)
        if item.idempotency_key is None or key not in known:
            fresh.append(item)
            known[key] = None
    count = sum(len(item.recipients) for item in fresh)
    following = take_ids(connection, "message", count) if count else 0
    rows: list[dict[str, Any]] = []
    accepted: dict[int, Accepted] = {}
    for item in fresh:
        ids = tuple(range(following, following + len(item.recipients)))
        following += len(ids)
        made = Accepted(ids, item.recipients, ids[0] if item.broadcast and ids else None, fresh=True)
        rows += _rows(item, made)
        accepted[id(item)] = made
        known[item.sender, item.idempotency_key] = made
    if rows:
        connection.execute(insert(_messages), rows)
    return [accepted.get(id(item)) or _repeat(known[item.sender, item.idempotency_key]) for item in items]


def _rows(item: NewMessage, made: Accepted) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "sender": item.sender,
            "recipient": recipient,
            "body": item.body,
            "sent_at": item.sent_at,
            "in_reply_to": item.in_reply_to,
            "broadcast_id": made.broadcast_id,
            "idempotency_key": item.idempotency_key,
            "state": "waiting",
            "deliveries": 1 if recipient in item.handed_to else 0,
            "failures": 0,
        }
        for number, recipient in zip(made.ids, made.recipients, strict=True)
    ]


def _repeat(made: Accepted | None) -> Accepted:
    if made is None:  # pragma: no cover - every key was filled above
        msg = "an idempotency key without its message"
        raise RuntimeError(msg)
    return Accepted(made.ids, made.recipients, made.broadcast_id, fresh=False)


def accepted_before(connection: Connection, sender: str, idempotency_key: str) -> Accepted | None:
    """The message that a sender's key stands for, if there is one."""
    return _by_key(connection, {(sender, idempotency_key)}).get((sender, idempotency_key))


def _already_accepted(connection: Connection, items: list[NewMessage]) -> dict[tuple[str, str | None], Accepted | None]:
    return _by_key(
        connection, {(item.sender, item.idempotency_key) for item in items if item.idempotency_key is not None}
    )


def _by_key(connection: Connection, keys: set[tuple[str, str | None]]) -> dict[tuple[str, str | None], Accepted | None]:
    if not keys:
        return {}
    table = _messages.c
    statement = (
        select(table.sender, table.idempotency_key, table.id, table.recipient, table.broadcast_id)
        .where(table.idempotency_key.in_([key for _sender, key in keys]))
        .order_by(table.id)
    )
    found: dict[tuple[str, str | None], list[Any]] = {}
    for row in connection.execute(statement):
        found.setdefault((row.sender, row.idempotency_key), []).append(row)
    return {
        key: Accepted(tuple(r.id for r in rows), tuple(r.recipient for r in rows), rows[0].broadcast_id, fresh=False)
        for key, rows in found.items()
    }


def mark_handed_out(connection: Connection, items: list[tuple[int, ...]]) -> list[None]:
    """Count a hand-out of each message."""
    rows = [{"b_id": number} for ids in items for number in ids]
    statement = (
        update(_messages).where(_messages.c.id == bindparam("b_id")).values(deliveries=_messages.c.deliveries + 1)
    )
    if rows:
        connection.execute(statement, rows)
    return [None] * len(items)


def change_messages(connection: Connection, items: list[tuple[Change, ...]]) -> list[None]:
    """Write new states; the items of one tuple belong together."""
    rows = [_changed_columns(change) for changes in items for change in changes]
    for columns, alike in groupby(rows, key=tuple):
        values: dict[str, Any] = {name: bindparam(f"b_{name}") for name in columns if name != "id"}
        statement = update(_messages).where(_messages.c.id == bindparam("b_id")).values(values)
        connection.execute(statement, [{f"b_{name}": value for name, value in row.items()} for row in alike])
    return [None] * len(items)


def _changed_columns(change: Change) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "id": change.id,
        "state": change.state,
        "not_before": change.not_before,
        "reason": change.reason,
    }
    if change.outcome is not None:
        columns["outcome"] = change.outcome
    if change.failures is not None:
        columns["failures"] = change.failures
    if change.state in {"settled", "discarded"}:
        columns["settled_at"] = change.at
    return columns


def acknowledge(connection: Connection, items: list[tuple[tuple[int, ...], datetime]]) -> list[Sequence[Row[Any]]]:
    """Settle messages in the operator's inbox; those of others are left alone."""
    done: list[Sequence[Row[Any]]] = []
    for ids, at in items:
        statement = (
            update(_messages)
            .where(_messages.c.recipient == OPERATOR, _messages.c.state == "waiting", _messages.c.id.in_(ids))
            .values(state="settled", outcome="settled", settled_at=at)
            .returning(*_entry_columns())
        )
        done.append(sorted(connection.execute(statement).all(), key=lambda row: row.id))
    return done


def unsettled(connection: Connection) -> Sequence[Row[Any]]:
    """Every message that an agent has not done, as the broker keeps it, in the order of ids."""
    statement = _for_broker().where(_messages.c.state == "waiting", _messages.c.recipient != OPERATOR)
    return connection.execute(statement.order_by(_messages.c.id)).all()


def entries_in(connection: Connection, state: str, recipient: str | None = None) -> Sequence[Row[Any]]:
    """Messages in a state (of one recipient), as the broker keeps them, in the order of ids."""
    statement = _for_broker().where(_messages.c.state == state)
    if recipient is not None:
        statement = statement.where(_messages.c.recipient == recipient)
    return connection.execute(statement.order_by(_messages.c.id)).all()


def entries(connection: Connection, ids: Sequence[int]) -> Sequence[Row[Any]]:
    """Messages as the broker keeps them, whatever became of them."""
    return connection.execute(_for_broker().where(_messages.c.id.in_(ids))).all()


def _for_broker() -> Select[Any]:
    return select(*_entry_columns())


def _entry_columns() -> list[Any]:
    table = _messages.c
    return [
        table.id,
        table.sender,
        table.recipient,
        table.sent_at,
        func.substr(table.body, 1, PREVIEW + 1).label("preview"),
        table.in_reply_to,
        table.broadcast_id,
        table.deliveries,
        table.failures,
        table.not_before,
        table.state,
        table.outcome,
        table.reason,
        table.settled_at,
    ]


def bodies(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """The bodies of messages."""
    statement = select(_messages.c.id, _messages.c.body).where(_messages.c.id.in_(ids))
    return {row.id: row.body for row in connection.execute(statement)}


@dataclass(frozen=True, slots=True)
class Filter:
    """What a listing asks for; None is everything."""

    agent: str | None = None
    sender: str | None = None
    recipient: str | None = None
    state: str | None = None
    ids: tuple[int, ...] | None = None
    before: int | None = None
    limit: int = 100


def page(connection: Connection, wanted: Filter) -> Sequence[Row[Any]]:
    """Messages, newest first."""
    table = _messages.c
    conditions = [
        None if wanted.agent is None else or_(table.sender == wanted.agent, table.recipient == wanted.agent),
        None if wanted.sender is None else table.sender == wanted.sender,
        None if wanted.recipient is None else table.recipient == wanted.recipient,
        None if wanted.state is None else table.state == wanted.state,
        None if wanted.ids is None else table.id.in_(wanted.ids),
        None if wanted.before is None else table.id < wanted.before,
    ]
    statement = select(_messages).where(and_(True, *(c for c in conditions if c is not None)))  # noqa: FBT003
    return connection.execute(statement.order_by(table.id.desc()).limit(wanted.limit)).all()


def count_waiting(connection: Connection, recipient: str) -> int:
    """How many messages wait for `recipient`."""
    statement = (
        select(func.count())
        .select_from(_messages)
        .where(_messages.c.recipient == recipient, _messages.c.state == "waiting")
    )
    return int(connection.execute(statement).scalar_one())


def drop_settled(connection: Connection, items: list[tuple[datetime, int]]) -> list[int]:
    """Drop what was settled before an instant, at most so many at a time; nothing else is ever dropped."""
    done = _messages.c.state.in_(("settled", "discarded"))
    dropped = []
    for before, most in items:
        old = select(_messages.c.id).where(_messages.c.settled_at < before, done).order_by(_messages.c.settled_at)
        dropped.append(connection.execute(delete(_messages).where(_messages.c.id.in_(old.limit(most)))).rowcount)
    return dropped
