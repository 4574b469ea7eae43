"""Bringing agents to what is wanted for them, and noticing when they are not.

What is wanted stands in the database and is changed only by the operator and the settings. `reconcile` compares it with
what runs. A harness that ends by itself is a crash: what it held goes back, and it is started again, at once at first,
slower each time, and after too many crashes in a short while it is left and shown as failed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hyperhive.config import AgentSettings
from hyperhive.errors import HiveError
from hyperhive.hive.roster import Agent
from hyperhive.names import OPERATOR, SYSTEM
from hyperhive.runtime.container import container_of
from hyperhive.store import agents, audit
from hyperhive.store.agents import Declared, Tombstone, Wanted
from hyperhive.store.audit import AuditEntry

if TYPE_CHECKING:
    from datetime import datetime

    from hyperhive.hive.hive import Hive
    from hyperhive.runtime.base import Exit

_log = logging.getLogger(__name__)

#: Seconds that a running turn gets to end when its agent is stopped.
STOP_GRACE: Final = 60.0
#: Seconds that a harness gets beside its grace, to give its message back and go.
_LEAVE: Final = 8.0
#: Seconds after the start, or without a command poll, after which an agent is unreachable.
_FIRST_SIGN: Final = 60.0
_SIGN: Final = 15.0
#: Seconds without a command poll after which a harness that was asked to leave has left.
_SILENCE: Final = 0.5
#: Crashes in this many seconds, after which an agent is left as failed.
_CRASH_WINDOW: Final = 600.0
_CRASHES: Final = 5


class Lifecycle:
    """Starts, stops and watches the agents of a hive.

    Args:
        hive: the parts that it works with.
        group: owns what goes on in the background.
    """

    def __init__(self, hive: Hive, group: asyncio.TaskGroup) -> None:
        self._hive = hive
        self._group = group
        self._crashes: dict[str, deque[datetime]] = {}
        self._signs: dict[str, asyncio.TimerHandle] = {}
        self._stopping: set[str] = set()
        self._gone: dict[str, asyncio.Event] = {}
        self._closing = False
        self._reconciled = False
        hive.runtime.on_exit = self._ended

    # --- declaration

    async def declare(self) -> None:
        """Make the agents of the settings known, and those that left them tombstones."""
        hive = self._hive
        now = hive.clock()
        for name, settings in hive.settings.agents.items():
            wanted = "running" if settings.auto_start else "stopped"
            await hive.store.submit(agents.declare, Declared(name, wanted, now))
        for row in await hive.store.read(agents.list_agents):
            declared = hive.settings.agents.get(row.name)
            if row.origin == "declared" and declared is None and row.tombstone_at is None:
                await hive.store.submit(agents.bury, Tombstone(row.name, now))
            tombstone = declared is None and row.origin == "declared"
            if known := hive.roster.agents.get(row.name):
                known.settings, known.tombstone, known.origin = declared or known.settings, tombstone, row.origin
                hive.roster.touch(known)
                continue
            hive.roster.agents[row.name] = Agent(
                name=row.name,
                origin=row.origin,
                wanted=row.wanted,
                settings=declared or AgentSettings(),
                tombstone=tombstone,
                fact_since=now,
            )
            hive.roster.touch(hive.roster.agents[row.name])

    async def reconcile(self) -> tuple[list[str], list[str]]:
        """Start what should run and does not, stop what runs and should not; returns both lists of names."""
        running = known = self._hive.runtime.running()
        if not self._reconciled:
            # What an earlier hive left running is started like the rest: that opens its socket, and disturbs nothing.
            running, known, self._reconciled = await self._hive.runtime.found(), frozenset(), True
        agents = self._hive.roster.agents.values()
        start = [a for a in agents if not a.tombstone and a.wanted == "running" and a.name not in known]
        stop = [a for a in agents if (a.tombstone or a.wanted == "stopped") and a.name in running]
        await asyncio.gather(*(self._start_shown(agent) for agent in start), *(self._stop(agent) for agent in stop))
        return [agent.name for agent in start], [agent.name for agent in stop]

    async def _start_shown(self, agent: Agent) -> None:
        try:
            await self._start(agent)
        except HiveError as error:
            _log.error("'%s' cannot be started: %s", agent.name, error)

    # --- operations

    async def start(self, agent: Agent) -> None:
        """The operator wants it to run."""
        await self._want(agent, "running")
        self._crashes.pop(agent.name, None)
        await self._start(agent)

    async def stop(self, agent: Agent) -> None:
        """The operator wants it to stand still; the running turn may end."""
        await self._want(agent, "stopped")
        await self._stop(agent)

    async def restart(self, agent: Agent) -> None:
        """Stop and start, and tell the agent."""
        await self._stop(agent)
        await self.start(agent)
        await self.kick(agent, "the operator restarted you")

    async def kick(self, agent: Agent, reason: str) -> None:
        """Wake the agent with a word of the system's; one such word at a time."""
        hive = self._hive
        key = f"kick-{hive.stream.epoch}-{hive.kicks.get(agent.name, 0)}"
        if hive.broker.is_waiting(agent.name, hive.last_kick.get(agent.name)):
            return
        hive.kicks[agent.name] = hive.kicks.get(agent.name, 0) + 1
        body = f"You were woken because {reason}. Look at your notes (notes.md) and go on with what is open."
        made = await hive.broker.send(SYSTEM, agent.name, body, idempotency_key=key)
        hive.last_kick[agent.name] = made.ids[0]

    async def cancel(self, agent: Agent) -> None:
        """Interrupt the running turn.

        Raises:
            HiveError: `agent_not_running`; `wrong_state` with the harness's reason.
        """
        if agent.name not in self._hive.runtime.running():
            raise HiveError("agent_not_running", f"'{agent.name}' does not run", f"hyperhive start {agent.name}")
        done = await self._hive.commands.give(agent.name, "cancel")
        if not done.ok:
            raise HiveError("wrong_state", f"nothing was cancelled: {done.error}", f"See: hyperhive show {agent.name}")

    async def _want(self, agent: Agent, wanted: str) -> None:
        if agent.wanted == wanted:
            return
        await self._hive.store.submit(agents.set_wanted, Wanted(agent.name, wanted))
        agent.wanted = wanted
        entry = AuditEntry(self._hive.clock(), OPERATOR, f"want_{wanted}", agent.name)
        await self._hive.store.submit(audit.append, entry)

    # --- the work

    async def _start(self, agent: Agent) -> None:
        hive = self._hive
        credentials = {**hive.settings.defaults.credentials, **agent.settings.credentials}
        container = container_of(hive.settings, agent.name)
        plan = replace(hive.layout.plan(agent.name, credentials), container=container)
        hive.roster.set_fact(agent, "starting")
        try:
            await hive.runtime.prepare(plan)
            await hive.register_agent(agent.name)
            await hive.runtime.start(plan)
        except (HiveError, OSError) as error:
            known = error if isinstance(error, HiveError) else _not_started(agent.name, error)
            hive.roster.set_fact(agent, "failed", str(known))
            raise known from error
        self._expect_sign(agent.name, _FIRST_SIGN)

    async def _stop(self, agent: Agent, grace: float = STOP_GRACE) -> None:
        hive, name = self._hive, agent.name
        if name in hive.runtime.running():
            self._stopping.add(name)
            try:
                await self._ask_to_leave(name, grace)
                await hive.runtime.stop(name)
            finally:
                self._stopping.discard(name)
        self._no_sign(name)
        await hive.broker.harness_ended(name, counted=False, reason="stopped")
        await hive.unregister_agent(name)
        hive.roster.set_fact(agent, "stopped")

    async def _ask_to_leave(self, name: str, grace: float) -> None:
        if not self._hive.commands.polled(name):
            return
        gone = self._gone.setdefault(name, asyncio.Event())
        gone.clear()
        reply = self._hive.commands.give(name, "stop", graceSeconds=grace)
        with suppress(TimeoutError, HiveError):
            async with asyncio.timeout(grace + _LEAVE):
                await gone.wait()
        reply.cancel()

    def _ended(self, end: Exit) -> None:
        """The runtime says that a harness is gone."""
        self._hive.commands.forget(end.name)
        self._no_sign(end.name)
        if gone := self._gone.get(end.name):
            gone.set()
        if end.name in self._stopping or end.expected or self._closing:
            return
        self._group.create_task(self._crashed(end), name=f"crash of {end.name}")

    async def _crashed(self, end: Exit) -> None:
        hive = self._hive
        agent = hive.roster.agents[end.name]
        last = end.tail[-1] if end.tail else "it said nothing"
        why = f"the harness ended with {_describe(end.code)}: {last}"
        _log.warning("'%s': %s", end.name, why)
        try:
            await hive.broker.harness_ended(end.name, counted=True, reason=why)
        except HiveError as error:
            _log.warning("what '%s' held could not be given back: %s", end.name, error)
        crashes = self._crashes.setdefault(end.name, deque())
        now = hive.clock()
        crashes.append(now)
        while (now - crashes[0]).total_seconds() > _CRASH_WINDOW:
            crashes.popleft()
        if len(crashes) > _CRASHES:
            hive.roster.set_fact(agent, "failed", f"it crashed {len(crashes)} times in 10 minutes; {why}")
            return
        hive.roster.set_fact(agent, "starting", why)
        await asyncio.sleep(0.1 * 2 ** (len(crashes) - 1))
        if agent.wanted != "stopped" and not self._closing:
            await self._start_shown(agent)

    # --- signs of life

    def poll_changed(self, name: str, parked: bool) -> None:  # noqa: FBT001 - the signature of Commands' callback
        """A harness polls for commands, or has stopped doing so."""
        agent = self._hive.roster.agents.get(name)
        if agent is None:
            return
        if parked:
            self._no_sign(name)
            if agent.fact in {"starting", "unreachable"}:
                self._hive.roster.set_fact(agent, None)
        elif name in self._stopping:
            # Where somebody else runs the harness, its end is seen by this alone.
            asyncio.get_running_loop().call_later(_SILENCE, self._left, name)
        elif name in self._hive.runtime.running():
            self._expect_sign(name, _SIGN)

    def _left(self, name: str) -> None:
        if name in self._gone and not self._hive.commands.polled(name):
            self._gone[name].set()

    def _expect_sign(self, name: str, seconds: float) -> None:
        self._no_sign(name)
        self._signs[name] = asyncio.get_running_loop().call_later(seconds, self._no_sign_came, name)

    def _no_sign(self, name: str) -> None:
        if handle := self._signs.pop(name, None):
            handle.cancel()

    def _no_sign_came(self, name: str) -> None:
        self._signs.pop(name, None)
        if name in self._hive.runtime.running():
            problem = "its harness runs and does not poll for commands"
            self._hive.roster.set_fact(self._hive.roster.agents[name], "unreachable", problem)

    # --- the end

    async def close(self) -> None:
        """End what ends with the hive: each harness is asked to give its message back, then made to go."""
        self._closing = True
        for name in list(self._signs):
            self._no_sign(name)
        if not self._hive.runtime.survives_daemon:
            running = self._hive.runtime.running()
            await asyncio.gather(*(self._ask_to_leave(name, 0.0) for name in running))
        await self._hive.runtime.close()


def _not_started(name: str, error: OSError) -> HiveError:
    hint = f"Correct it, then: hyperhive start {name}"
    return HiveError("operation_failed", f"'{name}' cannot be started: {error}", hint)


def _describe(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"status {code}"
