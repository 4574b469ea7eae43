"""Agents made at run time, on the operator's word: checked before anybody is asked, then made in one operation.

What such an agent is stands in the database: it survives the daemon, stands beside the declared ones in everything, and
a declaration with its name takes over all that it has. Its name must be free of whatever could be somebody else's: an
agent, a tombstone, a container, directories with a login.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter, ValidationError

from hyperhive.config import Prompt
from hyperhive.errors import HiveError
from hyperhive.hive.declaration import agent_of
from hyperhive.hive.roster import collision
from hyperhive.models import checked_model
from hyperhive.names import MANAGER, nearest, parse_agent_name, web_port
from hyperhive.store import agents
from hyperhive.store.agents import Spawn
from hyperhive.store.audit import AuditEntry
from hyperhive.wire import MAX_DESCRIPTION

if TYPE_CHECKING:
    from hyperhive.hive.hive import Hive
    from hyperhive.hive.roster import Agent
    from hyperhive.shapes import OperationRow
    from hyperhive.wire import SpawnSpec

#: Agents made at run time that there may be at once.
MOST: Final = 100
_PROMPT: Final = TypeAdapter(Prompt)


class Spawns:
    """Makes agents at run time.

    Args:
        hive: the parts that it works with.
    """

    def __init__(self, hive: Hive) -> None:
        self._hive = hive
        #: Of two that are made at the same moment, the second sees the first: their names may give one port.
        self._making = asyncio.Lock()

    def check(self, name: str, spec: SpawnSpec) -> None:
        """Look whether such an agent could be made now.

        Raises:
            HiveError: `bad_name`, `reserved_name`, `name_taken`, `port_collision`, `port_taken`, `too_many_agents`,
                `malformed` naming the field.
        """
        if parse_agent_name(name) == MANAGER:
            what = "'manager' is made by the hive itself"
            raise HiveError("reserved_name", what, "Set manager.enable in the settings, or choose another name")
        self._check_name(name)
        self._check_port(name)
        spawned = [agent for agent in self._hive.roster.agents.values() if agent.origin == "spawned"]
        if len([agent for agent in spawned if not agent.tombstone]) >= MOST:
            what = f"there are {MOST} agents that were made at run time"
            raise HiveError("too_many_agents", what, "Destroy one of them, or declare some in the settings")
        self._check_spec(spec)

    async def spawn(self, name: str, spec: SpawnSpec, by: str, reason: str | None = None) -> OperationRow:
        """Make an agent and start it; answered after a few seconds at most.

        Args:
            name: what it is called.
            spec: what it is.
            by: who decided it, for the audit log.
            reason: why, for the audit log.

        Raises:
            HiveError: as for `check`; or it was made and cannot be started, which its row shows too.
        """
        self.check(name, spec)

        async def work() -> None:
            async with self._making:
                # Once more: what was made meanwhile may have taken the name, or the port.
                self.check(name, spec)
                agent = await self._make(name, spec, by, reason)
            await self._hive.actions.bring_up(agent, f"you were made, and this is your first turn{_for(spec)}")
            await self._hive.manager_events.tell("spawned", agent=name, by=by)

        return await self._hive.operations.run(name, "spawn", work)

    async def _make(self, name: str, spec: SpawnSpec, by: str, reason: str | None) -> Agent:
        """Write it down, and know it from the moment that it is written."""
        hive, now = self._hive, self._hive.clock()
        made: list[Agent] = []

        def known(row: Any) -> None:  # noqa: ANN401 - a row of the store
            if row is None:
                return
            # With the commit: a declaration of the same name that follows it finds the agent.
            agent = hive.roster.agents[name] = agent_of(row, now)
            agent.declared_model = agent.settings.model or hive.settings.defaults.model
            agent.operation = hive.operations.current(name)
            made.append(agent)
            hive.roster.touch(agent)

        entry = AuditEntry(now, by, "spawn", name, reason)
        new = Spawn(name, now, entry, spec.description, spec.model, spec.prompt)
        await hive.store.submit(agents.spawn, new, known)
        if not made:
            raise _taken(name, "there is an agent of that name", "Choose another name")
        return made[0]

    # --- what keeps it from being made

    def _check_name(self, name: str) -> None:
        hive = self._hive
        agent = hive.roster.agents.get(name)
        if agent is not None and agent.tombstone:
            hint = f"hyperhive revive {name} brings it back, hyperhive purge {name} wipes it; or choose another name"
            raise _taken(name, "there is a tombstone of that name, with a login and notes of its own", hint)
        if agent is not None:
            near = nearest(name, hive.roster.members())
            raise _taken(name, "there is an agent of that name", "Choose another name, or write to it", nearest=near)
        if hive.runtime.exists(name):
            raise _taken(name, "there still is a container or a process of that name", "Choose another name")
        for place in (hive.layout.of_agent(name), hive.layout.log(name)):
            if os.path.lexists(place):
                raise _taken(name, f"something of an earlier agent is still there: {place}", "Move it away")

    def _check_port(self, name: str) -> None:
        hive, port = self._hive, web_port(name)
        if other := collision(hive.roster, name):
            what = f"'{name}' and '{other}' get the same web port {port}, which follows from the name"
            raise HiveError("port_collision", what, "Choose another name")
        if port == hive.settings.dashboard.port:
            what = f"{port}, the web port of '{name}', is the dashboard's"
            raise HiveError("port_collision", what, "Choose another name")
        if not hive.ports.can_open(name):
            what = f"port {port}, which '{name}' would get for its page, is taken by another process"
            raise HiveError("port_taken", what, f"Choose another name, or look who has it: ss -ltnp 'sport = :{port}'")

    def _check_spec(self, spec: SpawnSpec) -> None:
        if spec.model is not None:
            checked_model(spec.model, self._hive.settings.defaults.model)
        if spec.description is not None and (len(spec.description) > MAX_DESCRIPTION or "\0" in spec.description):
            what = f"description: it may have {MAX_DESCRIPTION:,} characters and no NUL"
            raise HiveError("malformed", what, "Put the rest into the prompt")
        try:
            _PROMPT.validate_python(spec.prompt or "")
        except ValidationError as error:
            why = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise HiveError("malformed", f"prompt: {why}", "Shorten it") from None


def _for(spec: SpawnSpec) -> str:
    return f". What you are for: {spec.description}" if spec.description else ""


def _taken(name: str, why: str, hint: str, **data: object) -> HiveError:
    return HiveError("name_taken", f"'{name}' cannot be made: {why}", hint, **data)
