"""Statements about deployments. What each step means stands in `tables`, which one follows which in `STEPS`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import delete, insert, select, update

from hyperhive.store.counters import take_ids
from hyperhive.store.tables import DeploymentRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Table

_rows = cast("Table", DeploymentRow.__table__)  # type: ignore[attr-defined]

#: What may follow each step.
STEPS: Final[dict[str, frozenset[str]]] = {
    "begun": frozenset({"switching", "keeping", "failed"}),
    "switching": frozenset({"checking", "reverting"}),
    "checking": frozenset({"keeping", "reverting"}),
    "keeping": frozenset({"deployed"}),
    "reverting": frozenset({"failed"}),
    "deployed": frozenset(),
    "failed": frozenset(),
}
#: Steps in which the row's system is what its agent runs on, or is brought to.
_IN_USE: Final = ("switching", "checking", "keeping", "deployed")


@dataclass(frozen=True, slots=True)
class NewDeployment:
    """A deployment that is going to begin."""

    approval_id: int | None
    agent: str
    commit: str
    system: str | None
    base: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """The next step of a deployment: from where, and where to."""

    id: int
    before: str
    after: str
    at: datetime
    error: str | None = None
    #: Whether the operator is shown that it ended so.
    shown: bool = False


def begin(connection: Connection, items: list[NewDeployment]) -> list[Row[Any]]:
    """Write deployments; of an approval that has one already, that one is the result."""
    found: list[Row[Any]] = []
    for item in items:
        known = select(_rows).where(_rows.c.approval_id == item.approval_id)
        row = connection.execute(known).one_or_none() if item.approval_id is not None else None
        found.append(row or _insert(connection, item))
    return found


def _insert(connection: Connection, item: NewDeployment) -> Row[Any]:
    values = {
        "id": take_ids(connection, "deployment", 1),
        "approval_id": item.approval_id,
        "agent": item.agent,
        "commit_hash": item.commit,
        "system": item.system,
        "base": item.base,
        "step": "begun",
        "begun_at": item.at,
    }
    return connection.execute(insert(_rows).values(values).returning(*_rows.c)).one()


def advance(connection: Connection, items: list[Step]) -> list[Row[Any]]:
    """Take steps.

    Raises:
        ValueError: it does not follow the step in which the row is, or the row is gone.
    """
    return [_advance(connection, item) for item in items]


def _advance(connection: Connection, item: Step) -> Row[Any]:
    if item.after not in STEPS[item.before]:
        msg = f"a deployment does not go from {item.before} to {item.after}"
        raise ValueError(msg)
    ended = {"ended_at": item.at} if not STEPS[item.after] else {}
    error = {} if item.error is None else {"error": item.error}
    shown = {"shown_since": item.at} if item.shown else {}
    statement = (
        update(_rows)
        .where(_rows.c.id == item.id, _rows.c.step == item.before)
        .values(step=item.after, **ended, **error, **shown)
        .returning(*_rows.c)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        msg = f"deployment {item.id} is not at {item.before} any more"
        raise ValueError(msg)
    return row


def unended(connection: Connection) -> Sequence[Row[Any]]:
    """Deployments that are not at an end, oldest first."""
    return connection.execute(select(_rows).where(_rows.c.ended_at.is_(None)).order_by(_rows.c.id)).all()


def shown(connection: Connection) -> Sequence[Row[Any]]:
    """Deployments that the operator is shown because they have failed, oldest first."""
    return connection.execute(select(_rows).where(_rows.c.shown_since.is_not(None)).order_by(_rows.c.id)).all()


def dismiss(connection: Connection, items: list[int]) -> list[None]:
    """The operator has seen that these have failed."""
    connection.execute(update(_rows).where(_rows.c.id.in_(items)).values(shown_since=None))
    return [None] * len(items)


def in_use(connection: Connection) -> dict[str, Row[Any]]:
    """Of each agent, the deployment whose system it runs on."""
    statement = select(_rows).where(_rows.c.step.in_(_IN_USE)).order_by(_rows.c.id)
    return {row.agent: row for row in connection.execute(statement)}


def before(connection: Connection, row: Row[Any]) -> Row[Any] | None:
    """The deployment whose system an agent ran on before this one."""
    statement = select(_rows).where(_rows.c.agent == row.agent, _rows.c.id < row.id, _rows.c.step.in_(_IN_USE))
    return connection.execute(statement.order_by(_rows.c.id.desc()).limit(1)).one_or_none()


def approval_of(connection: Connection, row: Row[Any]) -> int | None:
    """The approval of the commit that a deployment puts in; of one without, that under which it was put in before."""
    if row.approval_id is not None:
        return int(row.approval_id)
    statement = (
        select(_rows.c.approval_id)
        .where(_rows.c.agent == row.agent, _rows.c.commit_hash == row.commit_hash, _rows.c.id < row.id)
        .where(_rows.c.approval_id.is_not(None), _rows.c.step == "deployed")
    )
    found = connection.execute(statement.order_by(_rows.c.id.desc()).limit(1)).scalar_one_or_none()
    return None if found is None else int(found)


def upgrading(connection: Connection) -> list[int]:
    """The approvals of what is being put in once more, on an upgraded host."""
    rows = [row for row in unended(connection) if row.approval_id is None]
    return [number for row in rows if (number := approval_of(connection, row)) is not None]


def failed_upgrade(connection: Connection, row: Row[Any], base: str) -> str | None:
    """Why the commit of a deployment does not work on another base, if that was tried; the newest error."""
    statement = (
        select(_rows.c.error)
        .where(_rows.c.agent == row.agent, _rows.c.commit_hash == row.commit_hash, _rows.c.base == base)
        .where(_rows.c.id > row.id, _rows.c.approval_id.is_(None), _rows.c.step == "failed")
    )
    error = connection.execute(statement.order_by(_rows.c.id.desc()).limit(1)).scalar_one_or_none()
    return None if error is None else str(error)


def purge(connection: Connection, agent: str) -> None:
    """Forget the deployments of an agent that is wiped."""
    connection.execute(delete(_rows).where(_rows.c.agent == agent))


def system_of(row: Row[Any] | None) -> Path | None:
    """The system of a deployment."""
    return Path(row.system) if row is not None and row.system else None
