"""The tables. Each state is explained where it stands, with the transitions that lead out of it.

Ids come from `counters`, in the transaction that uses them: they are never used again, not even after a row was
dropped, and with several hives on one PostgreSQL they are given in the order of the commits.
"""

# No `from __future__ import annotations` here: SQLModel reads the annotations of its tables as objects.
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import JSON, Boolean, CheckConstraint, Column, Index, String, Text, text
from sqlmodel import Field, SQLModel

from hyperhive.store.types import BigId, UtcDateTime

#: Version of the schema that this code speaks; the newest file in `migrations/versions`.
SCHEMA: Final = "0012"

MessageState = Literal[
    # accepted, not done. Handed out or not is known to the broker; → settled, dead
    "waiting",
    # its turn ended well, or was cancelled, or the operator acked it; the end. `outcome` says which
    "settled",
    # it failed too often, or its recipient was purged; kept and shown. → waiting (requeue), discarded
    "dead",
    # a dead letter that the operator gave up; the end
    "discarded",
]

WantedState = Literal[
    # its harness should run; → stopped (operator, manager, declaration), paused (operator)
    "running",
    # its harness should not run; → running
    "stopped",
    # its harness runs and takes no messages; → running (resume), stopped
    "paused",
]

AgentOrigin = Literal[
    # from the settings; a tombstone once it is not there any more
    "declared",
    # made at run time
    "spawned",
]

TombstoneCause = Literal[
    # its declaration went away; → no tombstone, once it is declared again
    "undeclared",
    # the operator destroyed it; → no tombstone (revive), undeclared
    "destroyed",
]

ReminderState = Literal[
    # its instant has not come, or its agent cannot be written to; → fired, cancelled
    "pending",
    # it was sent, in the same transaction as its message; the end
    "fired",
    # by its agent or by the operator; the end
    "cancelled",
]

QuestionState = Literal[
    # asked, and nobody has said anything; → answered, cancelled, expired. Each end is written with its message
    "open",
    # by the one who was asked or by the operator; the end
    "answered",
    # by the asker or by the operator, also because one of the two agents was purged; the end
    "cancelled",
    # its deadline passed; the end. `answer` is the default that was declared, if one was
    "expired",
]

ApprovalKind = Literal[
    # a new agent
    "spawn",
    # a commit of an agent's configuration
    "apply",
]

# Which transitions there are stands in `hive/approval_rules.py`, and nowhere else.
ApprovalState = Literal[
    # its commit is built, before anybody is asked: for the first time, or anew because what runs is another one by now
    "building",
    # it waits for the operator
    "pending",
    # the operator said yes; what was approved is not being done yet
    "approved",
    # it is being done: the agent is made, or the built system is put in and has to prove that it works
    "deploying",
    # it is done; the end
    "deployed",
    # the operator said no; the end
    "denied",
    # whoever asked does not want it any more; the end
    "cancelled",
    # nobody decided in time; the end
    "expired",
    # its commit does not build, what was approved did not work, or its agent's state is gone; the end
    "failed",
]

DeployStep = Literal[
    # it was approved, nothing was done; → switching, keeping (nothing was built, so nothing is switched)
    "begun",
    # its system is what the agent should run on, and it is brought to it when its turn ended; → checking, reverting
    "switching",
    # the agent was brought to it, and its harness has to connect; → keeping, reverting
    "checking",
    # it works: its tag is set and `main` moved forward; → deployed
    "keeping",
    # it does not: the system before is what the agent should run on, and it is brought back to that; → failed
    "reverting",
    # the end
    "deployed",
    # the end; `error` says why
    "failed",
]


def _one_of(column: str, literal: Any) -> CheckConstraint:  # noqa: ANN401 - a Literal has no type of its own
    values = ", ".join(f"'{value}'" for value in literal.__args__)
    return CheckConstraint(f"{column} IN ({values})", name=f"{column}_known")


_IS_DONE: Final = text("settled_at IS NOT NULL")


class CounterRow(SQLModel, table=True):
    """The last id given in one series."""

    __tablename__ = "counters"

    name: str = Field(sa_column=Column(String(32), primary_key=True))
    value: int = Field(sa_column=Column(BigId, nullable=False))


class MessageRow(SQLModel, table=True):
    """A message, one row a recipient."""

    __tablename__ = "messages"
    __table_args__ = (
        _one_of("state", MessageState),
        Index("messages_of_recipient", "recipient", "state", "id"),
        Index("messages_of_sender", "sender", "id"),
        # The key first: it is looked up for a batch of sends at once, and hardly two senders have the same.
        Index("messages_once", "idempotency_key", "sender", "recipient", unique=True),
        # Of what is done alone, so that a send need not write it.
        Index("messages_done", "settled_at", sqlite_where=_IS_DONE, postgresql_where=_IS_DONE),
    )

    id: int = Field(sa_column=Column(BigId, primary_key=True, autoincrement=False))
    sender: str = Field(sa_column=Column(String(16), nullable=False))
    recipient: str = Field(sa_column=Column(String(16), nullable=False))
    body: str = Field(sa_column=Column(Text, nullable=False))
    sent_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    in_reply_to: int | None = Field(sa_column=Column(BigId))
    #: Id of the first message of a fan-out, on each of its messages.
    broadcast_id: int | None = Field(sa_column=Column(BigId))
    idempotency_key: str | None = Field(sa_column=Column(String(200)))
    state: str = Field(sa_column=Column(String(12), nullable=False))
    #: How often it was handed out.
    deliveries: int = Field(sa_column=Column(BigId, nullable=False))
    #: How many turns it failed, counted towards a dead letter.
    failures: int = Field(sa_column=Column(BigId, nullable=False))
    #: Not handed out again before this instant.
    not_before: datetime | None = Field(sa_column=Column(UtcDateTime))
    outcome: str | None = Field(sa_column=Column(String(12)))
    reason: str | None = Field(sa_column=Column(Text))
    settled_at: datetime | None = Field(sa_column=Column(UtcDateTime))


class AgentRow(SQLModel, table=True):
    """An agent, and what is wanted for it."""

    __tablename__ = "agents"
    __table_args__ = (
        _one_of("wanted", WantedState),
        _one_of("origin", AgentOrigin),
        _one_of("tombstone_cause", TombstoneCause),
    )

    name: str = Field(sa_column=Column(String(16), primary_key=True))
    origin: str = Field(sa_column=Column(String(12), nullable=False))
    wanted: str = Field(sa_column=Column(String(12), nullable=False))
    created_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    #: Set when it was destroyed or its declaration went away; its directories are kept.
    tombstone_at: datetime | None = Field(sa_column=Column(UtcDateTime))
    tombstone_cause: str | None = Field(sa_column=Column(String(12)))
    #: Of one that was made at run time: what it is for, and what its settings are. A declaration's win over these.
    description: str | None = Field(sa_column=Column(Text))
    model: str | None = Field(sa_column=Column(String(128)))
    prompt: str | None = Field(sa_column=Column(Text))
    #: Whether its Claude was logged in when its harness spoke of it last; null before it ever did.
    logged_in: bool | None = Field(sa_column=Column(Boolean))
    #: Stands for the account that it used when its harness spoke of it last.
    account: str | None = Field(sa_column=Column(String(64)))


class HoldRow(SQLModel, table=True):
    """Dead letters of an agent since a turn of it ended well last; after three of them it is held.

    There is no row for an agent without any. A row without `held_at` → none (a message is settled), held. One with it →
    none (the operator resumes, starts or revives the agent, or purges it); a destroyed agent keeps it.
    """

    __tablename__ = "holds"

    agent: str = Field(sa_column=Column(String(16), primary_key=True))
    #: Ids of the messages, each once, in the order in which they were given up.
    messages: list[int] = Field(sa_column=Column(JSON, nullable=False))
    held_at: datetime | None = Field(sa_column=Column(UtcDateTime))
    #: Why the last of them failed.
    reason: str | None = Field(sa_column=Column(Text))


class CrashRow(SQLModel, table=True):
    """Crashes of an agent that the operator has not dismissed."""

    __tablename__ = "crashes"

    agent: str = Field(sa_column=Column(String(16), primary_key=True))
    count: int = Field(sa_column=Column(BigId, nullable=False))
    #: The first of them, and why the last one was.
    since: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    reason: str = Field(sa_column=Column(Text, nullable=False))


class AccountLimitRow(SQLModel, table=True):
    """A limit that an account has reached, until it is over, or an agent that tried has been answered."""

    __tablename__ = "account_limits"

    #: As `AgentRow.account`.
    account: str = Field(sa_column=Column(String(64), primary_key=True))
    #: Who ran into it, and in which harness process.
    by: str = Field(sa_column=Column(String(16), nullable=False))
    instance: str | None = Field(sa_column=Column(String(64)))
    since: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    until: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    problem: str = Field(sa_column=Column(Text, nullable=False))


class EventRow(SQLModel, table=True):
    """What happened in an agent's turns; the newest 2,000 an agent are kept."""

    __tablename__ = "events"
    __table_args__ = (
        Index("events_of_agent", "agent", "seq"),
        Index("events_once", "agent", "instance", "n", unique=True),
    )

    seq: int = Field(sa_column=Column(BigId, primary_key=True, autoincrement=False))
    agent: str = Field(sa_column=Column(String(16), nullable=False))
    #: The harness process that reported it, and its number there.
    instance: str = Field(sa_column=Column(String(64), nullable=False))
    n: int = Field(sa_column=Column(BigId, nullable=False))
    at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    kind: str = Field(sa_column=Column(String(16), nullable=False))
    turn: int | None = Field(sa_column=Column(BigId))
    data: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))


class ReminderRow(SQLModel, table=True):
    """A message that an agent sends to itself later; dropped 30 days after its end."""

    __tablename__ = "reminders"
    __table_args__ = (
        _one_of("status", ReminderState),
        Index("reminders_of_agent", "agent", "status"),
        Index("reminders_in_state", "status", "id"),
        Index("reminders_once", "idempotency_key", "agent", unique=True),
    )

    id: int = Field(sa_column=Column(BigId, primary_key=True, autoincrement=False))
    agent: str = Field(sa_column=Column(String(16), nullable=False))
    text: str = Field(sa_column=Column(Text, nullable=False))
    made_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    due_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    idempotency_key: str | None = Field(sa_column=Column(String(200)))
    status: str = Field(sa_column=Column(String(12), nullable=False))
    ended_at: datetime | None = Field(sa_column=Column(UtcDateTime))
    #: Who cancelled it.
    ended_by: str | None = Field(sa_column=Column(String(16)))
    #: What it became when it was sent.
    message: int | None = Field(sa_column=Column(BigId))


class ScheduleRow(SQLModel, table=True):
    """How far a declared schedule has come. What it says stands in the settings; without that, there is no row."""

    __tablename__ = "schedules"

    agent: str = Field(sa_column=Column(String(16), primary_key=True))
    name: str = Field(sa_column=Column(String(32), primary_key=True))
    #: When it comes, in one line; another one, and it starts anew.
    rule: str = Field(sa_column=Column(Text, nullable=False))
    #: When the hive first saw this rule.
    since: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    #: When it was last sent; what came due up to then is done with.
    last_at: datetime | None = Field(sa_column=Column(UtcDateTime))
    #: What it was sent as.
    message: int | None = Field(sa_column=Column(BigId))


class QuestionRow(SQLModel, table=True):
    """A question of an agent to another or to the operator; kept for ever."""

    __tablename__ = "questions"
    __table_args__ = (
        _one_of("status", QuestionState),
        Index("questions_of_asker", "asker", "status"),
        Index("questions_in_state", "status", "id"),
        Index("questions_once", "idempotency_key", "asker", unique=True),
    )

    id: int = Field(sa_column=Column(BigId, primary_key=True, autoincrement=False))
    asker: str = Field(sa_column=Column(String(16), nullable=False))
    recipient: str = Field(sa_column=Column(String(16), nullable=False))
    text: str = Field(sa_column=Column(Text, nullable=False))
    options: list[str] = Field(sa_column=Column(JSON, nullable=False))
    #: Whether several of the options may be chosen.
    multi: bool = Field(sa_column=Column(Boolean, nullable=False))
    asked_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    deadline: datetime | None = Field(sa_column=Column(UtcDateTime))
    #: What holds when nobody has answered by the deadline.
    fallback: str | None = Field(sa_column=Column(Text))
    idempotency_key: str | None = Field(sa_column=Column(String(200)))
    status: str = Field(sa_column=Column(String(12), nullable=False))
    answer: str | None = Field(sa_column=Column(Text))
    #: Who ended it, and when; nobody, where it expired.
    ended_by: str | None = Field(sa_column=Column(String(16)))
    ended_at: datetime | None = Field(sa_column=Column(UtcDateTime))


class ApprovalRow(SQLModel, table=True):
    """Something that needs the operator's yes; kept for ever."""

    __tablename__ = "approvals"
    __table_args__ = (
        _one_of("kind", ApprovalKind),
        _one_of("status", ApprovalState),
        Index("approvals_in_state", "status", "id"),
        Index("approvals_of_agent", "agent", "status"),
        Index("approvals_once", "idempotency_key", "requested_by", unique=True),
    )

    id: int = Field(sa_column=Column(BigId, primary_key=True, autoincrement=False))
    kind: str = Field(sa_column=Column(String(8), nullable=False))
    agent: str = Field(sa_column=Column(String(16), nullable=False))
    status: str = Field(sa_column=Column(String(12), nullable=False))
    requested_by: str = Field(sa_column=Column(String(16), nullable=False))
    requested_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    expires_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    description: str | None = Field(sa_column=Column(Text))
    idempotency_key: str | None = Field(sa_column=Column(String(200)))
    #: Of a spawn: what the agent would be.
    spec: dict[str, Any] | None = Field(sa_column=Column(JSON(none_as_null=True)))
    #: Of a commit: its whole hash, the one of what ran when it was compared last, and how the two differ.
    commit_hash: str | None = Field(sa_column=Column(String(64)))
    base_hash: str | None = Field(sa_column=Column(String(64)))
    diff: str | None = Field(sa_column=Column(Text))
    #: All files that it changes, as `shapes.FileRow`.
    files: list[dict[str, Any]] | None = Field(sa_column=Column(JSON(none_as_null=True)))
    #: The commit that was approved last, where it is not what runs, and how this one differs from it.
    approved_hash: str | None = Field(sa_column=Column(String(64)))
    approved_diff: str | None = Field(sa_column=Column(Text))
    #: Whether a diff is not shown whole.
    truncated: bool = Field(sa_column=Column(Boolean, nullable=False))
    closure_diff: str | None = Field(sa_column=Column(Text))
    #: What building it gave, as `shapes.BuildRow`.
    build: dict[str, Any] | None = Field(sa_column=Column(JSON(none_as_null=True)))
    #: Whether what runs has changed since it was asked for.
    stale: bool = Field(sa_column=Column(Boolean, nullable=False))
    #: Who decided, and when; nobody, where it expired or never came to a decision.
    decided_by: str | None = Field(sa_column=Column(String(16)))
    decided_at: datetime | None = Field(sa_column=Column(UtcDateTime))
    ended_at: datetime | None = Field(sa_column=Column(UtcDateTime))
    #: Why it ended as it did, or was approved, in the words of whoever decided or of the hive.
    reason: str | None = Field(sa_column=Column(Text))
    #: What else the hive has to say about it.
    note: str | None = Field(sa_column=Column(Text))
    #: Whether what follows its last transition (a tag, a word to the manager) is still to be done.
    unfinished: bool = Field(sa_column=Column(Boolean, nullable=False))
    #: Since when the operator is shown that what he approved has failed; null once he has dismissed it.
    shown_since: datetime | None = Field(sa_column=Column(UtcDateTime))


class DeploymentRow(SQLModel, table=True):
    """A commit of an agent's configuration on its way to what the agent runs on.

    What an agent runs on is the system of its newest row that does not fail: step and system change in one statement.
    """

    __tablename__ = "deployments"
    __table_args__ = (
        _one_of("step", DeployStep),
        Index("deployments_of_agent", "agent", "id"),
        Index("deployments_of_approval", "approval_id", unique=True),
    )

    id: int = Field(sa_column=Column(BigId, primary_key=True, autoincrement=False))
    #: None where the same commit was built anew, on what the host was upgraded to.
    approval_id: int | None = Field(sa_column=Column(BigId))
    agent: str = Field(sa_column=Column(String(16), nullable=False))
    commit_hash: str = Field(sa_column=Column(String(64), nullable=False))
    #: Store path; None where nothing was built.
    system: str | None = Field(sa_column=Column(Text))
    #: A word for all that the system was built with beside the commit; another one means that it has to be built anew.
    base: str | None = Field(sa_column=Column(String(64)))
    step: str = Field(sa_column=Column(String(12), nullable=False))
    error: str | None = Field(sa_column=Column(Text))
    begun_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    ended_at: datetime | None = Field(sa_column=Column(UtcDateTime))
    #: Of one without an approval: since when the operator is shown that it has failed; null once he has dismissed it.
    shown_since: datetime | None = Field(sa_column=Column(UtcDateTime))


class AuditRow(SQLModel, table=True):
    """Who decided what, when and why. Append-only: no statement here changes or drops a row of it."""

    __tablename__ = "audit"

    id: int = Field(sa_column=Column(BigId, primary_key=True, autoincrement=False))
    at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    actor: str = Field(sa_column=Column(String(32), nullable=False))
    action: str = Field(sa_column=Column(String(32), nullable=False))
    subject: str = Field(sa_column=Column(String(64), nullable=False))
    detail: str | None = Field(sa_column=Column(Text))
