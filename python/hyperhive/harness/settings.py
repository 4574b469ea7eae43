"""Where a harness finds its things and how long it waits: read once at the start, passed in everywhere else."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Mapping

_REQUIRED: Final = ("HIVE_SOCKET", "HIVE_STATE", "HIVE_SHARED", "CLAUDE_CONFIG_DIR")
#: Variables that are the harness's own: what it starts does not inherit them.
OWN_VARIABLES: Final = (
    *("HIVE_SOCKET", "HIVE_STATE", "HIVE_SHARED", "CREDENTIALS_DIRECTORY"),
    *("HIVE_PROPOSED", "HIVE_APPLIED"),
)


@dataclass(frozen=True, slots=True)
class Timings:
    """Every wait of the harness, in seconds; tests shorten them."""

    recv: float = 180
    """How long one recv stays parked at the hive."""
    poll: float = 120
    """How long one command poll stays parked; the next follows at once."""
    backoff: tuple[float, float] = (0.1, 1)
    """First and longest pause between tries while the hive is away."""
    tool_retries: tuple[float, ...] = (2, 4, 8, 16, 30)
    """Pauses between the tries of a tool while the hive is away."""
    login_look: float = 10
    """Between two looks for a login, beside those that its files call for by changing."""
    login_retry: float = 300
    """Until a refused login from the environment is tried again."""
    sign_in: float = 600
    """What a sign-in gets, from its start to its end."""
    sign_in_silence: float = 3
    """After words about a code: whether more follow, or another code is wanted."""
    rate_limit: float = 300
    """How long to rest where a rate limit names no time of its own."""
    overloaded: float = 60
    """How long to rest after the API said that it is overloaded."""
    model_retry: float = 300
    """Until a model that the API refused is tried again."""
    no_claude: float = 30
    """Until a missing claude program is looked for again."""
    interrupt: float = 5
    """Until an interrupt without effect becomes the end of the process."""
    stop_grace: float = 5
    """What a running turn gets after SIGTERM or SIGINT."""
    flush: float = 3
    """What events, reports and the last outcome get at the end."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The directories and the socket of one agent, and the word that names this process."""

    socket: Path
    state: Path
    shared: Path
    claude_config: Path
    credentials: Path | None = None
    proposed: Path | None = None
    """Where the manager prepares changes of the agents' configuration; for others there is nothing there."""
    applied: Path | None = None
    """The hive's repositories of that configuration, read-only; likewise."""
    timings: Timings = field(default_factory=Timings)
    instance: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Read the variables that a runtime sets.

        Raises:
            HiveError: `bad_config`, naming what is missing.
        """
        missing = [name for name in _REQUIRED if not environ.get(name)]
        if missing:
            raise HiveError(
                "bad_config",
                f"{', '.join(missing)} not set",
                "The hive's runtime starts the harness and sets it; by hand, set all of " + ", ".join(_REQUIRED),
            )
        credentials = environ.get("CREDENTIALS_DIRECTORY")
        return cls(
            socket=Path(environ["HIVE_SOCKET"]),
            state=Path(environ["HIVE_STATE"]),
            shared=Path(environ["HIVE_SHARED"]),
            claude_config=Path(environ["CLAUDE_CONFIG_DIR"]),
            credentials=Path(credentials) if credentials else None,
            proposed=Path(proposed) if (proposed := environ.get("HIVE_PROPOSED")) else None,
            applied=Path(applied) if (applied := environ.get("HIVE_APPLIED")) else None,
        )
