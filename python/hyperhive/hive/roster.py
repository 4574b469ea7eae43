"""The agents of this hive: what the settings say, what is wanted, what was observed; and the state that follows.

`state_of` is the one place where a state is computed: the runtime's fact, else a turn that is under way, else the
hive's decision, else what the harness reports. Everything shown to an operator about an agent comes from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hyperhive.names import MANAGER, OPERATOR, web_port
from hyperhive.shapes import AgentRow, BudgetRow, LoginRow, McpServerRow, OperationRow, Spent, UsageSum
from hyperhive.wire import (
    LastTurn,
    LimitScope,
    LoginReport,
    McpServerInfo,
    McpServerReport,
    Peer,
    ReportRequest,
    SelfInfo,
    TurnState,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from hyperhive.clock import Clock
    from hyperhive.config import AgentSettings, HiveSettings
    from hyperhive.hive.directory import Directory


#: What the harness's word replaces as it is.
_REPORTED: Final = frozenset(
    {"until", "limit_scope", "model", "status_text", "problem", "session_id", "last_turn", "login", "account"}
    | {"login_expires_at", "mcp_servers"}
)


@dataclass(frozen=True, slots=True)
class Decision:
    """Why the hive hands an agent nothing, as its row shows it.

    Attributes:
        state: the state that it is shown in: `paused`, `over_budget` or `rate_limited`.
        since: when it was decided.
        problem: one sentence: why, and what ends it.
        until: when it ends by itself, if it does.
    """

    state: str
    since: datetime
    problem: str
    until: datetime | None = None


@dataclass(slots=True)
class Agent:
    """One agent, as the hive knows it in memory."""

    name: str
    origin: str
    wanted: str
    settings: AgentSettings
    #: What it is for, in the words of whoever asked for it; of agents that were made at run time.
    description: str | None = None
    #: Whether its Claude is logged in, as `Logins` knows it; None before its harness ever spoke of it.
    logged_in: bool | None = None
    #: Since when it is none any more; its directories are kept.
    tombstone_at: datetime | None = None
    #: The runtime's fact; None while the harness runs and speaks.
    fact: str | None = "stopped"
    fact_since: datetime | None = None
    turn_state: TurnState | None = None
    turn_since: datetime | None = None
    until: datetime | None = None
    #: The model that its harness used last; None where the settings changed since.
    model: str | None = None
    declared_model: str | None = None
    status_text: str | None = None
    problem: str | None = None
    session_id: str | None = None
    last_turn: LastTurn | None = None
    #: What it has used in all and today, and what it may use; the ledger and the budgets keep them.
    usage: UsageSum = field(default_factory=UsageSum)
    today: Spent = field(default_factory=Spent)
    budget: BudgetRow | None = None
    operation: OperationRow | None = None
    pid: int | None = None
    #: The newest report taken: which harness process, and its number there.
    reported: tuple[str, int] | None = None
    #: What it runs on is not what the settings want; it is restarted when its turn has ended.
    restart_pending: bool = False
    #: Since when that is wanted which is wanted.
    wanted_since: datetime | None = None
    #: Why the hive hands it nothing beside what is wanted, by reasons of one word.
    decisions: dict[str, Decision] = field(default_factory=dict)
    #: The sign-in that was begun last, since its harness started.
    login: LoginReport | None = None
    #: Stands for the account that its Claude uses, and when its stored login ends.
    account: str | None = None
    login_expires_at: datetime | None = None
    #: Whose limit it is that it rests for.
    limit_scope: LimitScope | None = None
    #: Its own MCP servers, as its claude found them.
    mcp_servers: list[McpServerReport] | None = None
    #: Whether its page is served on its own port, and what keeps it from that.
    port_open: bool = False
    port_problem: str | None = None
    #: Why it runs on a system from before the host was upgraded.
    system_problem: str | None = None

    @property
    def tombstone(self) -> bool:
        """Whether it is none any more."""
        return self.tombstone_at is not None

    @property
    def in_turn(self) -> bool:
        """Whether its harness says that it works on something."""
        return self.turn_state in {"thinking", "compacting"}

    @property
    def decision(self) -> Decision | None:
        """The oldest decision that holds it back and is to be shown now."""
        if self.in_turn or self.fact is not None:
            return None
        return min(self.decisions.values(), key=lambda decision: decision.since, default=None)


class Roster:
    """All agents, by name. Implements `directory.Directory`.

    Args:
        settings: the settings in force.
        hive: the hive's name.
        runtime: the runtime's name, for the rows.
        clock: the time.
        changed: called with an agent after each change of what its row shows.
    """

    def __init__(
        self, settings: HiveSettings, hive: str, runtime: str, clock: Clock, changed: Callable[[Agent], None]
    ) -> None:
        self.settings = settings
        self.hive = hive
        self._runtime = runtime
        self._clock = clock
        self._changed = changed
        self.agents: dict[str, Agent] = {}

    # --- Directory

    def members(self) -> Collection[str]:
        """Names of the agents that are no tombstones."""
        return [name for name, agent in self.agents.items() if not agent.tombstone]

    def is_member(self, agent: Agent) -> bool:
        """Whether it is an agent of this hive now, and no tombstone."""
        return self.agents.get(agent.name) is agent and not agent.tombstone

    def tombstones(self) -> Collection[str]:
        """Names of agents that were."""
        return [name for name, agent in self.agents.items() if agent.tombstone]

    def allowed_recipients(self, sender: str) -> Collection[str] | None:
        """Whom `sender` may write to; None is everybody."""
        agent = self.agents.get(sender)
        return agent.settings.allowed_recipients if agent else None

    # --- what is observed

    def set_fact(self, agent: Agent, fact: str | None, problem: str | None = None) -> None:
        """The runtime's fact changed; None means that the harness speaks for itself."""
        if fact != agent.fact or problem != agent.problem:
            if fact != agent.fact:
                agent.fact_since = self._clock()
            agent.fact = fact
            agent.problem = problem
            if fact in {"starting", "stopped", "failed"}:
                agent.turn_state = agent.turn_since = agent.until = agent.pid = agent.login = None
                agent.limit_scope = agent.mcp_servers = None
            self._changed(agent)

    def report(self, agent: Agent, report: ReportRequest) -> None:
        """Take what the harness says about itself; what it used is the ledger's."""
        if report.instance is not None and report.n is not None:
            if agent.reported and agent.reported[0] == report.instance and report.n <= agent.reported[1]:
                return
            if agent.reported and agent.reported[0] != report.instance:
                agent.login = None
            agent.reported = (report.instance, report.n)
        given = report.model_fields_set
        for name in given & _REPORTED:
            setattr(agent, name, getattr(report, name))
        if report.declared_model not in {None, agent.declared_model}:
            # It has not heard yet that the settings name another model, and will use that one.
            agent.model = None
        if report.state is not None:
            agent.turn_state = report.state
            agent.turn_since = report.since or self._clock()
        self._changed(agent)

    def decide(self, agent: Agent, why: str, decision: Decision | None) -> None:
        """The hive holds the agent back for a reason of one word, or does so no more."""
        if agent.decisions.get(why) != decision:
            if decision is None:
                del agent.decisions[why]
            else:
                agent.decisions[why] = decision
            self._changed(agent)

    def touch(self, agent: Agent) -> None:
        """Something else that the row shows has changed."""
        self._changed(agent)

    # --- what is shown

    def state_of(self, agent: Agent) -> tuple[str, datetime]:
        """The agent's state and since when.

        A turn that is under way when its agent is paused is shown until it ends: it goes on, and costs.
        """
        now = self._clock()
        if agent.fact is not None:
            return agent.fact, agent.fact_since or now
        if agent.wanted == "paused" and not agent.in_turn:
            return "paused", max(filter(None, (agent.wanted_since, agent.turn_since)), default=now)
        if agent.decision is not None:
            return agent.decision.state, agent.decision.since
        return agent.turn_state or "starting", agent.turn_since or agent.fact_since or now

    def row(self, agent: Agent, unread: int) -> AgentRow:
        """The agent as the operator sees it."""
        state, since = self.state_of(agent)
        decision = agent.decision if state != "paused" or agent.wanted != "paused" else None
        port = web_port(agent.name)
        return AgentRow(
            name=agent.name,
            role="manager" if agent.name == MANAGER else "agent",
            host=self.hive,
            runtime=self._runtime,
            state=state,
            since=since,
            model=agent.model or agent.settings.model or self.settings.defaults.model,
            port=port,
            url=self._page_of(agent),
            port_problem=agent.port_problem,
            login=LoginRow(**agent.login.model_dump()) if agent.login else None,
            unread=unread,
            wanted=agent.wanted,
            origin=agent.origin,
            description=agent.description,
            status_text=agent.status_text,
            last_turn=agent.last_turn,
            usage=agent.usage,
            today=agent.today,
            budget=agent.budget,
            operation=agent.operation,
            restart_pending=agent.restart_pending,
            problem=(decision.problem if decision else agent.problem) or agent.system_problem,
            until=decision.until if decision else agent.until,
            pid=agent.pid,
            login_expires_at=agent.login_expires_at,
            limit_scope=agent.limit_scope,
            account=agent.account,
            mcp_servers=[McpServerRow(**one.model_dump()) for one in agent.mcp_servers or []],
        )

    def _page_of(self, agent: Agent) -> str:
        if agent.port_open:
            return f"http://localhost:{web_port(agent.name)}/"
        return f"http://localhost:{self.settings.dashboard.port}/agents/{agent.name}/"

    def peers_of(self, name: str) -> list[Peer]:
        """Everybody an agent can write to."""
        allowed = self.allowed_recipients(name)
        found = [
            Peer(
                name=agent.name,
                role="manager" if agent.name == MANAGER else "agent",
                state=self.state_of(agent)[0],
                status_text=agent.status_text,
            )
            for agent in self.agents.values()
            if not agent.tombstone and agent.name != name and (allowed is None or agent.name in allowed)
        ]
        return [*found, Peer(name=OPERATOR, role="operator", state="human", status_text=self.settings.operator.name)]

    def self_info(self, agent: Agent) -> SelfInfo:
        """What makes this agent this agent, for its harness."""
        defaults, own = self.settings.defaults, agent.settings
        return SelfInfo(
            name=agent.name,
            role="manager" if agent.name == MANAGER else "agent",
            hive=self.hive,
            operator=self.settings.operator.model_dump(),
            model=own.model or defaults.model,
            prompt=own.prompt,
            tools=[*dict.fromkeys([*defaults.tools, *own.tools])],
            environment={**defaults.environment, **own.environment},
            keep_warm_seconds=defaults.keep_warm_seconds,
            max_turn_minutes=own.max_turn_minutes or defaults.max_turn_minutes,
            mcp_servers={key: McpServerInfo(**server.model_dump()) for key, server in own.mcp_servers.items()},
        )


def collision(directory: Directory, name: str) -> str | None:
    """The agent, if there is one, that has the web port of `name`."""
    port = web_port(name)
    return next((other for other in directory.members() if other != name and web_port(other) == port), None)
