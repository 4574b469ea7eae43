"""The shapes of the operator API: what the hive answers and streams, shared by the daemon, `HiveClient` and the CLI.

JSON keys are camelCase, times RFC 3339 in UTC; lists travel wrapped, `{"agents": […]}`. Answers ignore keys they do not
know, so that an older client goes on working with a newer hive. Words that may grow (states, kinds) are therefore plain
strings here; the `Literal`s name those of this release.

One module a noun; all names are found here, too.
"""

from __future__ import annotations

from hyperhive.shapes.agents import (
    AgentRow,
    AgentsAnswer,
    AgentState,
    ConfigAnswer,
    ConfigFile,
    JournalAnswer,
    LoginCodeRequest,
    LoginRow,
    McpServerRow,
    ModelRequest,
    OperationRow,
    OperationsAnswer,
    OperationStatus,
    PageUrl,
    PurgeRequest,
    ReconcileAnswer,
    TombstoneRow,
    TombstonesAnswer,
)
from hyperhive.shapes.approvals import (
    ApprovalRow,
    ApprovalsAnswer,
    ApproveRequest,
    BuildRow,
    BuildStatus,
    DenyRequest,
    FileRow,
    SpawnOrder,
)
from hyperhive.shapes.hive import (
    AuditAnswer,
    AuditRow,
    HiveInfo,
    PageSnapshot,
    StateSnapshot,
    StreamEvent,
    StreamType,
    WaitingAnswer,
    WaitingItem,
)
from hyperhive.shapes.messages import AckAnswer, AckRequest, EventRow, EventsAnswer, MessageRow, MessagesAnswer, Sent
from hyperhive.shapes.questions import QuestionRow, QuestionsAnswer
from hyperhive.shapes.reminders import ReminderRow, RemindersAnswer, ScheduleRow
from hyperhive.shapes.usage import (
    BudgetAnswer,
    BudgetPart,
    BudgetRequest,
    BudgetRow,
    HiveUsage,
    Spent,
    TodaysBudget,
    UsageAnswer,
    UsageRow,
    UsageSum,
)

__all__ = [
    "AckAnswer",
    "AckRequest",
    "AgentRow",
    "AgentState",
    "AgentsAnswer",
    "ApprovalRow",
    "ApprovalsAnswer",
    "ApproveRequest",
    "AuditAnswer",
    "AuditRow",
    "BudgetAnswer",
    "BudgetPart",
    "BudgetRequest",
    "BudgetRow",
    "BuildRow",
    "BuildStatus",
    "ConfigAnswer",
    "ConfigFile",
    "DenyRequest",
    "EventRow",
    "EventsAnswer",
    "FileRow",
    "HiveInfo",
    "HiveUsage",
    "JournalAnswer",
    "LoginCodeRequest",
    "LoginRow",
    "McpServerRow",
    "MessageRow",
    "MessagesAnswer",
    "ModelRequest",
    "OperationRow",
    "OperationStatus",
    "OperationsAnswer",
    "PageSnapshot",
    "PageUrl",
    "PurgeRequest",
    "QuestionRow",
    "QuestionsAnswer",
    "ReconcileAnswer",
    "ReminderRow",
    "RemindersAnswer",
    "ScheduleRow",
    "Sent",
    "SpawnOrder",
    "Spent",
    "StateSnapshot",
    "StreamEvent",
    "StreamType",
    "TodaysBudget",
    "TombstoneRow",
    "TombstonesAnswer",
    "UsageAnswer",
    "UsageRow",
    "UsageSum",
    "WaitingAnswer",
    "WaitingItem",
]
