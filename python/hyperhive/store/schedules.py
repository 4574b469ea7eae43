"""Statements about declared schedules: how far each has come.

One is sent in the transaction in which its row says so: so each time comes once, whenever the hive is killed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import and_, delete, insert, select, update

from hyperhive.store.messages import Accepted, NewMessage, insert_messages
from hyperhive.store.tables import ScheduleRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Table

_schedules = cast("Table", ScheduleRow.__table__)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Declared:
    """Every schedule that the settings declare: its rule by agent and name."""

    rules: dict[tuple[str, str], str]
    at: datetime


@dataclass(frozen=True, slots=True)
class Firing:
    """The time of one schedule has come, if nobody was quicker: it was last sent at `last_at`."""

    agent: str
    name: str
    rule: str
    last_at: datetime | None
    at: datetime
    message: NewMessage = field(repr=False)


@dataclass(frozen=True, slots=True)
class Fired:
    """A schedule that was sent, as it is now."""

    row: Row[Any]
    message: tuple[NewMessage, Accepted]


def declare(connection: Connection, items: list[Declared]) -> list[Sequence[Row[Any]]]:
    """Bring the rows to what is declared: new ones, those that start anew with another rule, those that went."""
    found: list[Sequence[Row[Any]]] = []
    for item in items:
        known = {(row.agent, row.name): row for row in _all(connection)}
        for (agent, name), rule in item.rules.items():
            row = known.get((agent, name))
            if row is None:
                values = {"agent": agent, "name": name, "rule": rule, "since": item.at}
                connection.execute(insert(_schedules).values(values))
            elif row.rule != rule:
                anew = update(_schedules).where(_is(agent, name))
                connection.execute(anew.values(rule=rule, since=item.at, last_at=None, message=None))
        for agent, name in known.keys() - item.rules.keys():
            connection.execute(delete(_schedules).where(_is(agent, name)))
        found.append(_all(connection))
    return found


def fire(connection: Connection, items: list[Firing]) -> list[Fired | None]:
    """Send schedules; None where it was sent, changed or taken away meanwhile."""
    return [_fire(connection, item) for item in items]


def _fire(connection: Connection, item: Firing) -> Fired | None:
    same = and_(
        _is(item.agent, item.name),
        _schedules.c.rule == item.rule,
        _schedules.c.last_at.is_not_distinct_from(item.last_at),
    )
    if connection.execute(update(_schedules).where(same).values(last_at=item.at)).rowcount == 0:
        return None
    accepted = insert_messages(connection, [item.message])[0]
    sent = update(_schedules).where(_is(item.agent, item.name)).values(message=accepted.ids[0])
    row = connection.execute(sent.returning(*_schedules.c)).one()
    return Fired(row, (item.message, accepted))


def _is(agent: str, name: str) -> Any:  # noqa: ANN401 - a condition
    return and_(_schedules.c.agent == agent, _schedules.c.name == name)


def _all(connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(select(_schedules).order_by(_schedules.c.agent, _schedules.c.name)).all()
