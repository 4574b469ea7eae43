"""The first schema: counters, messages, agents, events, audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hyperhive.store.types import BigId, UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    counters = op.create_table(
        "counters",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", BigId, nullable=False),
    )
    op.bulk_insert(counters, [{"name": name, "value": 0} for name in ("message", "event", "audit")])
    _messages()
    op.create_table(
        "agents",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("origin", sa.String(12), nullable=False),
        sa.Column("wanted", sa.String(12), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("tombstone_at", UtcDateTime),
        sa.CheckConstraint("wanted IN ('running', 'stopped', 'paused')", name="wanted_known"),
        sa.CheckConstraint("origin IN ('declared', 'spawned')", name="origin_known"),
    )
    _events()
    op.create_table(
        "audit",
        sa.Column("id", BigId, primary_key=True, autoincrement=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("actor", sa.String(32), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text),
    )


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", BigId, primary_key=True, autoincrement=False),
        sa.Column("sender", sa.String(16), nullable=False),
        sa.Column("recipient", sa.String(16), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("sent_at", UtcDateTime, nullable=False),
        sa.Column("in_reply_to", BigId),
        sa.Column("broadcast_id", BigId),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("deliveries", BigId, nullable=False),
        sa.Column("failures", BigId, nullable=False),
        sa.Column("not_before", UtcDateTime),
        sa.Column("outcome", sa.String(12)),
        sa.Column("reason", sa.Text),
        sa.Column("settled_at", UtcDateTime),
        sa.CheckConstraint("state IN ('waiting', 'settled', 'dead', 'discarded')", name="state_known"),
    )
    op.create_index("messages_of_recipient", "messages", ["recipient", "state", "id"])
    op.create_index("messages_of_sender", "messages", ["sender", "id"])
    op.create_index("messages_once", "messages", ["idempotency_key", "sender", "recipient"], unique=True)


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("seq", BigId, primary_key=True, autoincrement=False),
        sa.Column("agent", sa.String(16), nullable=False),
        sa.Column("instance", sa.String(64), nullable=False),
        sa.Column("n", BigId, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("turn", BigId),
        sa.Column("data", sa.JSON, nullable=False),
    )
    op.create_index("events_of_agent", "events", ["agent", "seq"])
    op.create_index("events_once", "events", ["agent", "instance", "n"], unique=True)
