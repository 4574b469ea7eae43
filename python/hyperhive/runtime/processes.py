"""What all embedded runtimes share: one held process tree an agent, from its start to its `Exit`.

A subclass says what to run (`Launch`); here a run is started below a holder (`hyperhive.runtime.holder`), its output
goes to the log, its end is noticed and reported once, and everything of it is gone by then. Each run is one task,
owned by the runtime; operations on one agent wait for each other.
"""

from __future__ import annotations

import asyncio
import logging
import os
from abc import abstractmethod
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.runtime.base import Runtime, nobody_listens
from hyperhive.runtime.directories import (
    check_credentials,
    make_directories,
    place_credentials,
    remove_credentials,
)
from hyperhive.runtime.run import Run
from hyperhive.runtime.surroundings import Surroundings, default_command, find_surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hyperhive.runtime.base import AgentPlan, Change, Exit, Owner
    from hyperhive.runtime.owners import Hive
    from hyperhive.runtime.run import Launch

#: Seconds within which every process of an agent has to be gone after it was killed.
GONE_WITHIN: Final = 20

_log = logging.getLogger(__name__)


class ProcessTrees(Runtime):
    """A runtime whose agents are process trees below this process, and end with it.

    Args:
        hive: the user that the hive runs as.
        command: how a harness is started.
        environment: more for the environment of each harness.
        surroundings: what of the host it needs; found out by default.
    """

    name: str
    survives_daemon = False
    starts_at_once = max(4, 2 * (os.cpu_count() or 1))
    warnings: tuple[str, ...]
    #: Mode of the hive's directories above an agent's.
    parents = 0o700

    def __init__(
        self,
        hive: Hive,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.on_exit: Callable[[Exit], None] = nobody_listens
        self.on_output: Callable[[str], None] = nobody_listens
        self._hive = hive
        self._command = tuple(command or default_command())
        self._surroundings = surroundings or find_surroundings(self._command)
        self._environment = self._surroundings.environment(environment or {})
        self._runs: dict[str, Run] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._closed = False

    @abstractmethod
    def _check(self, plan: AgentPlan) -> None:
        """Raise a HiveError for what would keep the harness from starting."""

    @abstractmethod
    def _launch(self, plan: AgentPlan) -> Launch:
        """How to start the harness; whatever it opens, the run closes."""

    def owner(self, name: str) -> Owner:
        """Who owns the agent's directories and socket; pure."""
        return self._hive.owner(name)

    def running(self) -> frozenset[str]:
        """Agents whose harness runs now."""
        return frozenset(name for name, run in self._runs.items() if run.is_running)

    async def prepare(self, plan: AgentPlan) -> None:
        """Make the directories of `plan` with their owner and modes."""
        make_directories(plan, self.owner(plan.name), privileged=self._hive.privileged, parents=self.parents)

    async def start(self, plan: AgentPlan) -> None:
        """Start the agent's harness and return once its process runs; a running one is left alone.

        Raises:
            HiveError: `bad_config` for an unreadable secret, `sandbox_unreadable` for a closed directory,
                `runtime_unavailable` where the program cannot be started, `shutting_down` after `close`.
        """
        async with self._locks[plan.name]:
            while run := self._runs.get(plan.name):
                if not run.ending:
                    return
                await self._gone(run)
            if self._closed:
                msg = f"'{plan.name}' cannot be started: the hive is shutting down"
                refusal = HiveError("shutting_down", msg, "Start it when the hive is up again")
                raise refusal
            await self.prepare(plan)
            self._check(plan)
            await self._begin(plan)

    async def _begin(self, plan: AgentPlan) -> None:
        place_credentials(plan, self.owner(plan.name), privileged=self._hive.privileged)
        try:
            run = Run(plan, self._launch(plan), self._ended, lambda: self.on_output(plan.name))
        except BaseException:
            remove_credentials(plan)
            raise
        self._runs[plan.name] = run
        try:
            await asyncio.shield(run.started)
        except asyncio.CancelledError:
            # Nobody will know of it, so it must not go on; its task reports the end.
            run.end()
            raise

    def _ended(self, run: Run, end: Exit | None) -> None:
        """The last process of `run` is gone. Without `end` it never ran."""
        del self._runs[run.plan.name]
        try:
            remove_credentials(run.plan)
        except OSError as error:
            _log.warning("secrets of '%s' are left behind: %s", run.plan.name, error)
        if end is None:
            return
        try:
            self.on_exit(end)
        except Exception:  # noqa: BLE001 - a listener's fault must not end the runtime
            _log.exception("the report of the end of '%s' failed", run.plan.name)

    async def stop(self, name: str) -> None:
        """End every process of the agent and return once they are gone.

        Raises:
            HiveError: `operation_failed` if the kernel does not let go of one within 20 seconds.
        """
        async with self._locks[name]:
            if run := self._runs.get(name):
                run.end()
                await self._gone(run)

    def change(self, plan: AgentPlan) -> Change:
        """What `deploy` would do to the harness: what it was started with cannot be changed under it."""
        run = self._runs.get(plan.name)
        return "none" if run is None or _without_container(run.plan) == _without_container(plan) else "restart"

    async def deploy(self, plan: AgentPlan) -> Change:
        """Start the harness anew where `plan` is another one than it runs on.

        Raises:
            HiveError: as for `start`; what can be known before leaves the harness running as it is.
        """
        change = self.change(plan)
        if change == "restart":
            await self.prepare(plan)
            self._check(plan)
            check_credentials(plan)
            await self.stop(plan.name)
            await self.start(plan)
        return change

    async def _gone(self, run: Run) -> None:
        # Waiting is cancelled with the caller, the run is not.
        done, _ = await asyncio.wait({run.task}, timeout=GONE_WITHIN)
        if not done:
            msg = f"processes of '{run.plan.name}' are still there {GONE_WITHIN} s after they were killed"
            refusal = HiveError("operation_failed", msg, "Look for processes in state D: a disk or network drive hangs")
            raise refusal

    async def close(self) -> None:
        """End every process of every agent; nothing can be started afterwards.

        Raises:
            HiveError: as for `stop`, after all others are gone.
        """
        self._closed = True
        # Those that are starting hold their lock: the names of all that have one, not only of those that run.
        results = await asyncio.gather(*(self.stop(name) for name in list(self._locks)), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result


def _without_container(plan: AgentPlan) -> AgentPlan:
    return replace(plan, container=None)
