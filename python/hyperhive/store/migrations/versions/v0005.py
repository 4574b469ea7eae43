"""Holds of agents that gave up too many messages, and crashes that the operator has not dismissed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hyperhive.store.types import BigId, UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "holds",
        sa.Column("agent", sa.String(16), primary_key=True),
        sa.Column("messages", sa.JSON, nullable=False),
        sa.Column("held_at", UtcDateTime),
        sa.Column("reason", sa.Text),
    )
    op.create_table(
        "crashes",
        sa.Column("agent", sa.String(16), primary_key=True),
        sa.Column("count", BigId, nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
