"""Statements about limits of accounts, and about which account an agent uses."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

from sqlalchemy import delete, insert, select, update

from hyperhive.store.tables import AccountLimitRow, AgentRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Table

_limits = cast("Table", AccountLimitRow.__table__)  # type: ignore[attr-defined]
_agents = cast("Table", AgentRow.__table__)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class AccountLimit:
    """A limit that an account has reached; see `tables.AccountLimitRow`."""

    account: str
    by: str
    instance: str | None
    since: datetime
    until: datetime
    problem: str


def list_limits(connection: Connection) -> list[AccountLimit]:
    """All that are known, also those that are over."""
    columns = (_limits.c[name] for name in AccountLimit.__slots__)
    return [AccountLimit(*row) for row in connection.execute(select(*columns))]


def change(connection: Connection, items: list[tuple[str, AccountLimit | None]]) -> list[None]:
    """Write the limit of each account, or that it has none; the later of two about the same one counts."""
    latest = dict(items)
    connection.execute(delete(_limits).where(_limits.c.account.in_(latest)))
    rows = [asdict(limit) for limit in latest.values() if limit is not None]
    if rows:
        connection.execute(insert(_limits), rows)
    return [None] * len(items)


def set_account(connection: Connection, items: list[tuple[str, str | None]]) -> list[None]:
    """Write which account each agent uses."""
    for name, account in dict(items).items():
        connection.execute(update(_agents).where(_agents.c.name == name).values(account=account))
    return [None] * len(items)
