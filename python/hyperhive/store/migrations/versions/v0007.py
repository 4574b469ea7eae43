"""Reminders, with a series of ids of their own, and how far declared schedules have come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hyperhive.store.types import BigId, UtcDateTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables."""
    op.execute("INSERT INTO counters (name, value) VALUES ('reminder', 0)")
    op.create_table(
        "reminders",
        sa.Column("id", BigId, primary_key=True, autoincrement=False),
        sa.Column("agent", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("made_at", UtcDateTime, nullable=False),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("ended_at", UtcDateTime),
        sa.Column("ended_by", sa.String(16)),
        sa.Column("message", BigId),
        sa.CheckConstraint("status IN ('pending', 'fired', 'cancelled')", name="status_known"),
    )
    op.create_index("reminders_of_agent", "reminders", ["agent", "status"])
    op.create_index("reminders_in_state", "reminders", ["status", "id"])
    op.create_index("reminders_once", "reminders", ["idempotency_key", "agent"], unique=True)
    op.create_table(
        "schedules",
        sa.Column("agent", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("last_at", UtcDateTime),
        sa.Column("message", BigId),
    )
