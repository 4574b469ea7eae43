"""Limits of accounts and who uses which; failed deployments that the operator has not dismissed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hyperhive.store.types import UtcDateTime

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the table, add the columns. What failed before stays dismissed."""
    op.create_table(
        "account_limits",
        sa.Column("account", sa.String(64), primary_key=True),
        sa.Column("by", sa.String(16), nullable=False),
        sa.Column("instance", sa.String(64)),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("until", UtcDateTime, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
    )
    op.add_column("agents", sa.Column("account", sa.String(64)))
    op.add_column("approvals", sa.Column("shown_since", UtcDateTime))
    op.add_column("deployments", sa.Column("shown_since", UtcDateTime))
