"""What an operator can set: one model, `HiveSettings`, read from one JSON file and `HYPERHIVE_…` variables.

The NixOS module renders the file, `hyperhive up` takes one written by hand; both are read by `hyperhive.config_file`,
which turns the file's camelCase into the names here. The models refuse unknown keys and check what can be checked
without looking at the machine; `hyperhive.preflight` looks at the machine.

Fields have no aliases on purpose: with them a bare environment variable `VERSION` would override a field.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from hyperhive.clock import parse_span
from hyperhive.config_mcp import McpName, McpServer
from hyperhive.config_words import VariableName, matching
from hyperhive.cron import check_cron
from hyperhive.names import EVERYONE, MANAGER, OPERATOR, AgentName, check_agent_name, port_collisions
from hyperhive.zones import named_zone

RuntimeName = Literal["auto", "nixos-container", "bubblewrap", "process"]

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,127}")
_TOOL = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\(.*\))?")
_SIZE = re.compile(r"\d+[KMGT]?|infinity")
_LONGEST_PROMPT = 100_000
#: Bytes of a schedule's message: it travels in a message of the hive's, with a few words around it.
_LONGEST_MESSAGE = 32 * 1024
_SCHEDULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_MOST_SCHEDULES = 50
_SHORTEST_TTL, _LONGEST_TTL = timedelta(minutes=1), timedelta(weeks=52)
_PERCENT = re.compile(r"\d+%")
_GROUP = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
#: What a word of nspawn's command line cannot have: it stands in a file in quotes, and is expanded without.
_NO_WORD = re.compile(r"[\s*?\[\]\\\"'$`]")
#: Flags of nspawn that the hive sets itself, and where a container has the hive's directories and the store.
_OWN_FLAGS = ("--bind", "--bind-ro", "--directory", "--load-credential", "--machine", "--private-users", "-D", "-M")
_OWN_PLACES = frozenset({"/", "/agents", "/applied", "/nix", "/root/.claude", "/run/hive", "/shared", "/state"})


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        msg = f"'{path}' must be an absolute path"
        raise ValueError(msg)
    return path


def _no_space(text: str) -> str:
    if _NO_WORD.search(text):
        msg = f"{text!r} goes on a command line without quotes; it has no space and none of * ? [ ] \\ \" ' $ `"
        raise ValueError(msg)
    return text


def _nspawn_flag(text: str) -> str:
    if not text.startswith("-"):
        msg = f"{text!r} is no flag of systemd-nspawn; it has to begin with '-'"
        raise ValueError(msg)
    if text.partition("=")[0] in _OWN_FLAGS:
        msg = f"{text!r} is what the hive sets itself; for directories use bindMounts, for secrets credentials"
        raise ValueError(msg)
    return _no_space(text)


def _bindable(path: Path) -> Path:
    if ":" in str(_absolute(path)):
        msg = f"'{path}' cannot be bound: it has a ':'"
        raise ValueError(msg)
    _no_space(str(path))
    return path


def _prompt(text: str) -> str:
    # It travels in an argument of a program, and Linux allows one 128 KiB, our own words included.
    if len(text.encode()) > _LONGEST_PROMPT or "\0" in text:
        msg = f"a prompt may have {_LONGEST_PROMPT:,} bytes and no NUL; put more into a file and name it"
        raise ValueError(msg)
    return text


def _span(text: str) -> str:
    parse_span(text)
    return text


def _zone(text: str) -> str:
    named_zone(text)
    return text


def _cron(text: str) -> str:
    check_cron(text)
    return text


def _often(text: str) -> str:
    if parse_span(text) < timedelta(minutes=1):
        msg = f"{text!r} is too often; a schedule comes once a minute at most: '1m'"
        raise ValueError(msg)
    return text


def _scheduled(text: str) -> str:
    if not text.strip() or len(text.encode()) > _LONGEST_MESSAGE or "\0" in text:
        msg = f"a message says something, in at most {_LONGEST_MESSAGE:,} bytes and without a NUL"
        raise ValueError(msg)
    return text


def _ttl(text: str) -> str:
    if not _SHORTEST_TTL <= parse_span(text) <= _LONGEST_TTL:
        msg = f"{text!r} is too short or too long; write a span between 1m and 52w, for example 14d"
        raise ValueError(msg)
    return text


ModelName = Annotated[str, matching(_MODEL, "model name", "'haiku' or 'claude-opus-4-1'")]
ToolName = Annotated[str, matching(_TOOL, "tool", "'WebFetch' or 'Bash(git *)'")]
Size = Annotated[str, matching(_SIZE, "size", "'4G'")]
MemorySize = Annotated[str, matching(re.compile(r"\d+[KMGT]?"), "amount of memory", "'4G'")]
Percent = Annotated[str, matching(_PERCENT, "share of the processor", "'200%'")]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
BindPath = Annotated[Path, AfterValidator(_bindable)]
NspawnFlag = Annotated[str, AfterValidator(_nspawn_flag)]
GroupName = Annotated[str, matching(_GROUP, "name of a group", "'hyperhive'")]
Span = Annotated[str, AfterValidator(_span)]
Ttl = Annotated[str, AfterValidator(_ttl)]
Prompt = Annotated[str, AfterValidator(_prompt)]
Zone = Annotated[str, AfterValidator(_zone)]
ScheduleName = Annotated[str, matching(_SCHEDULE, "name of a schedule", "'morning'")]
Minutes = Annotated[float, Field(gt=0, le=10_080)]


class Section(BaseModel):
    """Base of every part of the settings: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class Database(Section):
    """Where the hive keeps what it knows."""

    url: str | None = Field(None, description="SQLAlchemy URL; without one, SQLite in the state directory")


class Dashboard(Section):
    """The operator's page."""

    port: int = Field(7000, ge=0, le=65535, description="TCP port on 127.0.0.1 and ::1; 0 is any free one")
    allowed_hosts: list[str] = Field(
        default_factory=list, description="further names under which the page may be reached, for example of a proxy"
    )
    operator_token_file: AbsolutePath | None = Field(None, description="file with the operator's token")
    agent_pages: bool | None = Field(
        None, description="whether each agent's page has a port of its own; by default yes, unless `port` is 0"
    )


class Metrics(Section):
    """What a monitor may ask for."""

    token_file: AbsolutePath | None = Field(None, description="file with the token of /metrics")


class Operator(Section):
    """How agents should speak of the human."""

    name: str = Field(OPERATOR, description="how agents call the operator")
    pronouns: str | None = Field(None, description="the operator's pronouns, told to the agents")


class Notifications(Section):
    """How an operator who is not looking is told."""

    url_file: AbsolutePath | None = Field(None, description="file with the address that gets one POST an item")
    command: list[str] | None = Field(None, description="program and arguments that get one line an item on stdin")


Dollars = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**15)]


class Budget(Section):
    """What an agent, or the whole hive, may use in a day; over it, messages wait until the day has ended."""

    usd: Dollars | None = Field(None, description="dollars a day, as Claude Code reckons them")
    tokens: Count | None = Field(None, description="tokens a day, without those read again from the cache")
    turns: Count | None = Field(None, description="turns a day")


class Schedule(Section):
    """A message that comes again and again."""

    cron: Annotated[str, AfterValidator(_cron)] | None = Field(None, description="five fields of cron")
    every: Annotated[str, AfterValidator(_often)] | None = Field(None, description="a span; one minute at least")
    message: Annotated[str, AfterValidator(_scheduled)] = Field(description="what the agent is told")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.cron is None) == (self.every is None):
            msg = "a schedule has either `cron` or `every`"
            raise ValueError(msg)
        return self


class BindMount(Section):
    """A directory of the host that an agent sees."""

    host_path: BindPath | None = None
    is_read_only: bool = True


Schedules = Annotated[dict[ScheduleName, Schedule], Field(max_length=_MOST_SCHEDULES)]


class Manager(Section):
    """The agent that may ask for spawns and changes."""

    enable: bool = Field(default=True, description="whether there is a manager")
    model: ModelName | None = Field(None, description="its model; defaults to defaults.model")
    prompt: Prompt | None = Field(None, description="what it is told beside its role")
    budget: Budget = Field(default_factory=Budget)
    schedules: Schedules = Field(default_factory=dict, description="messages that come again and again, by name")


class Approvals(Section):
    """Requests that wait for the operator."""

    ttl: Ttl = Field("14d", description="how long a request waits before it expires")


class Builder(Section):
    """What proposals are built with, and what building one may use; `nixos-container` only."""

    hyperhive: AbsolutePath | None = Field(None, description="the hyperhive flake's source")
    nixpkgs: AbsolutePath | None = Field(None, description="the nixpkgs source")
    nixpkgs_unstable: AbsolutePath | None = Field(None, description="the source of claude-code; by default `nixpkgs`")
    memory_max: MemorySize = Field("4G", description="memory of the evaluation of a proposal")
    timeout: Span = Field("1h", description="how long building a proposal may take")


class Systems(Section):
    """NixOS systems that containers run."""

    default: AbsolutePath | None = Field(None, description="store path of the system that all plain agents share")


class Limits(Section):
    """What one agent may use of the machine."""

    memory_max: Size | None = Field(None, description="memory; over it the kernel ends processes of the agent")
    cpu_quota: Percent | None = Field(None, description="processor time; 200% is two cores")
    tasks_max: int | None = Field(None, ge=8, description="processes and threads")


class DefaultLimits(Limits):
    """What every agent may use that does not say otherwise; null is no limit."""

    memory_max: Size | None = Field("4G", description="memory; over it the kernel ends processes of the agent")
    cpu_quota: Percent | None = Field("200%", description="processor time; 200% is two cores")
    tasks_max: int | None = Field(512, ge=8, description="processes and threads")


class Defaults(Section):
    """What every agent gets that does not say otherwise."""

    model: ModelName = Field("haiku", description="the model of agents that name none")
    tools: list[ToolName] = Field(default_factory=list, description="further tools for every agent")
    environment: dict[VariableName, str] = Field(default_factory=dict, description="environment of every claude")
    credentials: dict[VariableName, AbsolutePath] = Field(
        default_factory=dict, description="secrets of every agent: variable to file"
    )
    keep_warm_seconds: float = Field(
        120, ge=0, le=86400, description="seconds that a claude process is kept after a turn"
    )
    max_turn_minutes: Minutes = Field(60, description="minutes after which a turn is interrupted and counts as failed")
    limits: DefaultLimits = Field(default_factory=DefaultLimits)
    budget: Budget = Field(default_factory=Budget)


class AgentSettings(Section):
    """One declared agent."""

    model: ModelName | None = Field(None, description="its model; defaults to defaults.model")
    prompt: Prompt | None = Field(None, description="what it is told beside its name and the rules of the hive")
    system: AbsolutePath | None = Field(None, description="store path of its own NixOS system")
    config_file: AbsolutePath | None = Field(None, description="NixOS module of its own system")
    mutable: bool = Field(default=True, description="whether the manager may propose changes to it")
    mcp_servers: dict[McpName, McpServer] = Field(default_factory=dict, description="MCP servers of its own")
    tools: list[ToolName] = Field(default_factory=list, description="further tools beside those of defaults.tools")
    allowed_recipients: list[str] | None = Field(
        None, description="whom it may write to; without a list, everybody. The operator always"
    )
    environment: dict[VariableName, str] = Field(default_factory=dict, description="environment of its claude")
    credentials: dict[VariableName, AbsolutePath] = Field(
        default_factory=dict, description="its secrets: variable to file"
    )
    max_turn_minutes: Minutes | None = Field(None, description="defaults to defaults.maxTurnMinutes")
    limits: Limits = Field(default_factory=Limits)
    budget: Budget = Field(default_factory=Budget)
    schedules: Schedules = Field(default_factory=dict, description="messages that come again and again, by name")
    auto_start: bool = Field(default=True, description="whether it is started the first time the hive sees it")
    extra_nspawn_flags: list[NspawnFlag] = Field(
        default_factory=list, description="further arguments of systemd-nspawn; nixos-container only"
    )
    bind_mounts: dict[str, BindMount] = Field(
        default_factory=dict, description="directories of the host that it sees; nixos-container only"
    )

    @field_validator("bind_mounts")
    @classmethod
    def _places_can_be_bound(cls, mounts: dict[str, BindMount]) -> dict[str, BindMount]:
        for place in mounts:
            if str(_bindable(Path(place))) in _OWN_PLACES:
                msg = f"'{place}' is a place of the hive's own in every container; choose another"
                raise ValueError(msg)
        return mounts


class HiveSettings(BaseSettings):
    """Everything an operator can set for one hive."""

    model_config = SettingsConfigDict(
        extra="forbid", env_prefix="HYPERHIVE_", env_nested_delimiter="__", validate_default=False
    )

    version: Literal[1] = Field(1, description="version of this format")
    state_dir: Path = Field(Path(".hyperhive"), description="what the hive keeps; relative to the working directory")
    runtime_dir: Path | None = Field(None, description="sockets; by default `run` in the state directory")
    runtime: RuntimeName = Field("auto", description="how agents are run; auto is bubblewrap where it works")
    time_zone: Zone | None = Field(None, description="zone of schedules and days; by default this host's")
    group: GroupName | None = Field(None, description="group whose users may use the operator's socket; NixOS only")
    database: Database = Field(default_factory=Database)
    dashboard: Dashboard = Field(default_factory=Dashboard)
    operator: Operator = Field(default_factory=Operator)
    metrics: Metrics = Field(default_factory=Metrics)
    notifications: Notifications = Field(default_factory=Notifications)
    manager: Manager = Field(default_factory=Manager)
    approvals: Approvals = Field(default_factory=Approvals)
    systems: Systems = Field(default_factory=Systems)
    builder: Builder = Field(default_factory=Builder)
    defaults: Defaults = Field(default_factory=Defaults)
    budgets: Budget = Field(default_factory=Budget)
    agents: dict[AgentName, AgentSettings] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables win over the file; there is no other source."""
        return env_settings, init_settings

    @field_validator("agents")
    @classmethod
    def _agents_fit_together(cls, agents: dict[str, AgentSettings]) -> dict[str, AgentSettings]:
        if MANAGER in agents:
            msg = "'manager' is made by the hive itself; set its model and prompt under `manager`"
            raise ValueError(msg)
        for port, names in port_collisions(agents):
            both = " and ".join(repr(name) for name in names)
            msg = f"{both} get the same web port {port}, which follows from the name; rename one of them"
            raise ValueError(msg)
        return agents

    @model_validator(mode="after")
    def _recipients_could_exist(self) -> Self:
        # One that is not declared may be made at run time; preflight warns of it.
        for name, agent in self.agents.items():
            for recipient in agent.allowed_recipients or []:
                if recipient not in {OPERATOR, MANAGER, EVERYONE}:
                    try:
                        check_agent_name(recipient)
                    except ValueError as error:
                        msg = f"agents.{name}.allowedRecipients: {error}"
                        raise ValueError(msg) from None
        return self

    def model_of(self, name: str) -> str:
        """The declared model of an agent."""
        agent = self.agents.get(name)
        return (agent.model if agent else None) or self.defaults.model

    @property
    def declared(self) -> dict[str, AgentSettings]:
        """Every agent that the settings ask for, the manager among them where it is enabled."""
        if not self.manager.enable:
            return dict(self.agents)
        own = self.manager
        manager = AgentSettings(model=own.model, prompt=own.prompt, schedules=own.schedules)
        return {MANAGER: manager, **self.agents}

    def budget_of(self, name: str) -> Budget:
        """What an agent may use in a day: of each kind its own, else the default."""
        agent = self.agents.get(name)
        own = self.manager.budget if name == MANAGER else agent.budget if agent else Budget()
        given = {kind: value for kind in Budget.model_fields if (value := getattr(own, kind)) is not None}
        return self.defaults.budget.model_copy(update=given)
