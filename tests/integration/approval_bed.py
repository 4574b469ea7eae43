"""Approvals on a real store, with git, builder, deployment and spawned agents that the test decides about."""

# ruff: noqa: ANN401, ARG002, ASYNC240 - rows of the store and JSON; what others ask for; small files

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

from broker_bed import BrokerBed

from hyperhive.config import AgentSettings
from hyperhive.config import Approvals as Settings
from hyperhive.errors import HiveError
from hyperhive.hive.approvals import Approvals
from hyperhive.hive.layout import Layout
from hyperhive.hive.manager_events import ManagerEvents
from hyperhive.store import approvals, audit, messages
from hyperhive.wire import SpawnSpec

if TYPE_CHECKING:
    from pathlib import Path

BASE = "0" * 40


def commit(number: int) -> str:
    """The hash of a commit."""
    return f"{number:040x}"


@dataclass
class World:
    """What is outside of the hive, and stays when the hive is killed: repositories, systems, agents."""

    mains: dict[str, str] = field(default_factory=dict)
    tags: dict[tuple[str, str, int], tuple[str, str | None]] = field(default_factory=dict)
    #: What was ordered to be deployed, by approval.
    deployed: dict[int, str] = field(default_factory=dict)
    agents: dict[str, SimpleNamespace] = field(default_factory=dict)
    #: Results that are kept from the garbage collector.
    roots: set[int] = field(default_factory=set)


class FakeRepos:
    """Repositories in memory."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def main(self, agent: str) -> str:
        return self.world.mains.get(agent, BASE)

    async def pin(self, agent: str, approval_id: int, commit: str, bundle: Path) -> str:
        whole = bundle.read_text()
        if not whole.startswith(commit):
            raise HiveError("bad_proposal", "the bundle brings another commit", "")
        await self.tag(agent, "proposal", approval_id, whole)
        return whole

    async def tag(self, agent: str, kind: str, approval_id: int, commit: str, note: str | None = None) -> None:
        known = self.world.tags.setdefault((agent, kind, approval_id), (commit, note))
        if known[0] != commit:
            raise HiveError("wrong_state", "a tag is never moved", "")

    async def advance(self, agent: str, commit: str) -> None:
        self.world.mains[agent] = commit

    async def diff(self, agent: str, base: str, commit: str) -> Any:
        file = SimpleNamespace(status="M", path="agent.nix", old_mode="100644", new_mode="100644")
        return SimpleNamespace(text=f"from {base} to {commit}", truncated=False, files=(file,), follows=base == BASE)

    async def last(self, agent: str, kind: str) -> Any:
        found = [(key[2], tag) for key, tag in self.world.tags.items() if key[:2] == (agent, kind)]
        return SimpleNamespace(commit=max(found)[1][0]) if found else None

    async def export(self, agent: str, commit: str, into: Path) -> None:
        into.mkdir()
        (into / "agent.nix").write_text(commit)


class FakeBuilder:
    """Builds what the test says."""

    builds = True

    def __init__(self, world: World, reds: set[str], upon: str) -> None:
        self.world = world
        self.reds = reds
        #: What is built upon.
        self.upon = upon
        self.broken: set[str] = set()
        #: Set, a build waits until it is released.
        self.held: asyncio.Event | None = None
        self.started: asyncio.Queue[int] = asyncio.Queue()

    async def build(self, agent: str, approval_id: int, source: Path) -> Any:
        built = (source / "agent.nix").read_text()
        self.started.put_nowait(approval_id)
        if self.held is not None:
            await self.held.wait()
        if built in self.broken:
            raise HiveError("operation_failed", "the builder is broken", "Mend it")
        ok = built not in self.reds
        if ok:
            self.world.roots.add(approval_id)
        return SimpleNamespace(
            ok=ok,
            log="evaluating\nerror: undefined variable 'foo'\n",
            system=f"/nix/store/{built}" if ok else None,
            closure_diff="vim: ∅ → 9.0" if ok else None,
            size_bytes=1000 if ok else None,
            units=("sshd.service",) if ok else (),
            reason=None,
            base=self.upon,
        )

    def base(self, agent: str) -> str | None:
        return self.upon

    async def forget(self, agent: str, approval_id: int) -> None:
        self.world.roots.discard(approval_id)

    async def sweep(self, wanted: Any) -> None:
        self.world.roots &= {*wanted, *self.world.deployed}


class FakeDeployment:
    """Deploys in the steps of the real one."""

    def __init__(self, bed: ApprovalBed) -> None:
        self._bed = bed
        self.held: asyncio.Event | None = None

    async def deploy(self, row: Any) -> None:
        bed, approvals_, number = self._bed, self._bed.approvals, row.id
        await bed.repos.tag(row.agent, "approved", number, row.commit_hash)
        await approvals_.deploying(number)
        if self.held is not None:
            await self.held.wait()
        if row.commit_hash in bed.failing:
            await bed.repos.tag(row.agent, "failed", number, row.commit_hash, "no sign of life")
            await approvals_.deploy_failed(number, "no sign of life")
            return
        before = bed.world.deployed.setdefault(number, row.build["system"])
        assert before == row.build["system"], "what was shown is what is deployed"
        await bed.repos.tag(row.agent, "deployed", number, row.commit_hash)
        await bed.repos.advance(row.agent, row.commit_hash)
        await approvals_.deployed(number)


class FakeSpawns:
    """Makes agents in memory."""

    def __init__(self, bed: ApprovalBed) -> None:
        self._bed = bed
        self.failing: dict[str, HiveError] = {}

    def check(self, name: str, spec: SpawnSpec) -> None:
        if name in self._bed.world.agents:
            raise HiveError("name_taken", f"there is an agent '{name}'", "Choose another name")

    async def spawn(self, name: str, spec: SpawnSpec, by: str, reason: str | None = None) -> Any:
        self.check(name, spec)
        if name in self.failing:
            raise self.failing[name]
        self._bed.world.agents[name] = SimpleNamespace(tombstone=False, origin="spawned", spec=spec, by=by, why=reason)
        (self._bed.layout.of_agent(name) / "state").mkdir(parents=True)
        return None


class ApprovalBed(BrokerBed):
    """Approvals with all that they need, and a clock that the test moves."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.world = World()
        #: Commits that do not build, and those that do not start.
        self.reds: set[str] = set()
        self.failing: set[str] = set()
        self.upon = "nixpkgs 1"
        self.layout = Layout(directory, directory / "run")
        self.directory.live.add("manager")
        for name in ("alice", "bob"):
            self.world.agents[name] = SimpleNamespace(tombstone=False, origin="declared")
            (self.layout.of_agent(name) / "state").mkdir(parents=True)
        self.declared = {"alice": AgentSettings(), "bob": AgentSettings()}
        self.settings = SimpleNamespace(approvals=Settings(ttl="1h"), agents=self.declared)

    async def open(self) -> Self:
        await super().open()
        self.rows: list[tuple[int, str]] = []
        self.repos, self.builder = FakeRepos(self.world), FakeBuilder(self.world, self.reds, self.upon)
        self.deployment, self.spawns = FakeDeployment(self), FakeSpawns(self)
        hive: Any = SimpleNamespace(
            store=self.store,
            clock=self.clock,
            layout=self.layout,
            settings=self.settings,
            lifecycle=SimpleNamespace(find=self._find),
            roster=SimpleNamespace(agents=self.world.agents),
            manager_events=ManagerEvents(self.broker, self.directory),
            repos=self.repos,
            builder=self.builder,
            deployment=self.deployment,
            spawns=self.spawns,
        )
        self.approvals = Approvals(hive, self._told)
        await self.approvals.load()
        await self.approvals.begin()
        return self

    def purge(self, agent: str) -> None:
        """Forget an agent."""
        shutil.rmtree(self.layout.of_agent(agent), ignore_errors=True)
        self.world.agents.pop(agent, None)

    def _find(self, name: str) -> Any:
        if name not in self.world.agents:
            raise HiveError("unknown_agent", f"there is no agent '{name}'", "")
        return self.world.agents[name]

    def _told(self, row: Any) -> None:
        self.rows.append((row.id, row.status))

    async def close(self) -> None:
        await self.approvals.close()
        await super().close()

    async def restart(self, *, kill: bool) -> None:
        if kill:
            self.builder.held = self.deployment.held = None
            await self.approvals.close()
        await super().restart(kill=kill)

    # --- what a test does

    async def apply(self, number: int, agent: str = "alice", **more: Any) -> Any:
        """Propose a commit, and let it be built."""
        row = await self.propose(number, agent, **more)
        await self.idle()
        return await self.get(row.id)

    async def propose(self, number: int, agent: str = "alice", by: str = "manager", **more: Any) -> Any:
        bundle = self._place / f"bundle-{number}"
        bundle.write_text(commit(number))
        return await self.approvals.request_apply(by, agent, commit(number), bundle, **more)

    async def spawn(self, name: str = "carl", by: str = "manager", **more: Any) -> Any:
        return await self.approvals.request_spawn(by, name, SpawnSpec(description="tests"), **more)

    async def approve(self, row: Any, **more: Any) -> Any:
        return await self.approvals.approve(row.id, "operator", row.commit_hash, **more)

    async def get(self, number: int) -> Any:
        return await self.store.read(approvals.get, number)

    async def idle(self) -> None:
        """Let all that follows happen."""
        await self.approvals.deadlines.idle()
        await self.approvals.work.todo.idle()

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, and what is due happen."""
        self.clock.advance(seconds)
        self.approvals.deadlines.look()
        await self.approvals.deadlines.idle()
        self.approvals.work.look()
        await self.idle()

    async def events(self) -> list[tuple[int, str, str | None]]:
        """What the manager was told of approvals."""
        wanted = messages.Filter(sender="system", recipient="manager", limit=2000)
        said = [json.loads(row.body) for row in reversed(await self.store.read(messages.page, wanted))]
        return [(one["id"], one["status"], one["reason"]) for one in said if one["event"] == "approval_resolved"]

    async def audit(self) -> list[tuple[str, str, str, str | None]]:
        rows = await self.store.read(audit.page, None, 2000)
        return [(row.actor, row.action, row.subject, row.detail) for row in reversed(rows)]
