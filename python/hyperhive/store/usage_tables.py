"""The tables of what agents use, and of what is special about their budgets on a day."""

# No `from __future__ import annotations` here: SQLModel reads the annotations of its tables as objects.
from datetime import datetime

from sqlalchemy import Column, Index, String
from sqlmodel import Field, SQLModel

from hyperhive.store.types import BigId, UtcDateTime


class UsageTurnRow(SQLModel, table=True):
    """What one turn used, or something between two turns; kept for 90 days. The days have the sums."""

    __tablename__ = "usage_turns"
    __table_args__ = (Index("usage_turns_at", "at"),)

    agent: str = Field(sa_column=Column(String(16), primary_key=True))
    #: The harness process that reported it, and the report's number there: what is reported again counts once.
    instance: str = Field(sa_column=Column(String(64), primary_key=True))
    n: int = Field(sa_column=Column(BigId, primary_key=True, autoincrement=False))
    at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    day: str = Field(sa_column=Column(String(10), nullable=False))
    model: str = Field(sa_column=Column(String(128), nullable=False))
    #: 1 for a turn, 0 for what was used between turns, or refused before anything was used. `failed` and `lost` are 1
    #: for what was that.
    turns: int = Field(sa_column=Column(BigId, nullable=False))
    failed: int = Field(sa_column=Column(BigId, nullable=False))
    lost: int = Field(sa_column=Column(BigId, nullable=False))
    input_tokens: int = Field(sa_column=Column(BigId, nullable=False))
    output_tokens: int = Field(sa_column=Column(BigId, nullable=False))
    cache_read_tokens: int = Field(sa_column=Column(BigId, nullable=False))
    cache_write_tokens: int = Field(sa_column=Column(BigId, nullable=False))
    #: Millionths of a dollar, so that sums of many are exact.
    cost_micros: int = Field(sa_column=Column(BigId, nullable=False))
    context_tokens: int | None = Field(sa_column=Column(BigId))
    context_window: int | None = Field(sa_column=Column(BigId))
    duration_ms: int | None = Field(sa_column=Column(BigId))


class UsageDayRow(SQLModel, table=True):
    """What one agent used on one day with one model; kept for ever. What was purged is summed up under `(purged)`."""

    __tablename__ = "usage_days"

    #: YYYY-MM-DD in the hive's time zone.
    day: str = Field(sa_column=Column(String(10), primary_key=True))
    agent: str = Field(sa_column=Column(String(16), primary_key=True))
    model: str = Field(sa_column=Column(String(128), primary_key=True))
    turns: int = Field(sa_column=Column(BigId, nullable=False))
    failed: int = Field(sa_column=Column(BigId, nullable=False))
    lost: int = Field(sa_column=Column(BigId, nullable=False))
    input_tokens: int = Field(sa_column=Column(BigId, nullable=False))
    output_tokens: int = Field(sa_column=Column(BigId, nullable=False))
    cache_read_tokens: int = Field(sa_column=Column(BigId, nullable=False))
    cache_write_tokens: int = Field(sa_column=Column(BigId, nullable=False))
    cost_micros: int = Field(sa_column=Column(BigId, nullable=False))


class BudgetDayRow(SQLModel, table=True):
    """What is special about one budget on one day: it ends with the day, and the row follows it soon."""

    __tablename__ = "budget_days"

    day: str = Field(sa_column=Column(String(10), primary_key=True))
    #: An agent, or `*` for the hive.
    scope: str = Field(sa_column=Column(String(16), primary_key=True))
    #: What the operator allows today instead of what the settings say.
    cost_micros: int | None = Field(sa_column=Column(BigId))
    tokens: int | None = Field(sa_column=Column(BigId))
    turns: int | None = Field(sa_column=Column(BigId))
    #: When it was warned that little is left, when the operator took that away, and when nothing was left.
    warned_at: datetime | None = Field(sa_column=Column(UtcDateTime))
    dismissed_at: datetime | None = Field(sa_column=Column(UtcDateTime))
    over_at: datetime | None = Field(sa_column=Column(UtcDateTime))
