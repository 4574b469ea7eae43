"""Deployments, with a series of ids of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hyperhive.store.types import BigId, UtcDateTime

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the table."""
    op.execute("INSERT INTO counters (name, value) VALUES ('deployment', 0)")
    op.create_table(
        "deployments",
        sa.Column("id", BigId, primary_key=True, autoincrement=False),
        sa.Column("approval_id", BigId),
        sa.Column("agent", sa.String(16), nullable=False),
        sa.Column("commit_hash", sa.String(64), nullable=False),
        sa.Column("system", sa.Text),
        sa.Column("base", sa.String(64)),
        sa.Column("step", sa.String(12), nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("begun_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime),
        sa.CheckConstraint(
            "step IN ('begun', 'switching', 'checking', 'keeping', 'reverting', 'deployed', 'failed')",
            name="step_known",
        ),
    )
    op.create_index("deployments_of_agent", "deployments", ["agent", "id"])
    op.create_index("deployments_of_approval", "deployments", ["approval_id"], unique=True)
