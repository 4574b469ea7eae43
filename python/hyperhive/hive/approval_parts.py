"""What approvals need of the other parts, said as protocols: git, a builder, a deployment, agents made at run time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from hyperhive.shapes import OperationRow
    from hyperhive.wire import SpawnSpec


class FileChange(Protocol):
    """A file that two commits have differently."""

    @property
    def status(self) -> str:
        """`A`dded, `D`eleted, `M`odified, `R`enamed, `T`ype changed."""

    @property
    def path(self) -> str:
        """Where it is, or was."""

    @property
    def old_mode(self) -> str:
        """As git writes it."""

    @property
    def new_mode(self) -> str:
        """As git writes it."""


class CommitDiff(Protocol):
    """What a commit changes of another one."""

    @property
    def text(self) -> str:
        """For a person to read, bounded."""

    @property
    def truncated(self) -> bool:
        """Whether that is not all."""

    @property
    def files(self) -> Collection[FileChange]:
        """Every file that changes."""

    @property
    def follows(self) -> bool:
        """Whether the base is among the ancestors; where not, this undoes what came in between."""


class PinnedCommit(Protocol):
    """An approval's commit, as a tag has it."""

    @property
    def commit(self) -> str:
        """Its whole hash."""


class RepoPart(Protocol):
    """The repositories of the agents' configuration."""

    async def main(self, agent: str) -> str:
        """The commit that runs."""

    async def pin(self, agent: str, approval_id: int, commit: str, bundle: Path) -> str:
        """Take a proposal out of its bundle and tag it; its whole hash."""

    async def tag(self, agent: str, kind: Any, approval_id: int, commit: str, note: str | None = None) -> None:  # noqa: ANN401 - a Literal there
        """Say what became of a proposal; idempotent."""

    async def diff(self, agent: str, base: str, commit: str) -> CommitDiff:
        """What a commit changes of another one."""

    async def last(self, agent: str, kind: Any) -> PinnedCommit | None:  # noqa: ANN401 - a Literal there
        """The latest approval with a tag of this kind."""

    async def export(self, agent: str, commit: str, into: Path) -> None:
        """Write the files of a commit below a directory that it makes."""


class Built(Protocol):
    """What building gave."""

    @property
    def ok(self) -> bool:
        """Whether it may be approved."""

    @property
    def log(self) -> str:
        """What was said meanwhile."""

    @property
    def system(self) -> Path | None:
        """The store path that approving puts in."""

    @property
    def closure_diff(self) -> str | None:
        """How its closure differs from what runs."""

    @property
    def size_bytes(self) -> int | None:
        """Of the closure."""

    @property
    def units(self) -> tuple[str, ...]:
        """Those that would be restarted."""

    @property
    def reason(self) -> str | None:
        """Why it is not ok, in one sentence."""


class BuilderPart(Protocol):
    """Builds commits."""

    builds: bool

    async def build(self, agent: str, approval_id: int, source: Path) -> Built:
        """Build what lies in `source`."""

    async def forget(self, agent: str, approval_id: int) -> None:
        """The result is not wanted any more; idempotent."""


class DeploymentPart(Protocol):
    """Puts in what was approved, and tells `Approvals.deploying`, `deployed` or `deploy_failed`."""

    async def deploy(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        """Begin with it, or go on with it; returns once that is written down. Idempotent."""


class SpawnPart(Protocol):
    """Makes agents at run time."""

    def check(self, name: str, spec: SpawnSpec) -> None:
        """Refuse what cannot be made."""

    async def spawn(self, name: str, spec: SpawnSpec, by: str, reason: str | None = None) -> OperationRow:
        """Make it and start it."""


@dataclass(frozen=True)
class _Nothing:
    """Nothing was built."""

    ok: bool = True
    log: str = ""
    system: Path | None = None
    closure_diff: str | None = None
    size_bytes: int | None = None
    units: tuple[str, ...] = ()
    reason: str | None = None


class Unbuilt:
    """The builder where there is none."""

    builds = False

    async def build(self, agent: str, approval_id: int, source: Path) -> Built:  # noqa: ARG002
        """Say that there is nothing to say."""
        return _Nothing()

    async def forget(self, agent: str, approval_id: int) -> None:
        """There is nothing to forget."""


@dataclass
class Parts:
    """All of them; what needs the approvals itself is set once those are there."""

    repos: RepoPart
    builder: BuilderPart
    spawns: SpawnPart
    deployment: DeploymentPart | None = None
