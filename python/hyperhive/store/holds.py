"""Statements about holds: dead letters of an agent in a row. What a row means stands at `tables.HoldRow`.

A dead letter is counted in the transaction that makes it one, and so is what ends the row of them: the count is always
that of the messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import delete, insert, select, update

from hyperhive.store.messages import change_messages
from hyperhive.store.tables import HoldRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Table

    from hyperhive.store.messages import Change

#: Different messages in a row that became dead letters, after which their agent is held.
MOST: Final = 3

_holds = cast("Table", HoldRow.__table__)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Judged:
    """The end of a turn that counts: a message that is a dead letter now, or one that was done.

    Attributes:
        agent: whose turn it was.
        changes: what becomes of the messages.
        dead: the message that is a dead letter now; None for a turn that ended well.
        reason: why it failed.
        at: when.
    """

    agent: str
    changes: tuple[Change, ...]
    at: datetime
    dead: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Streak:
    """What is known of an agent's dead letters in a row."""

    agent: str
    messages: tuple[int, ...]
    held_at: datetime | None = None
    reason: str | None = None


def list_holds(connection: Connection) -> list[Streak]:
    """Of every agent that has one."""
    return [_streak(row) for row in connection.execute(select(_holds))]


def judge(connection: Connection, items: list[Judged]) -> list[Streak]:
    """Write what became of messages, and count; the result is what follows for each agent."""
    change_messages(connection, [item.changes for item in items])
    return [_counted(connection, item) if item.dead is not None else _ended(connection, item) for item in items]


def lift(connection: Connection, items: list[str]) -> list[None]:
    """Forget the dead letters of agents: they begin anew."""
    connection.execute(delete(_holds).where(_holds.c.agent.in_(items)))
    return [None] * len(items)


def _counted(connection: Connection, item: Judged) -> Streak:
    before = _of(connection, item.agent)
    known = tuple(before.messages) if before else ()
    # One that was requeued and failed again is the same message.
    messages = known if item.dead in known else (*known, cast("int", item.dead))
    held_at = before.held_at if before else None
    if held_at is None and len(messages) >= MOST:
        held_at = item.at
    values = {"messages": list(messages), "held_at": held_at, "reason": item.reason}
    if before is None:
        connection.execute(insert(_holds).values(agent=item.agent, **values))
    else:
        connection.execute(update(_holds).where(_holds.c.agent == item.agent).values(**values))
    return Streak(item.agent, messages, held_at, item.reason)


def _ended(connection: Connection, item: Judged) -> Streak:
    """One turn that ended well; an agent that is held stays so: its operator looks first."""
    connection.execute(delete(_holds).where(_holds.c.agent == item.agent, _holds.c.held_at.is_(None)))
    left = _of(connection, item.agent)
    return _streak(left) if left else Streak(item.agent, ())


def _of(connection: Connection, agent: str) -> Row[Any] | None:
    return connection.execute(select(_holds).where(_holds.c.agent == agent)).first()


def _streak(row: Any) -> Streak:  # noqa: ANN401 - a row of the store
    messages: Sequence[int] = row.messages
    return Streak(row.agent, tuple(messages), row.held_at, row.reason)
