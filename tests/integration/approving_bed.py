"""A daemon with real git, approvals and deployments, whose builder says what it would have built."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from deployment_bed import HURRY
from hive_bed import over
from lifecycle_bed import DEADLINE, Change, Harness, Life, life
from repo_bed import Proposed

from hyperhive.hive.builder import BuildResult, NoBuilder
from hyperhive.hive.deployment import Deployment
from hyperhive.hive.repos import Repos

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_OLD = Path("/nix/store/old")


class StoreBuilder(NoBuilder):
    """Builds a system of the name that stands in `agent.nix`; `broken` does not build.

    Attributes:
        roots: what is kept for approvals.
        kept: of each agent, under which number what runs is kept.
        upon: what it builds upon; another word than the first is part of a system's name.
        refuses: names of systems that do not build.
        built: names of all systems that were to be built.
        forgotten: approvals whose results are not wanted any more.
        begun: is told of each build.
        held: names of systems that are built only when it `may_go_on`.
    """

    builds = True

    def __init__(self) -> None:
        self.roots: dict[int, str] = {}
        self.kept: dict[str, tuple[int, str]] = {}
        self.upon: str | None = "nixpkgs"
        self.refuses: set[str] = set()
        self.built: list[str] = []
        self.forgotten: list[int] = []
        self.begun = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.held: set[str] = set()

    async def build(self, agent: str, approval_id: int, source: Path) -> BuildResult:  # noqa: ARG002
        content = (source / "agent.nix").read_text().strip()
        base = self.upon
        if base not in {None, "nixpkgs"}:
            content = f"{content}-{base}"
        self.built.append(content)
        self.begun.set()
        if content in self.held:
            await self.may_go_on.wait()
        if content in self.refuses:
            return BuildResult(ok=False, log="error: gone", reason="it is gone")
        if content == "broken":
            return BuildResult(ok=False, log="error: undefined variable 'broken'", reason="undefined variable 'broken'")
        self.roots[approval_id] = content
        return BuildResult(ok=True, log="built", system=Path("/nix/store", content), size_bytes=7, base=base)

    async def keep(self, agent: str, approval_id: int) -> None:
        if (content := self.roots.pop(approval_id, None)) is not None:
            self.kept[agent] = approval_id, content

    async def forget(self, agent: str, approval_id: int) -> None:  # noqa: ARG002
        self.roots.pop(approval_id, None)
        self.forgotten.append(approval_id)

    def base(self, agent: str) -> str | None:  # noqa: ARG002
        return self.upon


@dataclass
class Site:
    """A daemon with a manager who proposes, and an operator."""

    hive: Life
    manager: Harness
    builder: StoreBuilder
    repository: Proposed
    deployment: Deployment

    def hurry(self) -> None:
        """From now on a harness has to connect soon."""
        self.deployment._patience = HURRY

    async def propose(self, content: str) -> dict[str, Any]:
        """Commit a configuration and ask for it; once it is built, its approval."""
        commit = self.repository.commit({"agent.nix": content})
        bundle = self.repository.bundle(commit).read_bytes()
        async with over(self.hive.agent_socket("manager")) as client:
            query = {"agent": "alice", "commit": commit[:12], "description": content}
            answer = await client.post("/v1/config-proposals", params=query, content=bundle)
        assert answer.status_code == 201, answer.text
        number: int = answer.json()["id"]
        await self.until(number, "pending", "failed")
        return await self.get(number)

    async def get(self, number: int) -> dict[str, Any]:
        row: dict[str, Any] = await self.hive.operator.ask("GET", f"/api/approvals/{number}")
        return row

    async def approve(self, row: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        return await self.hive.operator.ask("POST", f"/api/approvals/{row['id']}/approve", {"commit": row["commit"]})

    async def until(self, number: int, *statuses: str) -> dict[str, Any]:
        def wanted(change: Change) -> bool:
            data = change["data"]
            return change["type"] == "approval" and data["id"] == number and data["status"] in statuses

        _, change = await self.hive.watch.since(0, wanted)
        row: dict[str, Any] = change["data"]
        return row

    async def told(self, kind: str = "approval_resolved") -> dict[str, Any]:
        """The next thing that the manager is told of an approval, or of something else."""
        async with asyncio.timeout(DEADLINE):
            while True:
                body = {"max": 1, "waitSeconds": 10, "instance": self.manager.instance}
                for message in (await self.manager.ask("/v1/recv", body))["deliveries"]:
                    await self.manager.outcome(message["id"])
                    if message["body"].startswith("{"):
                        event: dict[str, Any] = json.loads(message["body"])
                        if event["event"] == kind:
                            return event

    def system(self) -> str:
        """What alice was started on last."""
        plan = next(plan for plan in reversed(self.hive.runtime.started) if plan.name == "alice")
        assert plan.container is not None
        assert plan.container.system is not None
        return plan.container.system.name

    def main(self) -> str:
        self.repository.git("fetch", "--quiet", "--tags", "origin")
        return self.repository.git("show", "origin/main:agent.nix")

    def tags(self) -> set[str]:
        return set(self.repository.git("tag", "--list").splitlines())


@contextlib.asynccontextmanager
async def daemon(place: Path, builder: StoreBuilder) -> AsyncIterator[tuple[Life, Deployment]]:
    """The daemon until the end of the block; alice has a repository then."""
    provided, real = asyncio.Event(), Repos.provide
    made: list[Deployment] = []

    def deployment(hive: Any, group: asyncio.TaskGroup) -> Deployment:  # noqa: ANN401 - the daemon's own
        made.append(Deployment(hive, group, patience=DEADLINE))
        return made[0]

    async def provide(repos: Repos, agent: str, *arguments: Any) -> None:  # noqa: ANN401 - passed on
        await real(repos, agent, *arguments)
        if agent == "alice":
            provided.set()

    with contextlib.ExitStack() as stack:
        name = "hyperhive.hive.daemon"
        stack.enter_context(mock.patch.object(Repos, "provide", provide))
        stack.enter_context(mock.patch(f"{name}.select_builder", return_value=builder))
        stack.enter_context(mock.patch(f"{name}.Deployment", deployment))
        systems = {"default": str(_OLD)}
        async with life(place, {"alice": {}}, manager={"enable": True}, systems=systems) as hive:
            async with asyncio.timeout(DEADLINE):
                await provided.wait()
            yield hive, made[0]


@contextlib.asynccontextmanager
async def approving(place: Path, builder: StoreBuilder | None = None) -> AsyncIterator[Site]:
    """The same with a manager who proposes, until the end of the block."""
    made = builder or StoreBuilder()
    async with daemon(place, made) as (hive, deployment):
        repository = Proposed(place / "proposed", place / "state" / "applied" / "alice.git")
        await hive.up("alice")
        yield Site(hive, await hive.up("manager"), made, repository, deployment)
