"""What is done is found by when it was done, so that dropping the old of it need not look at all messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the index."""
    done = sa.text("settled_at IS NOT NULL")
    op.create_index("messages_done", "messages", ["settled_at"], sqlite_where=done, postgresql_where=done)
