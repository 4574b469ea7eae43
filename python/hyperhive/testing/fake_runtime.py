"""A runtime without processes, for tests of everything above it.

It keeps the plans it was given and lets the test say when a harness ends. It passes the same contracts as the real ones
(`hyperhive.testing.contracts.runtime`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperhive.errors import HiveError
from hyperhive.runtime.base import Exit, Owner, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from hyperhive.runtime.base import AgentPlan


def _nobody_listens(_: Exit) -> None:
    """What `on_exit` is before somebody sets it."""


class FakeRuntime(Runtime):
    """An in-memory runtime.

    Attributes:
        prepared: every plan given to `prepare`, in order.
        started: every plan that a run was started with, in order.
        stopped: every name given to `stop`, in order.
        refusal: an error that the next `start` raises, once.
        closed: whether `close` was called.
    """

    name = "fake"
    survives_daemon = False
    warnings: tuple[str, ...] = ("nothing runs at all",)

    def __init__(self) -> None:
        self.on_exit: Callable[[Exit], None] = _nobody_listens
        self.prepared: list[AgentPlan] = []
        self.started: list[AgentPlan] = []
        self.stopped: list[str] = []
        self.refusal: HiveError | None = None
        self.closed = False
        self._running: set[str] = set()

    def owner(self, name: str) -> Owner:  # noqa: ARG002 - the protocol's
        """A uid that no test runs as."""
        return Owner(1000, 1000, 1000)

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
        for variable, source in plan.credentials.items():
            if not source.is_file():
                raise _missing(plan.name, variable, str(source))
        self.started.append(plan)
        self._running.add(plan.name)

    async def stop(self, name: str) -> None:
        """Say that the agent runs no more."""
        self.stopped.append(name)
        self._end(name, -9, expected=True)

    def running(self) -> frozenset[str]:
        """Agents that were started and not ended."""
        return frozenset(self._running)

    async def close(self) -> None:
        """Stop all."""
        self.closed = True
        for name in sorted(self._running):
            await self.stop(name)

    def crash(self, name: str, code: int = 1, tail: tuple[str, ...] = ()) -> None:
        """The harness of `name` ends by itself, as far as anybody can see."""
        self._end(name, code, expected=False, tail=tail)

    def _end(self, name: str, code: int, *, expected: bool, tail: tuple[str, ...] = ()) -> None:
        if name in self._running:
            self._running.remove(name)
            self.on_exit(Exit(name, code, expected, tail))


def _shutting_down(name: str) -> HiveError:
    return HiveError("shutting_down", f"'{name}' cannot be started: the hive is shutting down")


def _missing(name: str, variable: str, path: str) -> HiveError:
    msg = f"agents.{name}.credentials.{variable}: the file '{path}' cannot be read: No such file or directory"
    return HiveError("bad_config", msg, "Put the secret there, or correct the path", variable=variable)
