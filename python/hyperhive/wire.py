"""What travels over an agent's socket: the bodies of the agent API, one model each, shared by hive and harness.

JSON keys are camelCase, Python names snake_case. Requests refuse unknown keys, so that a typo is an error and not a
silence. Answers ignore them, so that a harness goes on working when a newer hive says more: `/v1` only grows.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from hyperhive.clock import Instant
from hyperhive.sign_in_link import checked_link

#: Bytes of UTF-8 that a message's body may have.
MAX_BODY: Final = 64 * 1024
#: Bytes of UTF-8 that a question may have, its default, and an answer.
MAX_QUESTION: Final = 8 * 1024
#: Options of one question, and characters of each.
MAX_OPTIONS: Final = 10
MAX_OPTION: Final = 200
#: Seconds after which a question may expire at the latest: 7 days.
MAX_TTL: Final = 7 * 86400
#: Characters that say what a request to the operator is about, and those of a reason for a decision.
MAX_DESCRIPTION: Final = 4000
MAX_REASON: Final = 4000
#: Bytes of UTF-8 that a reminder may have, and seconds that it may lie ahead: 366 days.
MAX_REMINDER: Final = 8 * 1024
MAX_AHEAD: Final = 366 * 86400
#: Bytes that the bundle of a proposal may have, and the one ref that is in it.
MAX_BUNDLE: Final = 16 * 1024 * 1024
PROPOSAL: Final = "refs/hive/proposal"
#: Seconds that a `recv` or a command poll may stay parked.
MAX_WAIT: Final = 180
#: Lines of another agent's log that the manager may read at once.
MAX_LOG_LINES: Final = 500
#: Messages that one `recv` may hand out.
MAX_BATCH: Final = 32

TurnState = Literal["needs_login", "idle", "thinking", "compacting", "rate_limited"]
"""What the harness is doing; `docs/turn-loop.md` draws the transitions."""

OutcomeKind = Literal["settled", "cancelled", "returned", "failed"]
"""How a turn ended for its message: done; done, by a cancel; goes back, not counted; goes back, counted."""

LoginPhase = Literal["starting", "link", "checking", "done", "failed", "cancelled", "expired"]
"""Where a sign-in is: the program starts; the link is there and a code is wanted; a code was given; the ends."""

LimitScope = Literal["account", "endpoint"]
"""Whose limit an agent rests for: that of its account, and so of all who share it, or of an overloaded endpoint."""

EventKind = Literal[
    "turn_start",
    "text",
    "thinking",
    "tool_call",
    "tool_result",
    "stderr",
    "turn_end",
    "compacted",
    "session_new",
    "model_changed",
    "unsolicited",
    "note",
]


Id = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""A number that the store can keep."""


class _Wire(BaseModel):
    # JSON has no NaN and no infinities, but Python reads and writes them: one in an answer, and no page can read it.
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True, allow_inf_nan=False
    )


class Request(_Wire):
    """Base of what comes in: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class Answer(_Wire):
    """Base of what goes out: unknown keys are ignored by whoever reads it."""

    model_config = ConfigDict(extra="ignore")


class OperatorInfo(Answer):
    """How agents should speak of the human."""

    name: str
    pronouns: str | None = None


class McpServerInfo(Answer):
    """An MCP server of the agent's own: a program with its arguments and environment, or an address with its headers.

    `${NAME}` in any of them stands for a variable of Claude's environment, so for a credential too.
    """

    command: str | None = None
    args: list[str] = []
    env: dict[str, str] = Field(default={}, repr=False)
    url: str | None = None
    headers: dict[str, str] = Field(default={}, repr=False)
    allowed_tools: list[str] | None = None
    """Which of its tools may be used; without a list, all."""


class SelfInfo(Answer):
    """`GET /v1/self`: all that makes this agent this agent. A container's system holds nothing of it."""

    name: str
    role: Literal["agent", "manager"]
    hive: str
    operator: OperatorInfo
    model: str
    prompt: str | None = None
    tools: list[str] = []
    environment: dict[str, str] = {}
    keep_warm_seconds: float = 120
    max_turn_minutes: float = 60
    mcp_servers: dict[str, McpServerInfo] = {}


class SendRequest(Request):
    """`POST /v1/messages`."""

    to: str = Field(max_length=64)
    body: str
    in_reply_to: Id | None = None
    idempotency_key: str | None = Field(None, min_length=1, max_length=200)


class SendAnswer(Answer):
    """The message is on disk. `id` is the first one's where a broadcast made several."""

    id: int
    broadcast_id: int | None = None
    recipients: list[str]


class RecvRequest(Request):
    """`POST /v1/recv`.

    `holding` names every message that this harness still works on, in the order in which they were handed out: what was
    handed out and is not in it goes back.
    `instance` is a random word of one harness process. A message that an earlier instance held without an outcome was
    lost in a crash and counts as failed; without an instance it goes back uncounted.
    """

    wait_seconds: float = Field(0, ge=0, le=MAX_WAIT)
    max: int = Field(1, ge=1, le=MAX_BATCH)
    holding: list[int] = Field(default_factory=list, max_length=1000)
    instance: str | None = Field(None, max_length=64)


class Delivery(Answer):
    """One message handed out."""

    id: int
    from_: str = Field(alias="from")
    body: str
    sent_at: Instant
    in_reply_to: int | None = None
    broadcast_id: int | None = None
    redelivered: bool = False


class RecvAnswer(Answer):
    """`unread` counts what waits beside the deliveries."""

    deliveries: list[Delivery]
    unread: int


class OutcomeRequest(Request):
    """`POST /v1/outcome`: the first id is the message that woke the turn, the others joined it by the recv tool."""

    ids: list[int] = Field(min_length=1, max_length=1000)
    outcome: OutcomeKind
    reason: str | None = Field(None, max_length=4000)


class OutcomeAnswer(Answer):
    """What became of each message; ids that were not held are left out."""

    accepted: list[int]
    dead_letters: list[int] = []


class Peer(Answer):
    """Somebody an agent can write to."""

    name: str
    role: Literal["agent", "manager", "operator"]
    state: str
    status_text: str | None = None


class PeersAnswer(Answer):
    """`GET /v1/peers`."""

    peers: list[Peer]


Option = Annotated[str, Field(min_length=1, max_length=MAX_OPTION)]
"""One of the answers that a question proposes."""


class AskRequest(Request):
    """`POST /v1/questions`: answered at once with its id; the end comes as a message.

    `default` holds where nobody has answered within `ttl_seconds`; it is one of the options, if there are any.
    """

    text: str
    to: str = Field("operator", max_length=64)
    options: list[Option] = Field(default_factory=list, max_length=MAX_OPTIONS)
    multi: bool = False
    ttl_seconds: float | None = Field(None, ge=1, le=MAX_TTL)
    default: str | None = None
    idempotency_key: str | None = Field(None, min_length=1, max_length=200)


class AnswerRequest(Request):
    """`POST /v1/questions/{id}/answer`, for the operator `POST /api/questions/{id}/answer`: one of both, or both.

    `choices` are options of the question, one of them unless it takes several.
    """

    choices: list[Option] = Field(default_factory=list, max_length=MAX_OPTIONS)
    text: str = ""


class QuestionAnswer(Answer):
    """What is answered to whoever asks, answers or cancels: the question as it is now."""

    id: int
    asker: str
    to: str
    status: str
    deadline: Instant | None = None


class SpawnSpec(Request):
    """What a new agent would be beside its name; what is left out is the hive's default."""

    description: str | None = Field(None, max_length=MAX_DESCRIPTION)
    model: str | None = Field(None, min_length=1, max_length=128)
    prompt: str | None = None


class SpawnRequest(SpawnSpec):
    """`POST /v1/spawn-requests`, for the operator `POST /api/spawn-requests`: answered with an approval that waits."""

    name: str = Field(max_length=64)
    idempotency_key: str | None = Field(None, min_length=1, max_length=200)


class ConfigProposal(Request):
    """The query of `POST /v1/config-proposals`, whose body is a git bundle of `refs/hive/proposal`, up to 16 MiB.

    `commit` is the hash that the bundle has to bring, 7 to 40 hexadecimal digits; names of branches and tags are none.
    """

    agent: str = Field(max_length=64)
    commit: str = Field(pattern=r"^[0-9a-f]{7,40}$")
    description: str | None = Field(None, max_length=MAX_DESCRIPTION)
    idempotency_key: str | None = Field(None, min_length=1, max_length=200)


class ApprovalAnswer(Answer):
    """What is answered to whoever asks for something or takes that back: the approval as it is now.

    `reason` says why it ended, `commit` is the whole hash that it is bound to.
    """

    id: int
    kind: str
    agent: str
    status: str
    expires_at: Instant
    commit: str | None = None
    reason: str | None = None


class ApprovalsAnswer(Answer):
    """`GET /v1/approvals`: what the calling agent has asked for, newest first."""

    approvals: list[ApprovalAnswer]


class RemindRequest(Request):
    """`POST /v1/reminders`: exactly one of `delay_seconds` and `at`. It comes as a message from `reminder`."""

    message: str
    delay_seconds: float | None = Field(None, ge=1, le=MAX_AHEAD)
    at: Instant | None = None
    idempotency_key: str | None = Field(None, min_length=1, max_length=200)


class ReminderAnswer(Answer):
    """What is answered to whoever makes or cancels a reminder; `status` is one of `pending fired cancelled`."""

    id: int
    at: Instant
    status: str


LooseEndKind = Literal["question", "to_answer", "approval", "reminder"]
"""What the agent asked; what it is asked; what it requested of the operator; what it will be reminded of."""


class LooseEnd(Answer):
    """Something that an agent has open. `who` is the other side of a question, or the agent that an approval is for."""

    kind: str
    id: int
    text: str
    since: Instant
    deadline: Instant | None = None
    who: str | None = None
    status: str | None = None


class LooseEndsAnswer(Answer):
    """`GET /v1/loose-ends`, oldest first; `unread` counts the messages that wait."""

    ends: list[LooseEnd]
    unread: int


class OperationAnswer(Answer):
    """`POST /v1/agents/{n}/{start|stop|restart|rebuild}` of the manager: what became of it.

    `status` is one of `queued running done failed`; the first two say that it goes on.
    """

    id: int
    agent: str
    kind: str
    status: str
    error: str | None = None


class LogsAnswer(Answer):
    """`GET /v1/agents/{n}/logs` of the manager: what another agent's harness printed, oldest first."""

    lines: list[str]


class CommandDone(Request):
    """What became of one command."""

    id: int
    ok: bool
    error: str | None = None
    result: dict[str, Any] | None = None


class CommandsRequest(Request):
    """`POST /v1/commands`: reports finished commands and waits for new ones.

    `running` names the commands that are being executed. What was handed out to this `instance` and is neither done nor
    running was lost on the way and comes again; without `running`, nothing comes again.
    """

    wait_seconds: float = Field(0, ge=0, le=MAX_WAIT)
    done: list[CommandDone] = []
    running: list[int] | None = Field(None, max_length=1000)
    instance: str | None = Field(None, max_length=64)


class Command(Answer):
    """Something the hive wants of the harness; `docs/turn-loop.md` lists the kinds, others are refused.

    The arguments may hold the code of a sign-in, so they stand in no representation and no log.
    """

    id: int
    kind: str
    args: dict[str, Any] = Field(default={}, repr=False)


class CommandsAnswer(Answer):
    """Commands in the order in which they were given."""

    commands: list[Command]


class EventIn(Request):
    """One event of an agent; `n` counts up within one harness instance, so that a repeated batch adds nothing."""

    n: Id
    at: Instant
    kind: EventKind
    turn: Id | None = None
    data: dict[str, Any] = {}


class EventsRequest(Request):
    """`POST /v1/events`."""

    instance: str = Field(max_length=64)
    events: list[EventIn] = Field(max_length=500)


class LastTurn(Answer):
    """How the last turn ended."""

    ended_at: Instant
    ok: bool
    duration_ms: int
    note: str | None = None


Tokens = Annotated[int, Field(ge=0, le=10**12)]
"""A number of tokens: of one turn, or of all turns of an agent."""


class Usage(Answer):
    """Tokens and dollars of one turn, never running totals; `model` is the one that answered, by its full name."""

    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cache_read_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0
    cost_usd: float = Field(0.0, ge=0, le=1e6)
    context_tokens: Tokens | None = None
    context_window: Tokens | None = None
    """Tokens that the model's context can hold."""
    model: str | None = Field(None, max_length=200)


class LoginReport(Request):
    """A sign-in that was begun since the harness started; `url` is there while a code is wanted."""

    phase: LoginPhase
    since: Instant
    url: Annotated[str, AfterValidator(checked_link)] | None = None
    error: str | None = Field(None, max_length=500)


class McpServerReport(Request):
    """One MCP server of the agent's own, as `claude` found it when it started; `status` is claude's word.

    `connected` is good; others are `failed`, `needs-auth`, `pending`, `disabled`. `error` says what went wrong.
    """

    name: str = Field(max_length=64)
    status: str = Field(max_length=32)
    tools: list[Annotated[str, Field(max_length=128)]] = Field(default_factory=list, max_length=200)
    error: str | None = Field(None, max_length=1000)


class ReportRequest(Request):
    """`POST /v1/report`: what changed; what is absent stays as it was, an explicit null clears.

    `n` counts up within one harness instance, so that a report that is sent twice adds its usage once.
    """

    instance: str | None = Field(None, max_length=64)
    n: int | None = Field(None, ge=0)

    state: TurnState | None = None
    since: Instant | None = None
    until: Instant | None = None
    limit_scope: LimitScope | None = None
    """With `rate_limited`: whose limit it is."""
    model: str | None = None
    declared_model: str | None = None
    """The declared model that `model` was chosen against: said of another one, it is out of date."""
    status_text: str | None = Field(None, max_length=500)
    problem: str | None = Field(None, max_length=4000)
    session_id: str | None = None
    last_turn: LastTurn | None = None
    usage: Usage | None = None
    """Of a turn, with `last_turn`; alone, of something between turns."""
    login: LoginReport | None = None
    account: str | None = Field(None, max_length=64)
    """Stands for the credential or the signed-in account that is in use: a digest, the same for all who share it."""
    login_expires_at: Instant | None = None
    """When the stored login ends, if it says so; nothing is known of credentials from the environment."""
    mcp_servers: list[McpServerReport] | None = Field(None, max_length=64)
    """The agent's own MCP servers, each time that one of them changes."""


class Ok(Answer):
    """Done, nothing more to say."""

    ok: Annotated[bool, Field(default=True)] = True
