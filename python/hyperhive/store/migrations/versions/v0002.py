"""Why an agent is a tombstone: one that the operator destroyed does not come back because it is still declared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the cause; what was a tombstone so far had left the settings."""
    with op.batch_alter_table("agents") as agents:
        agents.add_column(sa.Column("tombstone_cause", sa.String(12)))
        agents.create_check_constraint("tombstone_cause_known", "tombstone_cause IN ('undeclared', 'destroyed')")
    op.execute("UPDATE agents SET tombstone_cause = 'undeclared' WHERE tombstone_at IS NOT NULL")
