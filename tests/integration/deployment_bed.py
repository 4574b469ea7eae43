"""A daemon whose deployments a test orders, with stand-ins for the repositories, the approvals and the builder."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

from lifecycle_bed import DEADLINE, Life, life

from hyperhive.hive.builder import NoBuilder
from hyperhive.hive.deployment import Deployment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from hyperhive.testing.fake_runtime import FakeRuntime


#: Seconds that a harness gets where none comes.
HURRY = 0.05


@dataclass
class Books:
    """What was tagged, decided and kept, in the order in which it was."""

    said: list[tuple[Any, ...]] = field(default_factory=list)
    main: dict[str, str] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: list[Exception] = field(default_factory=list)

    async def tag(self, agent: str, kind: str, approval_id: int, commit: str, note: str | None = None) -> None:
        if self.refusals:
            raise self.refusals.pop()
        self.said.append(("tag", kind, agent, approval_id, commit, note))

    async def advance(self, agent: str, commit: str) -> None:
        self.main[agent] = commit

    async def deploying(self, approval_id: int) -> None:
        self.said.append(("deploying", approval_id))

    async def deployed(self, approval_id: int, note: str | None) -> None:
        self.said.append(("deployed", approval_id, note))
        self.ended.set()

    async def deploy_failed(self, approval_id: int, reason: str) -> None:
        self.said.append(("failed", approval_id, reason))
        self.ended.set()

    def ends(self) -> list[tuple[Any, ...]]:
        """What the approvals were told in the end."""
        return [said for said in self.said if said[0] in {"deployed", "failed"}]

    def tags(self, agent: str) -> list[tuple[Any, ...]]:
        """Kind, number and note of every tag."""
        return [(said[1], said[3], said[5]) for said in self.said if said[0] == "tag" and said[2] == agent]


class KeptBuilder(NoBuilder):
    """A builder that remembers what it was told to keep and to forget."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, int]] = []
        self.forgotten: list[tuple[str, int]] = []

    async def keep(self, agent: str, approval_id: int) -> None:
        self.kept.append((agent, approval_id))

    async def forget(self, agent: str, approval_id: int) -> None:
        self.forgotten.append((agent, approval_id))


@dataclass
class Site:
    """A daemon, and what it keeps the books with."""

    life: Life
    deployment: Deployment
    books: Books
    builder: KeptBuilder

    def hurry(self) -> None:
        """From now on a harness has to connect soon."""
        self.deployment._patience = HURRY

    async def ended(self) -> tuple[Any, ...]:
        """What the next deployment that ends ends in."""
        async with asyncio.timeout(DEADLINE):
            await self.books.ended.wait()
            await self.deployment.idle()
        self.books.ended.clear()
        return self.books.ends()[-1]

    def system(self, name: str) -> Path | None:
        """What the agent was started on last."""
        plan = next(plan for plan in reversed(self.life.runtime.started) if plan.name == name)
        return plan.container.system if plan.container else None


@contextlib.asynccontextmanager
async def site(
    place: Path,
    agents: dict[str, Any],
    runtime: FakeRuntime | None = None,
    *,
    books: Books | None = None,
    patience: float = DEADLINE,
    **more: Any,  # noqa: ANN401 - JSON
) -> AsyncIterator[Site]:
    """A daemon until the end of the block."""
    kept, builder, made = books or Books(), KeptBuilder(), []

    def deployment(hive: Any, group: asyncio.TaskGroup) -> Deployment:  # noqa: ANN401 - the daemon's own
        hive.builder = builder
        one = Deployment(hive, group, patience=patience)
        one.tags = one.decisions = kept
        made.append(one)
        return one

    with mock.patch("hyperhive.hive.daemon.Deployment", deployment):
        async with life(place, agents, runtime, **more) as running:
            yield Site(running, made[0], kept, builder)
