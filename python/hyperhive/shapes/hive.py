"""The hive as a whole: snapshots, the stream, what waits for the operator, and the audit log."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from hyperhive.clock import Instant
from hyperhive.shapes.agents import AgentRow
from hyperhive.shapes.approvals import ApprovalRow
from hyperhive.shapes.messages import MessageRow
from hyperhive.shapes.questions import QuestionRow
from hyperhive.shapes.usage import HiveUsage
from hyperhive.wire import Answer, OperatorInfo

StreamType = Literal[
    "agent",
    "message",
    "event",
    "approval",
    "question",
    "reminder",
    "waiting",
    "operation",
    "warnings",
    "usage",
    "resync",
]
"""What `StreamEvent.type` says."""


class WaitingItem(Answer):
    """Something that waits for the operator. `ref` names what it is about: a message's id, an agent."""

    id: str
    kind: str
    title: str
    since: Instant
    agent: str | None = None
    deadline: Instant | None = None
    ref: str | int | None = None


class AuditRow(Answer):
    """Who decided what, when and why."""

    id: int
    at: Instant
    actor: str
    action: str
    subject: str
    detail: str | None = None


class HiveInfo(Answer):
    """The hive itself."""

    name: str
    version: str
    runtime: str
    started_at: Instant | None = None
    state_dir: str | None = None
    metrics_token_file: str | None = None


class StateSnapshot(Answer):
    """`GET /api/state`: everything at the instant `seq`; the stream goes on from there.

    `questions` and `approvals` are those that are open, the latter with the beginning of long diffs and logs.
    """

    epoch: str
    seq: int
    hive: HiveInfo
    operator: OperatorInfo
    agents: list[AgentRow]
    messages: list[MessageRow]
    waiting: list[WaitingItem]
    questions: list[QuestionRow] = Field(default_factory=list)
    approvals: list[ApprovalRow] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    usage: HiveUsage = Field(default_factory=HiveUsage)


class PageSnapshot(Answer):
    """`GET /api/agents/{n}/state`: what the agent's page shows at the instant `seq`, and nothing of other agents."""

    epoch: str
    seq: int
    hive: HiveInfo
    operator: OperatorInfo
    agent: AgentRow
    messages: list[MessageRow]
    questions: list[QuestionRow] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)


class StreamEvent(Answer):
    """One change, from `GET /api/stream`.

    `data` is what changed, whole: an `AgentRow`, a `MessageRow`, an `EventRow`, a `QuestionRow`, an `ApprovalRow`, a
    `ReminderRow`, an `OperationRow`, for `usage` a `HiveUsage`, for `waiting` `{"waiting": [WaitingItem…]}`, for
    `warnings` `{"warnings": [str…]}`. An agent that is none any more comes as `{"name", "removed": true}`. `resync`
    carries nothing: what came before is not known any more; read `/api/state` again.
    """

    type: str
    seq: int = 0
    epoch: str = ""
    at: Instant | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class WaitingAnswer(Answer):
    """`GET /api/waiting`, oldest first."""

    waiting: list[WaitingItem]


class AuditAnswer(Answer):
    """`GET /api/audit`, newest first."""

    audit: list[AuditRow]
