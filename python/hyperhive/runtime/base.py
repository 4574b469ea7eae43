"""The protocol between the lifecycle and whatever runs an agent's harness.

A runtime is told what to run (`AgentPlan`) and tells when a run ended (`Exit`). It owns directories, uids and
processes; it knows nothing of messages, states or databases. `hyperhive.testing.contracts.runtime` is what every
runtime passes, the fake one included.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from pathlib import Path

    from hyperhive.runtime.container import Container

Change = Literal["none", "limits", "reload", "restart"]
"""What deploying a plan does to an agent that runs; only `restart` ends its turn."""

#: `Owner.peer_uid` where only a running agent has one: no process connects with it.
UNKNOWN_UID = -1


@dataclass(frozen=True)
class Owner:
    """Host-side owner of an agent's directories and of its socket, and the uid that its harness connects with.

    `peer_uid` is UNKNOWN_UID where it differs from run to run; `Runtime.is_peer` knows it then.
    """

    uid: int
    gid: int
    peer_uid: int


@dataclass(frozen=True)
class Repositories:
    """Host directories that the manager works in and nobody else sees.

    Attributes:
        proposed: for `/agents`: a directory for each agent, in which the manager prepares changes; writable.
        applied: for `/applied`: the hive's own bare repositories; read-only.
    """

    proposed: Path
    applied: Path


@dataclass(frozen=True)
class AgentPlan:
    """What to run.

    Attributes:
        name: a validated agent name.
        claude: host directory for `/root/.claude`.
        state: host directory for `/state`.
        shared: host directory for `/shared`, the same for all agents.
        socket_dir: host directory that holds `hive.sock`, for `/run/hive`. The directory is bound, never the file.
        log: host file that the harness's output is appended to. It belongs to the hive.
        credentials: secrets by name; the runtime hands them in as files, never as values.
        repositories: what only the manager has.
        container: what only `nixos-container` looks at, and cannot do without.
    """

    name: str
    claude: Path
    state: Path
    shared: Path
    socket_dir: Path
    log: Path
    credentials: Mapping[str, Path] = field(default_factory=dict)
    repositories: Repositories | None = None
    container: Container | None = None

    @property
    def credentials_dir(self) -> Path:
        """Host directory for `/run/credentials`: copies of the secrets, there only while the harness runs."""
        return self.socket_dir.parent.parent / "credentials" / self.name


@dataclass(frozen=True)
class Exit:
    """A harness that ended.

    Attributes:
        name: the agent.
        code: exit status, negative for a signal, as in `subprocess`.
        expected: whether `stop` was called for it.
        tail: the last lines of its output.
    """

    name: str
    code: int
    expected: bool
    tail: tuple[str, ...] = ()


def nobody_listens(_: object) -> None:
    """What `on_exit` and `on_output` are before somebody sets them."""


class Runtime(Protocol):
    """Runs harnesses.

    Every method is idempotent; failures are `HiveError`s. `on_exit` is called in the event loop, once for each run that
    ended, after the last of the run's processes is gone.

    Methods with a body are right as they are for a runtime whose agents are processes of the hive and end with it; such
    a runtime inherits them.
    """

    #: The value of `runtime` in the settings.
    name: str
    #: Whether harnesses go on when the hive ends. Where not, the hive brings them back at its start.
    survives_daemon: bool
    #: Sentences, each one thing that this runtime does not isolate. Shown at start and on the page.
    warnings: tuple[str, ...]
    #: Harnesses that may start at the same time without choking the machine.
    starts_at_once: int = 1000
    #: Set by the lifecycle before the first start.
    on_exit: Callable[[Exit], None]
    #: Set by whoever follows logs: called with an agent's name after its plan's log has grown.
    on_output: Callable[[str], None]

    def owner(self, name: str) -> Owner:
        """Who owns the agent's directories and socket; pure."""
        ...

    async def prepare(self, plan: AgentPlan) -> None:
        """Make the directories of `plan` with their owner and modes."""
        ...

    async def start(self, plan: AgentPlan) -> None:
        """Start the agent's harness and return once its process runs; a running one is left alone."""
        ...

    async def stop(self, name: str) -> None:
        """End every process of the agent and return once they are gone. Whatever should end gently was asked before."""
        ...

    def running(self) -> frozenset[str]:
        """Agents whose harness runs now."""
        ...

    async def close(self) -> None:
        """End every process of every agent, or, where they survive the daemon, leave them alone."""
        ...

    async def found(self) -> frozenset[str]:
        """Agents that an earlier hive left running. Asked once, at the start; `start` takes each of them over."""
        return frozenset()

    async def look(self) -> frozenset[str]:
        """Agents whose harness runs, looked at now because there is reason to doubt it; ends are told by `on_exit`."""
        return self.running()

    async def is_peer(self, name: str, uid: int) -> bool:
        """Whether the agent's harness is who connects with `uid`, as the agent runs now."""
        return uid == self.owner(name).peer_uid

    def change(self, plan: AgentPlan) -> Change:  # noqa: ARG002 - for those who deploy
        """What `deploy` would do to the agent as it runs now."""
        return "none"

    async def deploy(self, plan: AgentPlan) -> Change:  # noqa: ARG002
        """Bring what the agent runs on to `plan`, with a restart where needed; what does not run is not started."""
        return "none"

    def exists(self, name: str) -> bool:
        """Whether there is something of the agent that `destroy` would remove."""
        return name in self.running()

    async def destroy(self, name: str) -> None:
        """End the agent and remove everything that the runtime made, but none of the plan's directories."""
        await self.stop(name)

    async def journal(self, name: str, lines: int) -> tuple[str, ...] | None:  # noqa: ARG002
        """The last lines that the agent's harness said; None where they are in the plan's log."""
        return None

    def follow_journal(self, name: str, lines: int) -> AsyncGenerator[list[str], None] | None:  # noqa: ARG002
        """The last lines, then those that come; None where they are in the plan's log, and `on_output` tells."""
        return None
