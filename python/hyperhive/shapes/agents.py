"""Agents as the operator sees them: rows, operations, tombstones, configuration and journal."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hyperhive.clock import Instant
from hyperhive.shapes.usage import BudgetRow, Spent, UsageSum
from hyperhive.wire import Answer, LastTurn, Request

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


class AgentsAnswer(Answer):
    """`GET /api/agents`; `warnings` is what the operator should know of the whole hive."""

    agents: list[AgentRow]
    warnings: list[str] = Field(default_factory=list)


class TombstonesAnswer(Answer):
    """`GET /api/tombstones`, by name."""

    tombstones: list[TombstoneRow]


class OperationsAnswer(Answer):
    """`GET /api/operations`, newest first; those that ended before the daemon's start are forgotten."""

    operations: list[OperationRow]


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


class ModelRequest(Request):
    """`POST /api/agents/{n}/model`."""

    model: str = Field(min_length=1, max_length=200)


class LoginCodeRequest(Request):
    """`POST /api/agents/{n}/login/code`: what the page behind the link has shown."""

    code: str = Field(min_length=1, max_length=2000, repr=False)


class PurgeRequest(Request):
    """`POST /api/tombstones/{n}/purge`: the name once more, because nothing brings back what is wiped."""

    name: str = Field(max_length=64)


class ReconcileAnswer(Answer):
    """`POST /api/reconcile`: what was done to bring the agents to what is wanted."""

    started: list[str] = Field(default_factory=list)
    stopped: list[str] = Field(default_factory=list)
