"""What turns used, the sums of each day, and what the operator allowed on one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hyperhive.store.types import BigId, UtcDateTime

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "usage_turns",
        sa.Column("agent", sa.String(16), primary_key=True),
        sa.Column("instance", sa.String(64), primary_key=True),
        sa.Column("n", BigId, primary_key=True, autoincrement=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        *_sums(),
        sa.Column("context_tokens", BigId),
        sa.Column("context_window", BigId),
        sa.Column("duration_ms", BigId),
    )
    op.create_index("usage_turns_at", "usage_turns", ["at"])
    op.create_table(
        "usage_days",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("agent", sa.String(16), primary_key=True),
        sa.Column("model", sa.String(128), primary_key=True),
        *_sums(),
    )
    op.create_table(
        "budget_days",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("scope", sa.String(16), primary_key=True),
        sa.Column("cost_micros", BigId),
        sa.Column("tokens", BigId),
        sa.Column("turns", BigId),
        sa.Column("warned_at", UtcDateTime),
        sa.Column("dismissed_at", UtcDateTime),
        sa.Column("over_at", UtcDateTime),
    )


def _sums() -> list[sa.Column[int]]:
    names = (
        *("turns", "failed", "lost"),
        *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost_micros"),
    )
    return [sa.Column(name, BigId, nullable=False) for name in names]
