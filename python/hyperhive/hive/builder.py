"""The protocol between approvals and whatever builds an agent's system before anybody is asked to approve it.

A builder gets a tree of files that an agent wrote, as `Repos.export` laid it out, and gives back what the operator is
shown: whether it builds, what was said meanwhile, and how the result differs from what the agent runs. It decides
nothing and changes nothing that runs. `NixBuilder` (`hive.nix_builder`) is the one for containers of NixOS; where
agents are processes of this machine there is nothing to build, and the flow is the same with `NoBuilder`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What building a proposal gave.

    Attributes:
        ok: whether it may be approved.
        log: what was said, bounded; its last line says what went wrong.
        system: store path of the NixOS system; None where nothing is built.
        closure_diff: how its closure differs from that of what the agent runs, as `nix store diff-closures` says it.
        size_bytes: of the closure.
        units: names of the units of systemd that a switch would start anew.
        reason: why it is not ok, in one sentence.
        base: a word for all that it was built with beside the proposal, as `Builder.base` says it.
    """

    ok: bool
    log: str = ""
    system: Path | None = None
    closure_diff: str | None = None
    size_bytes: int | None = None
    units: tuple[str, ...] = ()
    reason: str | None = None
    base: str | None = None


class Builder(Protocol):
    """Builds systems, one at a time. What it built is kept from the garbage collector until `forget`."""

    #: Whether anything is built at all. Where not, the result has no system and its status is `none`.
    builds: bool

    async def build(self, agent: str, approval_id: int, source: Path) -> BuildResult:
        """Build the proposal whose files lie in `source`; cancelled, it ends every process that it started.

        Raises:
            HiveError: it could not even be tried. What is wrong with the proposal itself stands in the result.
        """
        ...

    async def keep(self, agent: str, approval_id: int) -> None:
        """The result of this approval runs: it and the two before it stay."""
        ...

    async def forget(self, agent: str, approval_id: int) -> None:
        """The result of this approval is not wanted any more. Idempotent."""
        ...

    async def purge(self, agent: str) -> None:
        """Nothing of this agent is kept any more."""
        ...

    def base(self, agent: str) -> str | None:
        """A word for all that an agent's system is built with beside its own tree; None where nothing is built."""
        ...

    async def sweep(self, wanted: Collection[int]) -> None:
        """Forget every result but those of the approvals in `wanted` and those that were kept."""
        ...

    async def close(self) -> None:
        """End what is being built."""
        ...


class NoBuilder(Builder):
    """Builds nothing: what an agent runs on is not made of its configuration here."""

    builds = False

    async def build(self, agent: str, approval_id: int, source: Path) -> BuildResult:  # noqa: ARG002
        """Nothing to build, so nothing that could fail."""
        return BuildResult(ok=True, log="Nothing was built: this runtime runs agents as processes of this machine.\n")

    async def keep(self, agent: str, approval_id: int) -> None:
        """Nothing to keep."""

    async def forget(self, agent: str, approval_id: int) -> None:
        """Nothing to forget."""

    async def purge(self, agent: str) -> None:
        """Nothing to forget."""

    def base(self, agent: str) -> str | None:  # noqa: ARG002 - the protocol's
        """Nothing is built with anything."""
        return None

    async def sweep(self, wanted: Collection[int]) -> None:
        """Nothing to sweep."""

    async def close(self) -> None:
        """Nothing to end."""
