"""The shapes of the operator API: what the hive answers and streams, shared by the daemon, `HiveClient` and the CLI.

JSON keys are camelCase, times RFC 3339 in UTC; lists travel wrapped, `{"agents": […]}`. Answers ignore keys they do not
know, so that an older client goes on working with a newer hive. Words that may grow (states, kinds) are therefore plain
strings here; the `Literal`s name those of this release.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from hyperhive.clock import Instant
from hyperhive.wire import MAX_REASON, Answer, Id, LastTurn, OperatorInfo, Request, SpawnSpec

AgentState = Literal[
    "starting",
    "stopped",
    "failed",
    "unreachable",
    "paused",
    "over_budget",
    "needs_login",
    "idle",
    "thinking",
    "compacting",
    "rate_limited",
]
"""What `AgentRow.state` says: the runtime's fact, else the hive's decision, else the harness's report."""

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

OperationStatus = Literal["queued", "running", "done", "failed"]
"""What `OperationRow.status` says; `done` and `failed` are ends."""


class OperationRow(Answer):
    """Something that the hive does to an agent: starting, stopping, kicking and so on, one after the other.

    `POST /api/agents/{n}/{action}` answers with one: 200 once it ended, 202 where it still runs after 5 s; then it is
    followed by `GET /api/operations/{id}` or the `operation` events of the stream.
    """

    id: int
    agent: str
    kind: str
    status: str
    started_at: Instant
    ended_at: Instant | None = None
    error: str | None = None


class Spent(Answer):
    """What was used: turns, tokens and dollars.

    `failed` did not end well; what was refused before anything was used, at a limit or without a login, is failed and
    no turn. `lost` are turns whose harness died before it could report: what they used is not known.
    """

    turns: int = 0
    failed: int = 0
    lost: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0


class UsageSum(Spent):
    """What an agent has used in all its turns; how full its context was after the last one."""

    context_tokens: int | None = None
    context_window: int | None = None


class BudgetPart(Answer):
    """One of a budget's limits: what was used today of what is allowed. `raised`: the operator changed it for today."""

    used: float
    allowed: float
    raised: bool = False


class BudgetRow(Answer):
    """A budget and how much of it is used today. `share` is of the limit that most is used of; at 1 no turn begins.

    Tokens are those that were sent, written to the cache or received, not those that were read again from the cache.
    `until` is when the next day begins.
    """

    usd: BudgetPart | None = None
    tokens: BudgetPart | None = None
    turns: BudgetPart | None = None
    share: float
    until: Instant


class HiveUsage(Answer):
    """What the whole hive has used today, and its budget, if it has one; the stream's type `usage` carries it, too."""

    today: Spent = Field(default_factory=Spent)
    budget: BudgetRow | None = None


class UsageRow(Spent):
    """What one agent used on one day with one model. Of purged agents only the sum is known, under `(purged)`."""

    day: str
    agent: str
    model: str


class UsageAnswer(Answer):
    """`GET /api/usage`, newest day first; `total` is the sum of the rows. `day` is today, in `timezone`.

    `today` and `budget` are those of the agent that was asked for, else of the hive.
    """

    timezone: str
    day: str
    until: Instant
    usage: list[UsageRow]
    total: Spent
    today: Spent
    budget: BudgetRow | None = None


class TodaysBudget(Request):
    """What is allowed for the rest of the day instead of what the settings say; null is as they say."""

    usd: float | None = Field(None, ge=0, le=1e9)
    tokens: int | None = Field(None, ge=0, le=10**15)
    turns: int | None = Field(None, ge=0, le=10**15)


class BudgetRequest(Request):
    """`POST /api/agents/{n}/budget`, for the hive `POST /api/budget`; what is not named stays as it is."""

    today: TodaysBudget


class BudgetAnswer(Answer):
    """How the budget stands now."""

    budget: BudgetRow | None = None


class LoginRow(Answer):
    """The sign-in that was begun last, since the agent's harness started.

    `phase` is one of `starting` (the program starts), `link` (open `url`, then give the code; `error` says what was
    wrong with an earlier one), `checking` (a code was given), and the ends `done failed cancelled expired`.
    """

    phase: str
    since: Instant
    url: str | None = None
    error: str | None = None


class McpServerRow(Answer):
    """An MCP server of an agent's own, as its `claude` found it: `connected`, `failed`, `needs-auth`, `pending` …."""

    name: str
    status: str
    tools: list[str] = Field(default_factory=list)
    error: str | None = None


class AgentRow(Answer):
    """An agent as the pages and `hyperhive list` show it; `until` is when its state ends by itself, if known.

    `state_bytes` is what its directories take on the disk, at most some ten minutes ago; `GET /api/agents/{n}` alone
    has it, and not where it takes long to count.
    """

    name: str
    role: str
    host: str
    runtime: str
    state: str
    since: Instant
    model: str
    port: int
    url: str
    unread: int
    wanted: str
    origin: str
    description: str | None = None
    status_text: str | None = None
    last_turn: LastTurn | None = None
    usage: UsageSum = Field(default_factory=UsageSum)
    today: Spent = Field(default_factory=Spent)
    budget: BudgetRow | None = None
    operation: OperationRow | None = None
    restart_pending: bool = False
    problem: str | None = None
    until: Instant | None = None
    port_problem: str | None = None
    login: LoginRow | None = None
    #: When its stored login ends, if that says so.
    login_expires_at: Instant | None = None
    #: Of whom the limit is that it rests for, `account` or `endpoint`; and a digest that agents of one account share.
    limit_scope: str | None = None
    account: str | None = None
    mcp_servers: list[McpServerRow] = Field(default_factory=list)
    pid: int | None = None
    state_bytes: int | None = None


class TombstoneRow(Answer):
    """An agent that is no more, and what is kept of it.

    `declared` is one that the operator destroyed although the settings still have it. `size_bytes` is null where it
    cannot be counted in a few seconds.
    """

    name: str
    since: Instant
    origin: str
    declared: bool
    has_login: bool
    size_bytes: int | None = None
    unread: int = 0


class MessageRow(Answer):
    """A message.

    `state` is one of `waiting held settled dead discarded`, `deliveries` counts hand-outs. The stream carries the
    beginning of a long body and says `truncated`; the listings have the whole.
    """

    id: int
    from_: str = Field(alias="from")
    to: str
    body: str
    sent_at: Instant
    state: str
    deliveries: int = 0
    in_reply_to: int | None = None
    broadcast_id: int | None = None
    settled_at: Instant | None = None
    outcome: str | None = None
    reason: str | None = None
    dead_letter: bool = False
    truncated: bool = False


class EventRow(Answer):
    """Something that happened in a turn of an agent; `kind` is a `wire.EventKind`."""

    seq: int
    at: Instant
    kind: str
    agent: str
    turn: int | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class QuestionRow(Answer):
    """A question of an agent to the operator or to another agent; `status` is one of `open answered cancelled expired`.

    `answer` has a line for each choice, then the text; of one that expired it is the default, if one was declared.
    `answered_by` and `answered_at` are of whatever end it had: who answered or cancelled it, nobody where it expired.
    """

    id: int
    asker: str
    to: str
    text: str
    options: list[str] = Field(default_factory=list)
    multi: bool = False
    asked_at: Instant
    deadline: Instant | None = None
    default: str | None = None
    status: str
    answer: str | None = None
    answered_by: str | None = None
    answered_at: Instant | None = None


BuildStatus = Literal["none", "running", "ok", "failed"]
"""What `BuildRow.status` says; `none` is where the runtime builds nothing."""


class BuildRow(Answer):
    """What building a commit gave, as it was shown: approving it puts this very `system` in.

    `log` is its last 64 KiB, `units` those that would be restarted, `base` a word for all that it was built with beside
    the commit: with another one it would be another system.
    """

    status: str
    log: str | None = None
    system: str | None = None
    size_bytes: int | None = None
    units: list[str] = Field(default_factory=list)
    base: str | None = None


class FileRow(Answer):
    """A file that a commit changes: `status` is `A`dded, `D`eleted, `M`odified, `R`enamed or `T`ype changed."""

    status: str
    path: str
    old_mode: str
    new_mode: str


class ApprovalRow(Answer):
    """Something that needs the operator's yes: `kind` is `spawn` (a new agent, `spec`) or `apply` (a commit).

    `status` is one of `building pending approved deploying deployed denied cancelled expired failed`;
    `docs/approvals.md` draws them. `diff` is from `base`, which is what ran when it was compared, to `commit`, and
    `files` are all that it changes; `approved_diff` is from `approved`, the commit that was approved last, where that
    is another one. `truncated` says that a diff is not all of it. `stale` is one before which something else was
    deployed: it was compared and built anew since. `reason` says why it was decided or ended so, `note` what else the
    hive has to say.
    """

    id: int
    kind: str
    agent: str
    status: str
    requested_by: str
    requested_at: Instant
    expires_at: Instant
    description: str | None = None
    spec: SpawnSpec | None = None
    commit: str | None = None
    base: str | None = None
    diff: str | None = None
    files: list[FileRow] = Field(default_factory=list)
    approved: str | None = None
    approved_diff: str | None = None
    truncated: bool = False
    closure_diff: str | None = None
    build: BuildRow | None = None
    stale: bool = False
    decided_by: str | None = None
    decided_at: Instant | None = None
    ended_at: Instant | None = None
    reason: str | None = None
    note: str | None = None


class ReminderRow(Answer):
    """A message that an agent sends to itself later; `status` is one of `pending fired cancelled`.

    `message_id` is what it was sent as.
    """

    id: int
    agent: str
    message: str
    made_at: Instant
    at: Instant
    status: str
    ended_at: Instant | None = None
    ended_by: str | None = None
    message_id: int | None = None


class ScheduleRow(Answer):
    """A schedule of the settings; `next_at` is null where it never comes again, or not while its agent is destroyed."""

    agent: str
    name: str
    rule: str
    message: str
    next_at: Instant | None = None
    last_at: Instant | None = None


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


class AgentsAnswer(Answer):
    """`GET /api/agents`; `warnings` is what the operator should know of the whole hive."""

    agents: list[AgentRow]
    warnings: list[str] = Field(default_factory=list)


class WaitingAnswer(Answer):
    """`GET /api/waiting`, oldest first."""

    waiting: list[WaitingItem]


class TombstonesAnswer(Answer):
    """`GET /api/tombstones`, by name."""

    tombstones: list[TombstoneRow]


class OperationsAnswer(Answer):
    """`GET /api/operations`, newest first; those that ended before the daemon's start are forgotten."""

    operations: list[OperationRow]


class MessagesAnswer(Answer):
    """`GET /api/messages`, `/api/inbox` and `/api/dead-letters`, newest first."""

    messages: list[MessageRow]


class QuestionsAnswer(Answer):
    """`GET /api/questions`, newest first."""

    questions: list[QuestionRow]


class ApprovalsAnswer(Answer):
    """`GET /api/approvals`, newest first, with the beginning of long diffs and logs."""

    approvals: list[ApprovalRow]


class RemindersAnswer(Answer):
    """`GET /api/reminders`: reminders newest first, and the declared schedules by agent and name."""

    reminders: list[ReminderRow]
    schedules: list[ScheduleRow] = Field(default_factory=list)


class EventsAnswer(Answer):
    """`GET /api/agents/{n}/events`, newest first."""

    events: list[EventRow]


class AuditAnswer(Answer):
    """`GET /api/audit`, newest first."""

    audit: list[AuditRow]


class ConfigFile(Answer):
    """A file of an agent's configuration."""

    path: str
    text: str


class ConfigAnswer(Answer):
    """`GET /api/agents/{n}/config`; `note` says why there is no more."""

    files: list[ConfigFile] = Field(default_factory=list)
    note: str | None = None


class JournalAnswer(Answer):
    """`GET /api/agents/{n}/journal`: the last lines of what the harness printed, oldest first."""

    lines: list[str]


class PageUrl(Answer):
    """`GET /api/agents/{n}/page-url` and `GET /api/dashboard-url`: an address with its `#token=`."""

    url: str


class Sent(Answer):
    """`POST /api/messages`: it is on disk. `id` is the first one's where a broadcast made several."""

    id: int
    broadcast_id: int | None = None
    recipients: list[str]


class AckRequest(Request):
    """`POST /api/inbox/ack`."""

    ids: list[Id] = Field(min_length=1, max_length=10_000)


class ModelRequest(Request):
    """`POST /api/agents/{n}/model`."""

    model: str = Field(min_length=1, max_length=200)


class SpawnOrder(SpawnSpec):
    """`POST /api/agents`: an agent that the operator makes at run time."""

    name: str = Field(max_length=64)


class LoginCodeRequest(Request):
    """`POST /api/agents/{n}/login/code`: what the page behind the link has shown."""

    code: str = Field(min_length=1, max_length=2000, repr=False)


class ApproveRequest(Request):
    """`POST /api/approvals/{id}/approve`: of a commit, its hash, so that nothing is approved that was not shown."""

    commit: str | None = Field(None, max_length=64)
    reason: str | None = Field(None, max_length=MAX_REASON)


class DenyRequest(Request):
    """`POST /api/approvals/{id}/deny`: whoever asked is told why."""

    reason: str | None = Field(None, max_length=MAX_REASON)


class PurgeRequest(Request):
    """`POST /api/tombstones/{n}/purge`: the name once more, because nothing brings back what is wiped."""

    name: str = Field(max_length=64)


class AckAnswer(Answer):
    """Those of the ids that were in the inbox and are done now."""

    acked: list[int]


class ReconcileAnswer(Answer):
    """`POST /api/reconcile`: what was done to bring the agents to what is wanted."""

    started: list[str] = Field(default_factory=list)
    stopped: list[str] = Field(default_factory=list)
