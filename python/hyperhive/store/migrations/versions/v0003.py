"""Questions, with a series of ids of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hyperhive.store.types import BigId, UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.execute("INSERT INTO counters (name, value) VALUES ('question', 0)")
    op.create_table(
        "questions",
        sa.Column("id", BigId, primary_key=True, autoincrement=False),
        sa.Column("asker", sa.String(16), nullable=False),
        sa.Column("recipient", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("multi", sa.Boolean, nullable=False),
        sa.Column("asked_at", UtcDateTime, nullable=False),
        sa.Column("deadline", UtcDateTime),
        sa.Column("fallback", sa.Text),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("ended_by", sa.String(16)),
        sa.Column("ended_at", UtcDateTime),
        sa.CheckConstraint("status IN ('open', 'answered', 'cancelled', 'expired')", name="status_known"),
    )
    op.create_index("questions_of_asker", "questions", ["asker", "status"])
    op.create_index("questions_in_state", "questions", ["status", "id"])
    op.create_index("questions_once", "questions", ["idempotency_key", "asker"], unique=True)
