"""A runtime without processes, for tests of everything above it.

It keeps the plans it was given and lets the test say when a harness ends. It passes the same contracts as the real ones
(`hyperhive.testing.contracts.runtime`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hyperhive.errors import HiveError
from hyperhive.runtime.base import Exit, Owner, Runtime, nobody_listens
from hyperhive.runtime.container import ContainerLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from hyperhive.runtime.base import AgentPlan, Change


@dataclass
class Gate:
    """A closed door in `start` or `look`.

    Attributes:
        reached: somebody stands before it.
        opened: set by the test to let everybody through.
    """

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        """Stand before it."""
        self.reached.set()
        await self.opened.wait()


class FakeRuntime(Runtime):
    """An in-memory runtime.

    Args:
        owner: whose the agents are; by default a uid that no test runs as.
        survives_daemon: whether `close` leaves everything running, for `successor` to find.
        starts_at_once: how many may start at a time.

    Attributes:
        prepared: every plan given to `prepare`, in order.
        started: every plan that a run was started with, in order.
        stopped: every name given to `stop`, in order.
        deployed: name and change of every `deploy`, in order.
        destroyed: every name given to `destroy`, in order.
        looks: how often `look` was called.
        gates: doors that `start` of an agent stops at, before it runs.
        look_gate: a door that `look` stops at.
        after_start: called with a name once it runs, before `start` returns.
        refusal: an error that the next `start` raises, once.
        deploy_refusal: an error that every `deploy` raises, before it does anything.
        closed: whether `close` was called.
    """

    name = "fake"
    warnings: tuple[str, ...] = ("nothing runs at all",)

    def __init__(
        self, owner: Owner | None = None, *, survives_daemon: bool = False, starts_at_once: int = 1000
    ) -> None:
        self.on_exit: Callable[[Exit], None] = nobody_listens
        self.on_output: Callable[[str], None] = nobody_listens
        self.survives_daemon = survives_daemon
        self.starts_at_once = starts_at_once
        self.prepared: list[AgentPlan] = []
        self.started: list[AgentPlan] = []
        self.stopped: list[str] = []
        self.deployed: list[tuple[str, Change]] = []
        self.destroyed: list[str] = []
        self.looks = 0
        self.gates: dict[str, Gate] = {}
        self.look_gate: Gate | None = None
        self.after_start: Callable[[str], object] | None = None
        self.refusal: HiveError | None = None
        self.deploy_refusal: Exception | None = None
        self.closed = False
        self._owner = owner or Owner(1000, 1000, 1000)
        self._running: dict[str, AgentPlan] = {}
        self._made: set[str] = set()

    def successor(self) -> FakeRuntime:
        """The runtime of the next hive: what is there, and runs if it survives, is found by it."""
        made = FakeRuntime(self._owner, survives_daemon=self.survives_daemon, starts_at_once=self.starts_at_once)
        made._running, made._made = dict(self._running), set(self._made)
        return made

    def gate(self, name: str) -> Gate:
        """Close a door in the starts of an agent."""
        self.gates[name] = made = Gate()
        return made

    def block_looks(self) -> Gate:
        """Close a door in every look."""
        self.look_gate = made = Gate()
        return made

    def owner(self, name: str) -> Owner:  # noqa: ARG002 - the protocol's
        """The same for all."""
        return self._owner

    async def prepare(self, plan: AgentPlan) -> None:
        """Record the plan and make its directories, without owners."""
        self.prepared.append(plan)
        for directory in (plan.claude, plan.state, plan.shared, plan.socket_dir, plan.log.parent):
            directory.mkdir(parents=True, exist_ok=True)

    async def start(self, plan: AgentPlan) -> None:
        """Say that the agent runs."""
        if plan.name in self._running:
            return
        refusal, self.refusal = self.refusal, None
        if refusal:
            raise refusal
        if self.closed:
            raise _shutting_down(plan.name)
        await self.prepare(plan)
        _check_secrets(plan)
        if gate := self.gates.get(plan.name):
            await gate.wait()
        self.started.append(plan)
        self._running[plan.name] = plan
        self._made.add(plan.name)
        if self.after_start:
            done = self.after_start(plan.name)
            if asyncio.iscoroutine(done):
                await done

    async def stop(self, name: str) -> None:
        """Say that the agent runs no more."""
        self.stopped.append(name)
        self._end(name, -9, expected=True)

    def running(self) -> frozenset[str]:
        """Agents that were started and not ended."""
        return frozenset(self._running)

    async def found(self) -> frozenset[str]:
        """Those of the runtime that this one is the successor of."""
        return self.running()

    async def look(self) -> frozenset[str]:
        """Count, and say what runs."""
        self.looks += 1
        if self.look_gate:
            await self.look_gate.wait()
        return self.running()

    def change(self, plan: AgentPlan) -> Change:
        """Limits where they alone are others, else a restart where anything is."""
        before = self._running.get(plan.name)
        if before is None or before == plan:
            return "none"
        return "limits" if _without_limits(before) == _without_limits(plan) else "restart"

    async def deploy(self, plan: AgentPlan) -> Change:
        """Take the plan over, with a new run where that takes a restart."""
        change = self.change(plan)
        if self.deploy_refusal:
            raise self.deploy_refusal
        if change == "restart":
            _check_secrets(plan)
        self.deployed.append((plan.name, change))
        if change == "restart":
            await self.stop(plan.name)
            await self.start(plan)
        elif change == "limits":
            self._running[plan.name] = plan
        return change

    def exists(self, name: str) -> bool:
        """Whether it was started and not destroyed: like a container, it is there when it is stopped, too."""
        return name in self._made

    async def destroy(self, name: str) -> None:
        """Say that nothing is left of it."""
        await self.stop(name)
        self.destroyed.append(name)
        self._made.discard(name)

    async def close(self) -> None:
        """Stop all, unless they survive."""
        self.closed = True
        if not self.survives_daemon:
            for name in sorted(self._running):
                await self.stop(name)

    def crash(self, name: str, code: int = 1, tail: tuple[str, ...] = ()) -> None:
        """The harness of `name` ends by itself, as far as anybody can see."""
        self._end(name, code, expected=False, tail=tail)

    def _end(self, name: str, code: int, *, expected: bool, tail: tuple[str, ...] = ()) -> None:
        if name in self._running:
            del self._running[name]
            self.on_exit(Exit(name, code, expected, tail))


def _shutting_down(name: str) -> HiveError:
    return HiveError("shutting_down", f"'{name}' cannot be started: the hive is shutting down")


def _without_limits(plan: AgentPlan) -> AgentPlan:
    return replace(plan, container=plan.container and replace(plan.container, limits=ContainerLimits()))


def _check_secrets(plan: AgentPlan) -> None:
    for variable, source in plan.credentials.items():
        if not source.is_file():
            raise _missing(plan.name, variable, str(source))


def _missing(name: str, variable: str, path: str) -> HiveError:
    msg = f"agents.{name}.credentials.{variable}: the file '{path}' cannot be read: No such file or directory"
    return HiveError("bad_config", msg, "Put the secret there, or correct the path", variable=variable)
