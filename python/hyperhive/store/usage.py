"""Statements about what turns used: each turn once, and with it the sums of its day, which outlive it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import and_, delete, func, insert, select, tuple_, update

from hyperhive.store import audit
from hyperhive.store.usage_tables import BudgetDayRow, UsageDayRow, UsageTurnRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Table

    from hyperhive.store.audit import AuditEntry

_turns = cast("Table", UsageTurnRow.__table__)  # type: ignore[attr-defined]
_days = cast("Table", UsageDayRow.__table__)  # type: ignore[attr-defined]
_budgets = cast("Table", BudgetDayRow.__table__)  # type: ignore[attr-defined]

#: Under what the days of purged agents are summed up: no agent can be called so.
PURGED: Final = "(purged)"


@dataclass(frozen=True, slots=True)
class Sums:
    """What was used; `cost_micros` are millionths of a dollar. `lost` turns are those that nobody reported."""

    turns: int = 0
    failed: int = 0
    lost: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_micros: int = 0

    def __add__(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(*(getattr(self, name) + getattr(other, name) for name in SUMMED))


SUMMED: Final = tuple(field.name for field in fields(Sums))


@dataclass(frozen=True, slots=True)
class Used:
    """What an agent used in a turn or between two, as one report of one harness process says."""

    agent: str
    instance: str
    n: int
    at: datetime
    day: str
    model: str
    sums: Sums
    context_tokens: int | None = None
    context_window: int | None = None
    duration_ms: int | None = None


def record(connection: Connection, items: list[Used]) -> list[bool]:
    """Write what was used, each report once; whether it was new."""
    return [_record(connection, item) for item in items]


def _record(connection: Connection, item: Used) -> bool:
    once = (_turns.c.agent == item.agent, _turns.c.instance == item.instance, _turns.c.n == item.n)
    if connection.execute(select(_turns.c.n).where(*once)).first() is not None:
        return False
    said = {field.name: getattr(item, field.name) for field in fields(item) if field.name != "sums"}
    connection.execute(insert(_turns).values(**said, **asdict(item.sums)))
    add_to_day(connection, item.day, item.agent, item.model, item.sums)
    return True


def add_to_day(connection: Connection, day: str, agent: str, model: str, sums: Sums) -> None:
    """Add to the sums of an agent's day."""
    which = {"day": day, "agent": agent, "model": model}
    added = {name: _days.c[name] + getattr(sums, name) for name in SUMMED}
    here = and_(*(_days.c[name] == value for name, value in which.items()))
    if not connection.execute(update(_days).where(here).values(**added)).rowcount:
        connection.execute(insert(_days).values(**which, **asdict(sums)))


def totals(connection: Connection) -> Sequence[Row[Any]]:
    """The sums of all days, by agent and model."""
    sums = [func.sum(_days.c[name]).label(name) for name in SUMMED]
    return connection.execute(select(_days.c.agent, _days.c.model, *sums).group_by(_days.c.agent, _days.c.model)).all()


def days(connection: Connection, since: str, agent: str | None = None) -> Sequence[Row[Any]]:
    """The days from `since` on, newest first; of one agent, or of all."""
    statement = select(_days).where(_days.c.day >= since)
    if agent is not None:
        statement = statement.where(_days.c.agent == agent)
    return connection.execute(statement.order_by(_days.c.day.desc(), _days.c.agent, _days.c.model)).all()


def newest(connection: Connection) -> Sequence[Row[Any]]:
    """The last thing that was reported of each agent, as far as it is still kept: how full its context was."""
    last = select(_turns.c.agent, func.max(_turns.c.at).label("at")).where(_turns.c.lost == 0).group_by(_turns.c.agent)
    found = last.subquery()
    joined = _turns.join(found, and_(_turns.c.agent == found.c.agent, _turns.c.at == found.c.at))
    return connection.execute(select(_turns).select_from(joined).order_by(_turns.c.n)).all()


@dataclass(frozen=True, slots=True)
class BudgetDay:
    """What is special about a budget on one day; see `tables.BudgetDayRow`."""

    day: str
    scope: str
    cost_micros: int | None = None
    tokens: int | None = None
    turns: int | None = None
    warned_at: datetime | None = None
    dismissed_at: datetime | None = None
    over_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BudgetChange:
    """What is different about a budget on a day from now on, by column, and who decided it."""

    day: str
    scope: str
    values: dict[str, Any]
    audit: AuditEntry | None = None


def change_budget_days(connection: Connection, items: list[BudgetChange]) -> list[None]:
    """Write changes. What a change does not name stays: what the hive notes does not undo what the operator sets."""
    for item in items:
        here = (_budgets.c.day == item.day, _budgets.c.scope == item.scope)
        if not connection.execute(update(_budgets).where(*here).values(**item.values)).rowcount:
            connection.execute(insert(_budgets).values(day=item.day, scope=item.scope, **item.values))
        if item.audit is not None:
            audit.append(connection, [item.audit])
    return [None] * len(items)


def budget_days(connection: Connection, day: str) -> list[BudgetDay]:
    """What is special about budgets on a day."""
    rows = connection.execute(select(_budgets).where(_budgets.c.day == day)).all()
    return [BudgetDay(*(getattr(row, field.name) for field in fields(BudgetDay))) for row in rows]


def drop_old(connection: Connection, items: list[tuple[datetime, int]]) -> list[int]:
    """Drop what was used in single turns before an instant, at most so many of them at a time."""
    which = (_turns.c.agent, _turns.c.instance, _turns.c.n)
    dropped = []
    for before, most in items:
        old = select(*which).where(_turns.c.at < before).order_by(_turns.c.at).limit(most)
        dropped.append(connection.execute(delete(_turns).where(tuple_(*which).in_(old))).rowcount)
    return dropped


def drop_budget_days(connection: Connection, items: list[str]) -> list[None]:
    """Drop what was special about budgets on the days before one."""
    for day in items:
        connection.execute(delete(_budgets).where(_budgets.c.day < day))
    return [None] * len(items)


def purge(connection: Connection, agent: str) -> None:
    """Forget what an agent used, but not that it was used: its days go into the sums of all that were purged."""
    for row in connection.execute(select(_days).where(_days.c.agent == agent)).all():
        add_to_day(connection, row.day, PURGED, row.model, Sums(*(getattr(row, name) for name in SUMMED)))
    connection.execute(delete(_days).where(_days.c.agent == agent))
    connection.execute(delete(_turns).where(_turns.c.agent == agent))
    connection.execute(delete(_budgets).where(_budgets.c.scope == agent))
