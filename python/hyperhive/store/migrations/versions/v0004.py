"""Approvals, with a series of ids of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hyperhive.store.types import BigId, UtcDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table."""
    op.execute("INSERT INTO counters (name, value) VALUES ('approval', 0)")
    op.create_table(
        "approvals",
        sa.Column("id", BigId, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("agent", sa.String(16), nullable=False),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("requested_by", sa.String(16), nullable=False),
        sa.Column("requested_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("spec", sa.JSON),
        sa.Column("commit_hash", sa.String(64)),
        sa.Column("base_hash", sa.String(64)),
        sa.Column("diff", sa.Text),
        sa.Column("approved_hash", sa.String(64)),
        sa.Column("approved_diff", sa.Text),
        sa.Column("truncated", sa.Boolean, nullable=False),
        sa.Column("closure_diff", sa.Text),
        sa.Column("build", sa.JSON),
        sa.Column("stale", sa.Boolean, nullable=False),
        sa.Column("decided_by", sa.String(16)),
        sa.Column("decided_at", UtcDateTime),
        sa.Column("ended_at", UtcDateTime),
        sa.Column("reason", sa.Text),
        sa.Column("note", sa.Text),
        sa.Column("unfinished", sa.Boolean, nullable=False),
        sa.CheckConstraint("kind IN ('spawn', 'apply')", name="kind_known"),
        sa.CheckConstraint(
            "status IN ('building', 'pending', 'approved', 'deploying', 'deployed', 'denied', 'cancelled', 'expired', "
            "'failed')",
            name="status_known",
        ),
    )
    op.create_index("approvals_in_state", "approvals", ["status", "id"])
    op.create_index("approvals_of_agent", "approvals", ["agent", "status"])
    op.create_index("approvals_once", "approvals", ["idempotency_key", "requested_by"], unique=True)
