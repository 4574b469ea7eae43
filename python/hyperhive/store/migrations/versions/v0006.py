"""What agents that are made at run time are made of, and whether an agent was logged in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("agents") as agents:
        agents.add_column(sa.Column("description", sa.Text))
        agents.add_column(sa.Column("model", sa.String(128)))
        agents.add_column(sa.Column("prompt", sa.Text))
        agents.add_column(sa.Column("logged_in", sa.Boolean))
