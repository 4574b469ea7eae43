"""Statements about approvals. What each state means stands at `tables.ApprovalState`, what leads where in the rules.

A transition is one UPDATE that names the states it leads out of: whoever comes second changes nothing and is told what
is. Its audit entry is written in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import and_, exists, func, insert, or_, select, update

from hyperhive.store.audit import append
from hyperhive.store.counters import take_ids
from hyperhive.store.tables import ApprovalRow

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row, Table

    from hyperhive.store.audit import AuditEntry

#: Approvals that may be open at a time.
MOST_OPEN: Final = 20

_approvals = cast("Table", ApprovalRow.__table__)  # type: ignore[attr-defined]
_OPEN: Final = ("building", "pending")
_UNDER_WAY: Final = ("approved", "deploying")


@dataclass(frozen=True, slots=True)
class NewApproval:
    """A request that asks to be accepted. `id` is taken beforehand where something outside is named after it."""

    kind: str
    agent: str
    status: str
    by: str
    at: datetime
    expires_at: datetime
    description: str | None = None
    idempotency_key: str | None = None
    id: int | None = None
    #: Further columns.
    values: Mapping[str, Any] = field(default_factory=dict)
    #: Makes the audit entry, of the stored row.
    audit: Callable[[Row[Any]], AuditEntry] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Move:
    """A transition of one approval.

    Attributes:
        id: which.
        sources: the states that it leads out of.
        target: where it leads.
        values: further columns that it sets.
        expected: columns that still have to be as they were when this was decided.
        alone: whether it is refused while something else that was approved is under way for the same agent.
        moves_others: whether those of the same agent that are open have to be compared and built anew by it.
        audit: makes the entry of the audit log, of the row as it is then.
    """

    id: int
    sources: Collection[str]
    target: str
    values: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = False
    moves_others: bool = False
    audit: Callable[[Row[Any]], AuditEntry] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Written:
    """What an operation did.

    Attributes:
        row: the approval as it is now; None where there is none, or there are too many already.
        fresh: whether it was this operation that made it so.
        twin: whether it was asked for already, under another key or none.
        moved: others that have to be compared and built anew since.
        busy: whether it was refused because something else is under way for its agent.
    """

    row: Row[Any] | None
    fresh: bool
    twin: bool = False
    moved: tuple[Row[Any], ...] = ()
    busy: bool = False


def take_number(connection: Connection, items: list[None]) -> list[int]:
    """Ids for approvals that are about to be asked for."""
    first = take_ids(connection, "approval", len(items))
    return [first + i for i in range(len(items))]


def request(connection: Connection, items: list[NewApproval]) -> list[Written]:
    """Accept requests, each once for its requester's idempotency key, while not too many are open."""
    return [_request(connection, item) for item in items]


def _request(connection: Connection, item: NewApproval) -> Written:
    known = asked_before(connection, item.by, item.idempotency_key) if item.idempotency_key else None
    if known is not None:
        return Written(known, fresh=False)
    twin = same(connection, item.kind, item.agent, item.values.get("commit_hash"))
    if twin is not None:
        return Written(twin, fresh=False, twin=True)
    if count_open(connection) >= MOST_OPEN:
        return Written(None, fresh=False)
    values = {
        "id": take_ids(connection, "approval", 1) if item.id is None else item.id,
        "kind": item.kind,
        "agent": item.agent,
        "status": item.status,
        "requested_by": item.by,
        "requested_at": item.at,
        "expires_at": item.expires_at,
        "description": item.description,
        "idempotency_key": item.idempotency_key,
        "truncated": False,
        "stale": False,
        "unfinished": False,
        **item.values,
    }
    row = connection.execute(insert(_approvals).values(values).returning(*_approvals.c)).one()
    if item.audit is not None:
        append(connection, [item.audit(row)])
    return Written(row, fresh=True)


def move(connection: Connection, items: list[Move]) -> list[Written]:
    """Make transitions; one that its approval is in no state for changes nothing."""
    return [_move(connection, item) for item in items]


def _move(connection: Connection, item: Move) -> Written:
    mine = _approvals.c.id == item.id
    wanted = [_approvals.c.status.in_(tuple(item.sources))]
    wanted += [_approvals.c[name] == value for name, value in item.expected.items()]
    alone = [~_other_under_way()] if item.alone else []
    statement = update(_approvals).where(mine, *wanted, *alone).values(status=item.target, **item.values)
    row = connection.execute(statement.returning(*_approvals.c)).one_or_none()
    if row is None:
        found = connection.execute(select(_approvals).where(mine)).one_or_none()
        busy = bool(alone) and connection.execute(select(_approvals.c.id).where(mine, *wanted)).first() is not None
        return Written(found, fresh=False, busy=busy)
    if item.audit is not None:
        append(connection, [item.audit(row)])
    return Written(row, fresh=True, moved=_move_others(connection, row) if item.moves_others else ())


def _other_under_way() -> ColumnElement[bool]:
    other = _approvals.alias()
    same_agent = and_(other.c.agent == _approvals.c.agent, other.c.id != _approvals.c.id)
    return exists(select(other.c.id).where(same_agent, other.c.status.in_(_UNDER_WAY)).correlate(_approvals))


def _move_others(connection: Connection, done: Row[Any]) -> tuple[Row[Any], ...]:
    mine = and_(_approvals.c.agent == done.agent, _approvals.c.kind == "apply", _approvals.c.id != done.id)
    # Without a base, so that a build that is under way is none of what is to be shown.
    anew = {"status": "building", "stale": True, "base_hash": None}
    statement = update(_approvals).where(mine, _approvals.c.status.in_(_OPEN)).values(anew)
    return tuple(connection.execute(statement.returning(*_approvals.c)).all())


@dataclass(frozen=True, slots=True)
class Amend:
    """More about an approval that stays in its state."""

    id: int
    status: str
    values: Mapping[str, Any]


def amend(connection: Connection, items: list[Amend]) -> list[Row[Any] | None]:
    """Write more about approvals; None for one that is in another state by now."""
    return [_amend(connection, item) for item in items]


def _amend(connection: Connection, item: Amend) -> Row[Any] | None:
    mine = and_(_approvals.c.id == item.id, _approvals.c.status == item.status)
    statement = update(_approvals).where(mine).values(dict(item.values))
    return connection.execute(statement.returning(*_approvals.c)).one_or_none()


@dataclass(frozen=True, slots=True)
class Finished:
    """What followed a transition is done; nothing is noted where there was another one since."""

    id: int
    status: str


def finish(connection: Connection, items: list[Finished]) -> list[None]:
    """Note that nothing is left to be done."""
    for item in items:
        mine = and_(_approvals.c.id == item.id, _approvals.c.status == item.status)
        connection.execute(update(_approvals).where(mine).values(unfinished=False))
    return [None] * len(items)


def asked_before(connection: Connection, by: str, idempotency_key: str) -> Row[Any] | None:
    """The approval that a requester's key stands for, if there is one."""
    mine = and_(_approvals.c.idempotency_key == idempotency_key, _approvals.c.requested_by == by)
    return connection.execute(select(_approvals).where(mine)).one_or_none()


def same(connection: Connection, kind: str, agent: str, commit: str | None) -> Row[Any] | None:
    """The approval of the same thing that is not over, if there is one: the same new agent, or the same commit."""
    mine = [_approvals.c.kind == kind, _approvals.c.agent == agent, _approvals.c.status.in_((*_OPEN, *_UNDER_WAY))]
    if commit is not None:
        mine.append(_approvals.c.commit_hash == commit)
    return connection.execute(select(_approvals).where(*mine).order_by(_approvals.c.id).limit(1)).one_or_none()


def count_open(connection: Connection) -> int:
    """How many nobody has decided about."""
    statement = select(func.count()).select_from(_approvals).where(_approvals.c.status.in_(_OPEN))
    return int(connection.execute(statement).scalar_one())


def get(connection: Connection, number: int) -> Row[Any] | None:
    """One approval."""
    return connection.execute(select(_approvals).where(_approvals.c.id == number)).one_or_none()


def page(
    connection: Connection,
    statuses: Collection[str] | None = None,
    *,
    agent: str | None = None,
    by: str | None = None,
    limit: int | None = None,
) -> Sequence[Row[Any]]:
    """Approvals (in these states, about an agent, of a requester), newest first."""
    statement = select(_approvals)
    if statuses is not None:
        statement = statement.where(_approvals.c.status.in_(tuple(statuses)))
    if agent is not None:
        statement = statement.where(_approvals.c.agent == agent)
    if by is not None:
        statement = statement.where(_approvals.c.requested_by == by)
    return connection.execute(statement.order_by(_approvals.c.id.desc()).limit(limit)).all()


def shown(connection: Connection) -> Sequence[Row[Any]]:
    """Approvals that the operator is shown because they have failed, oldest first."""
    statement = select(_approvals).where(_approvals.c.shown_since.is_not(None))
    return connection.execute(statement.order_by(_approvals.c.id)).all()


def dismiss(connection: Connection, items: list[int]) -> list[None]:
    """The operator has seen that these have failed."""
    connection.execute(update(_approvals).where(_approvals.c.id.in_(items)).values(shown_since=None))
    return [None] * len(items)


def purge(connection: Connection, agent: str) -> None:
    """The operator has wiped an agent; what failed with it is kept, and shown no more."""
    connection.execute(update(_approvals).where(_approvals.c.agent == agent).values(shown_since=None))


def unsettled(connection: Connection) -> Sequence[Row[Any]]:
    """Approvals about which something is left to be done, oldest first."""
    left = or_(_approvals.c.status.in_((*_OPEN, *_UNDER_WAY)), _approvals.c.unfinished)
    return connection.execute(select(_approvals).where(left).order_by(_approvals.c.id)).all()
