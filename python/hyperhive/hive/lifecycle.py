"""Bringing agents to what is wanted for them, and noticing when they are not.

What is wanted stands in the database and is changed only by the operator (`actions`) and the settings. `reconcile`
compares it with what runs; all that follows from it is an operation, one after the other for each agent. A harness that
ends by itself is a crash: what it held goes back, and it is started again, at once at first, slower each time, and
after too many crashes in a short while it is left and shown as failed.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.hive.crashes import Crashes
from hyperhive.hive.declaration import declare
from hyperhive.hive.deploys import Deploys
from hyperhive.hive.roster import collision
from hyperhive.hive.signs import Signs
from hyperhive.hive.starts import Starts
from hyperhive.names import nearest
from hyperhive.runtime.container import container_of
from hyperhive.store import agents
from hyperhive.store.agents import Wanted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hyperhive.hive.hive import Hive
    from hyperhive.hive.roster import Agent
    from hyperhive.runtime.base import AgentPlan, Exit

_log = logging.getLogger(__name__)

#: Seconds that a running turn gets to end when its agent is stopped.
STOP_GRACE: Final = 60.0
#: Characters of a crash's reason that the manager is told.
_TOLD: Final = 1000
#: Seconds that a harness gets beside its grace, to give its message back and go.
_LEAVE: Final = 8.0


class Lifecycle:
    """Starts, stops and watches the agents of a hive.

    Args:
        hive: the parts that it works with.
        group: owns what goes on in the background.
    """

    def __init__(self, hive: Hive, group: asyncio.TaskGroup) -> None:
        self._hive = hive
        self._group = group
        self._crashes = Crashes()
        self._starts = Starts(hive.runtime.starts_at_once)
        self._signs = Signs(hive.runtime, hive.commands, group, self._is_silent)
        self._deploys = Deploys(hive, self)
        self._stopping: set[str] = set()
        #: Whose harness, as it runs now, has polled.
        self._heard: set[str] = set()
        #: Set whenever something about an agent changed that somebody waits for.
        self._watched: dict[str, asyncio.Event] = {}
        self._restarts: set[asyncio.Task[None]] = set()
        self._closing = False
        hive.runtime.on_exit = self._ended

    # --- what is wanted, and what is

    async def take_over(self) -> None:
        """Find what an earlier hive left running and open its sockets; it is not disturbed, and nothing is started."""
        found = await self._hive.runtime.found()
        known = [self._hive.roster.agents[name] for name in found if name in self._hive.roster.agents]
        for name in found - {agent.name for agent in known}:
            _log.warning("there is a container of '%s', whom nobody knows; look at it: machinectl list", name)
        wanted = [agent for agent in known if not agent.tombstone and agent.wanted != "stopped"]
        await asyncio.gather(*(self._take_over(agent) for agent in wanted))

    async def _take_over(self, agent: Agent) -> None:
        try:
            await self.bring_up(agent)
        except HiveError as error:
            _log.error("'%s' runs and cannot be taken over: %s", agent.name, error)

    async def reconcile(self) -> tuple[list[str], list[str], list[asyncio.Task[None]]]:
        """Queue what brings everything to what is wanted: starts, stops, removals, and what the settings changed.

        Returns:
            Names of agents that are started, names of those that are stopped or removed, and all the work.
        """
        await declare(self._hive)
        hive = self._hive
        await hive.approvals.look_again()
        running = hive.runtime.running()
        everybody = list(hive.roster.agents.values())
        begin = [a for a in everybody if not a.tombstone and a.wanted != "stopped" and a.name not in running]
        end = [a for a in everybody if not a.tombstone and a.wanted == "stopped" and a.name in running]
        bury = [a for a in everybody if a.tombstone and self._is_left_of(a)]
        tasks = [self._queue(agent.name, "start", partial(self._start_wanted, agent)) for agent in begin]
        tasks += [self._queue(agent.name, "stop", partial(self._stop_unwanted, agent)) for agent in end]
        tasks += [self._queue(agent.name, "destroy", partial(self._remove_tombstone, agent)) for agent in bury]
        for agent in everybody:
            if agent not in end and agent.name in running:
                tasks += self._deploys.look(agent)
        hive.upgrades.look()
        return [agent.name for agent in begin], [agent.name for agent in (*end, *bury)], tasks

    def _is_left_of(self, agent: Agent) -> bool:
        """Whether something runs or lies there for an agent that is none, or is about to."""
        return self._hive.runtime.exists(agent.name) or agent.fact != "stopped" or agent.operation is not None

    def _queue(self, name: str, kind: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return self._hive.operations.begin(name, kind, work)[1]

    def plan(self, agent: Agent) -> AgentPlan:
        """What the agent should run on, by the settings in force."""
        hive = self._hive
        credentials = {**hive.settings.defaults.credentials, **agent.settings.credentials}
        container = container_of(hive.settings, agent.name, hive.deployment.system(agent.name))
        return replace(hive.layout.plan(agent.name, credentials), container=container)

    # --- who and what

    def find(self, name: str) -> Agent:
        """The agent of that name.

        Raises:
            HiveError: `unknown_agent` with the nearest names.
        """
        agent = self._hive.roster.agents.get(name)
        if agent is None or agent.tombstone:
            near = nearest(name, self._hive.roster.members())
            hint = f"Did you mean {' or '.join(near)}?" if near else "See: hyperhive list"
            if agent is not None:
                hint = f"It was destroyed; hyperhive revive {name} brings it back"
            raise HiveError("unknown_agent", f"there is no agent {name!r}", hint, nearest=near)
        return agent

    async def want(self, agent: Agent, wanted: str) -> None:
        """Write down what is wanted of the agent from now on; who pauses it shuts its mailbox."""
        if agent.wanted != wanted:
            hive = self._hive
            await hive.store.submit(agents.set_wanted, Wanted(agent.name, wanted))
            agent.wanted, agent.wanted_since = wanted, hive.clock()
        if wanted == "paused":
            self._hive.broker.shut(agent.name, "paused")
        else:
            self._hive.broker.open(agent.name, "paused")
        self._hive.roster.touch(agent)

    # --- the work; each under the agent's operation

    async def bring_up(self, agent: Agent) -> None:
        """Start the agent, or take over what runs of it.

        Raises:
            HiveError: whatever keeps it from starting; it is shown as failed then.
        """
        hive, name, plan = self._hive, agent.name, self.plan(agent)
        if name not in hive.runtime.running():
            self._refuse_collision(agent)
            await self.take_place(name)
        hive.roster.set_fact(agent, "starting")
        try:
            await hive.runtime.prepare(plan)
            await hive.register_agent(name)
            await hive.runtime.start(plan)
        except (HiveError, OSError) as error:
            known = error if isinstance(error, HiveError) else _not_started(name, error)
            hive.roster.set_fact(agent, "failed", str(known))
            raise known from error
        else:
            agent.restart_pending = False
            self.started(agent)
        finally:
            if agent.fact == "failed" or name not in hive.runtime.running():
                self.leave_place(name)

    def _refuse_collision(self, agent: Agent) -> None:
        """Two agents of one web port are one user to some runtimes: the one that is there first, or declared, runs."""
        other = collision(self._hive.roster, agent.name)
        if other is None:
            return
        if other in self._hive.runtime.running() or (agent.origin, self.find(other).origin) == ("spawned", "declared"):
            what = f"'{agent.name}' and '{other}' get the same web port, which follows from the name"
            refusal = HiveError(
                "port_collision", what, f"Rename or destroy one of them, then: hyperhive start {agent.name}"
            )
            self._hive.roster.set_fact(agent, "failed", str(refusal))
            raise refusal

    def forgive(self, agent: Agent) -> None:
        """Somebody starts it by hand: its crashes so far do not count."""
        self._crashes.forgive(agent.name)

    async def take_place(self, name: str) -> None:
        """Wait until one more may start."""
        await self._starts.enter(name)

    def leave_place(self, name: str) -> None:
        """It does not start any more."""
        self._starts.leave(name)

    def started(self, agent: Agent) -> None:
        """Its process runs; wait for its first sign, unless that came before the runtime's word."""
        if agent.name in self._heard:
            self._starts.leave(agent.name)
            return
        self._hive.roster.set_fact(agent, "starting")
        self._starts.settle(agent.name)
        self._signs.expect_first(agent.name)

    async def _start_wanted(self, agent: Agent) -> None:
        """Start it, unless that is not wanted any more."""
        gone = agent.tombstone or agent.wanted == "stopped" or self._closing
        if not gone and agent.name not in self._hive.runtime.running():
            await self.bring_up(agent)

    async def _stop_unwanted(self, agent: Agent) -> None:
        """Stop it, unless it is wanted by now."""
        if not agent.tombstone and agent.wanted == "stopped":
            await self.stop(agent)

    async def _remove_tombstone(self, agent: Agent) -> None:
        """Remove it, unless it is an agent by now, or another one has its name."""
        if agent.tombstone and self._hive.roster.agents.get(agent.name) is agent:
            await self.remove(agent)
            await self._hive.questions.gone({agent.name})
            once = f"destroyed {agent.name} {agent.tombstone_at}"
            await self._hive.manager_events.tell("destroyed", once=once, agent=agent.name, by="the settings")

    async def stop(self, agent: Agent) -> None:
        """End its harness, gently if it can be; what it held goes back."""
        hive, name = self._hive, agent.name
        if name in hive.runtime.running():
            async with self.leaving(name):
                await self.ask_to_leave(name, STOP_GRACE)
                await hive.runtime.stop(name)
        self._signs.forget(name)
        self._starts.leave(name)
        await hive.broker.harness_ended(name, counted=False, reason="stopped")
        await hive.unregister_agent(name)
        agent.restart_pending = False
        hive.roster.set_fact(agent, "stopped")

    async def remove(self, agent: Agent) -> None:
        """End it and remove what it runs in; what it knows stays."""
        await self.stop(agent)
        await self._hive.runtime.destroy(agent.name)
        with suppress(OSError):
            self._hive.layout.agent_socket(agent.name).parent.rmdir()

    def heard(self, name: str) -> bool:
        """Whether its harness, as it runs now, has connected."""
        return name in self._heard

    async def apply(self, agent: Agent, *, at_once: bool = False, anew: bool = False) -> None:
        """Bring the agent to what is wanted for it, and return once it is; one that is stopped stays so.

        Args:
            agent: who.
            at_once: also where that ends a turn; else it waits for the turn's end.
            anew: start its harness anew also where nothing is to be changed.

        Raises:
            HiveError: whatever keeps it from that.
        """
        if agent.name in self._hive.runtime.running():
            await self._deploys.apply(agent, at_once=at_once, anew=anew)
        elif agent.wanted != "stopped":
            await self._start_now(agent)

    async def _start_now(self, agent: Agent) -> None:
        refusals: list[HiveError] = []

        async def work() -> None:
            try:
                await self._start_wanted(agent)
            except HiveError as error:
                refusals.append(error)
                raise

        self.forgive(agent)
        await asyncio.wait({self._queue(agent.name, "start", work)})
        if refusals:
            raise refusals[0]

    async def connected(self, agent: Agent, seconds: float) -> str | None:
        """Wait until its harness, as it runs now, has connected; None then, or if it is not wanted to run, else why."""
        try:
            async with asyncio.timeout(seconds):
                while agent.name not in self._heard and agent.wanted != "stopped" and not agent.tombstone:
                    if agent.fact == "failed":
                        return agent.problem or "it does not run"
                    await self._watched.setdefault(agent.name, asyncio.Event()).wait()
        except TimeoutError:
            said = f": {agent.problem}" if agent.problem else ""
            return f"its harness has not connected within {seconds:g} s{said}"
        return None

    def _tell_watchers(self, name: str) -> None:
        """Whoever waits for something about an agent looks again; who waits after that waits for the next change."""
        if watched := self._watched.pop(name, None):
            watched.set()

    def leaving(self, name: str) -> _Leaving:
        """While this is entered, the end of the agent's harness is no crash."""
        return _Leaving(self._stopping, name)

    async def ask_to_leave(self, name: str, grace: float) -> None:
        """Ask a harness to end its turn within `grace` seconds, give back what it holds and go; wait for that."""
        if not self._hive.commands.polled(name):
            return
        gone = self._signs.leaving(name)
        reply = self._hive.commands.give(name, "stop", graceSeconds=grace)
        with suppress(TimeoutError, HiveError):
            async with asyncio.timeout(grace + _LEAVE):
                await gone.wait()
        reply.cancel()
        if not self._hive.commands.polled(name):
            self._heard.discard(name)

    # --- what happens by itself

    def changed(self, agent: Agent) -> None:
        """Something about an agent is different: perhaps it is what a restart waits for."""
        self._tell_watchers(agent.name)
        if (agent.restart_pending or self._deploys.awaits(agent.name)) and not self._closing:
            self._deploys.look(agent)

    def _ended(self, end: Exit) -> None:
        """The runtime says that a harness is gone."""
        self._hive.commands.forget(end.name)
        self._signs.forget(end.name)
        self._signs.gone(end.name)
        self._heard.discard(end.name)
        if end.name in self._stopping or end.expected or self._closing:
            return
        self._starts.leave(end.name)
        task = self._group.create_task(self._crashed(end), name=f"crash of {end.name}")
        self._restarts.add(task)
        task.add_done_callback(self._restarts.discard)

    async def _crashed(self, end: Exit) -> None:
        hive = self._hive
        agent = hive.roster.agents.get(end.name)
        if agent is None:
            return
        last = end.tail[-1] if end.tail else "it said nothing"
        why = f"the harness ended with {_describe(end.code)}: {last}"
        _log.warning("'%s': %s", end.name, why)
        hive.waiting.crash(end.name, why, hive.clock())
        try:
            await hive.broker.harness_ended(end.name, counted=True, reason=why)
        except HiveError as error:
            _log.warning("what '%s' held could not be given back: %s", end.name, error)
        if agent.tombstone or agent.wanted == "stopped" or end.name in hive.runtime.running():
            # Somebody was quicker, and shows what became of it.
            return
        crashes, wait = self._crashes.add(end.name, hive.clock())
        if wait is None or crashes == 1:
            # Of those in between, which may be five, nothing follows that the first does not say.
            facts = {"agent": end.name, "reason": why[:_TOLD], "crashes": crashes, "restarts": wait is not None}
            hive.trouble.failures.tell("container_crash", f"container_crash {end.name} {hive.clock()}", facts)
        if wait is None:
            hive.roster.set_fact(agent, "failed", f"it crashed {crashes} times in 10 minutes; {why}")
            return
        hive.roster.set_fact(agent, "starting", why)
        await asyncio.sleep(wait)
        self._queue(end.name, "start", partial(self._start_wanted, agent))

    def poll_changed(self, name: str, parked: bool) -> None:  # noqa: FBT001 - the signature of Commands' callback
        """A harness polls for commands, or has stopped doing so."""
        agent = self._hive.roster.agents.get(name)
        if agent is None:
            return
        if not parked:
            self._signs.lost(name)
            return
        self._signs.came(name)
        self._starts.leave(name)
        self._heard.add(name)
        self._tell_watchers(name)
        if agent.fact in {"starting", "unreachable"} or name in self._hive.runtime.running():
            # Also one whose start failed, as far as the runtime knew.
            self._hive.roster.set_fact(agent, None, agent.problem if agent.fact is None else None)

    def _is_silent(self, name: str) -> None:
        if agent := self._hive.roster.agents.get(name):
            self._hive.roster.set_fact(agent, "unreachable", "its harness runs and does not poll for commands")

    # --- the end

    async def close(self) -> None:
        """End what ends with the hive: each harness is asked to give its message back, then made to go."""
        self._closing = True
        self._signs.close()
        self._starts.close()
        for task in self._restarts:
            task.cancel()
        if not self._hive.runtime.survives_daemon:
            running = self._hive.runtime.running()
            await asyncio.gather(*(self.ask_to_leave(name, 0.0) for name in running))
        await self._hive.runtime.close()


class _Leaving:
    """Marks an agent whose harness is made to go."""

    def __init__(self, marked: set[str], name: str) -> None:
        self._marked = marked
        self._name = name

    async def __aenter__(self) -> None:
        self._marked.add(self._name)

    async def __aexit__(self, *_error: object) -> None:
        self._marked.discard(self._name)


def _not_started(name: str, error: OSError) -> HiveError:
    hint = f"Correct it, then: hyperhive start {name}"
    return HiveError("operation_failed", f"'{name}' cannot be started: {error}", hint)


def _describe(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"status {code}"
