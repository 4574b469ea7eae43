"""Statements about agents. What each state means stands in `tables`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import delete, insert, select, update

from hyperhive.names import HIVES_OWN
from hyperhive.store import approvals, audit, deployments, usage
from hyperhive.store.tables import AgentRow, CrashRow, EventRow, HoldRow, MessageRow, ReminderRow, ScheduleRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Table

    from hyperhive.store.audit import AuditEntry

_agents = cast("Table", AgentRow.__table__)  # type: ignore[attr-defined]
_crashes = cast("Table", CrashRow.__table__)  # type: ignore[attr-defined]
_events = cast("Table", EventRow.__table__)  # type: ignore[attr-defined]
_holds = cast("Table", HoldRow.__table__)  # type: ignore[attr-defined]
_messages = cast("Table", MessageRow.__table__)  # type: ignore[attr-defined]
_reminders = cast("Table", ReminderRow.__table__)  # type: ignore[attr-defined]
_schedules = cast("Table", ScheduleRow.__table__)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that the settings declare: agents by name, with what is wanted for one that is new."""

    wanted: dict[str, str]
    at: datetime


@dataclass(frozen=True, slots=True)
class Spawn:
    """An agent that is made at run time, and the audit log's entry for it."""

    name: str
    at: datetime
    audit: AuditEntry
    description: str | None = None
    model: str | None = None
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Whether an agent's Claude is logged in."""

    name: str
    logged_in: bool


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


@dataclass(frozen=True, slots=True)
class Revival:
    """A tombstone that is an agent again."""

    name: str
    origin: str


@dataclass(frozen=True, slots=True)
class Purge:
    """A tombstone of which nothing is kept; why what waits for it is not delivered."""

    name: str
    reason: str
    at: datetime


def list_agents(connection: Connection) -> Sequence[Row[Any]]:
    """Every agent, tombstones included, by name."""
    return connection.execute(select(_agents).order_by(_agents.c.name)).all()


def declare(connection: Connection, items: list[Declaration]) -> list[Sequence[Row[Any]]]:
    """Make declared agents known, and those that left the settings tombstones; the result is every agent, by name.

    One that was there keeps what is wanted for it. A tombstone comes back, unless the operator destroyed it while it
    was declared: then it does once it was taken out of the settings in between.
    """
    found: list[Sequence[Row[Any]]] = []
    for item in items:
        known = {row.name: row for row in list_agents(connection)}
        for name, wanted in item.wanted.items():
            if name not in known:
                values = {"name": name, "origin": "declared", "wanted": wanted, "created_at": item.at}
                connection.execute(insert(_agents).values(values))
            elif known[name].origin != "declared" or known[name].tombstone_cause != "destroyed":
                _set(connection, name, origin="declared", tombstone_at=None, tombstone_cause=None)
        for row in known.values():
            if row.origin == "declared" and row.name not in item.wanted:
                _set(connection, row.name, tombstone_at=row.tombstone_at or item.at, tombstone_cause="undeclared")
        found.append(list_agents(connection))
    return found


def spawn(connection: Connection, items: list[Spawn]) -> list[Row[Any] | None]:
    """Make agents known that should run; None for one whose name is taken, by a tombstone too."""
    found: list[Row[Any] | None] = []
    for item in items:
        mine = select(_agents).where(_agents.c.name == item.name)
        if connection.execute(mine).first() is not None:
            found.append(None)
            continue
        given = {"description": item.description, "model": item.model, "prompt": item.prompt}
        values = {"name": item.name, "origin": "spawned", "wanted": "running", "created_at": item.at, **given}
        connection.execute(insert(_agents).values(values))
        audit.append(connection, [item.audit])
        found.append(connection.execute(mine).one())
    return found


def set_logged_in(connection: Connection, items: list[LoggedIn]) -> list[None]:
    """Write whether agents are logged in."""
    for item in items:
        _set(connection, item.name, logged_in=item.logged_in)
    return [None] * len(items)


def set_wanted(connection: Connection, items: list[Wanted]) -> list[None]:
    """Write what is wanted."""
    for item in items:
        _set(connection, item.name, wanted=item.wanted)
    return [None] * len(items)


def bury(connection: Connection, items: list[Tombstone]) -> list[None]:
    """Turn agents that the operator destroyed into tombstones."""
    for item in items:
        _set(connection, item.name, tombstone_at=item.at, tombstone_cause="destroyed")
    return [None] * len(items)


def revive(connection: Connection, items: list[Revival]) -> list[None]:
    """Turn tombstones into agents that should run."""
    for item in items:
        _set(connection, item.name, origin=item.origin, wanted="running", tombstone_at=None, tombstone_cause=None)
    return [None] * len(items)


def purge(connection: Connection, items: list[Purge]) -> list[None]:
    """Forget agents: events and reminders go, and what waits for them is dead letters, but for the hive's own words.

    Of what they used the sums stay, without their names.
    """
    for item in items:
        usage.purge(connection, item.name)
        connection.execute(delete(_agents).where(_agents.c.name == item.name))
        deployments.purge(connection, item.name)
        approvals.purge(connection, item.name)
        for table in (_events, _holds, _crashes, _reminders, _schedules):
            connection.execute(delete(table).where(table.c.agent == item.name))
        waits = (_messages.c.recipient == item.name, _messages.c.state == "waiting")
        given_up = {"state": "discarded", "outcome": "discarded", "reason": item.reason, "settled_at": item.at}
        connection.execute(update(_messages).where(*waits, _messages.c.sender.in_(HIVES_OWN)).values(**given_up))
        connection.execute(update(_messages).where(*waits).values(state="dead", reason=item.reason, not_before=None))
    return [None] * len(items)


def _set(connection: Connection, name: str, **values: object) -> None:
    connection.execute(update(_agents).where(_agents.c.name == name).values(**values))
