"""The port of each agent's page: held as long as there is the agent, on both loopback addresses, or told why it is not.

A port follows from the agent's name, and a browser tab trusts it; so it is bound before its agent starts, the moment
that there is one, and with systemd it outlives the daemon. Where somebody else has it the hive runs on: it says who has
it, in its log, in the warnings and in the agent's row, and tries again until it gets it. The page is then still to be
had under `/agents/<name>/` of the dashboard.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import TYPE_CHECKING, Final

from hyperhive.hive import systemd
from hyperhive.names import web_port
from hyperhive.preflight import port_is_free
from hyperhive.web.gates import PageGate
from hyperhive.web.port_owner import owners, taken
from hyperhive.web.sockets import bind_tcp_now, kept_name, kept_port
from hyperhive.web.tokens import page_token

if TYPE_CHECKING:
    import socket

    from hyperhive.hive.hive import Hive
    from hyperhive.hive.roster import Agent
    from hyperhive.web.listen import App

_log = logging.getLogger(__name__)

#: Seconds between two tries for a port that somebody else has: the first, doubled, and the longest.
_FIRST_WAIT: Final = 0.2
_LONGEST_WAIT: Final = 5.0


class AgentPorts:
    """The ports of all agents' pages.

    Args:
        hive: whose agents.
        app: the operator API and the pages, behind each port's gate.
        group: owns what goes on in the background.
    """

    def __init__(self, hive: Hive, app: App, group: asyncio.TaskGroup) -> None:
        self._hive = hive
        self._app = app
        self._group = group
        self._serve = False
        #: Sockets that systemd kept for us and nobody has used yet.
        self._kept: dict[str, socket.socket] = {}
        self._open: dict[str, list[socket.socket]] = {}
        self._missing: dict[str, asyncio.Task[None]] = {}
        #: Why those are missing that are missing.
        self._why: dict[str, OSError] = {}
        self._closing: set[str] = set()
        self._opening = False

    async def open(self, kept: dict[str, socket.socket], *, serve: bool) -> None:
        """Open the ports of all agents that there are; from then on `look` keeps to what there is.

        Args:
            kept: listening sockets from an earlier run, by name; those that are not ours any more are given up.
            serve: whether agents' pages have ports of their own at all.
        """
        self._serve, self._kept = serve, kept
        roster = self._hive.roster
        wanted = {web_port(name) for name in roster.members()} if serve else set()
        for name in [name for name in kept if kept_port(name) not in wanted]:
            self._give_up(name)
        self._opening = True
        for name in list(roster.members()):
            self.look(roster.agents[name])
        # All in one look through the processes.
        await self._say(list(self._missing))
        self._opening = False

    def look(self, agent: Agent) -> None:
        """Open the agent's port if it has none, close it if it is no agent any more; both at once, or in time."""
        name = agent.name
        if not self._serve or name in self._closing:
            return
        member = self._hive.roster.is_member(agent)
        if member and name not in self._open and name not in self._missing:
            if not self._try(agent):
                self._missing[name] = self._group.create_task(self._wait_for(agent), name=f"port of {name}")
        elif not member and (name in self._open or name in self._missing):
            self._closing.add(name)
            self._group.create_task(self._leave(agent), name=f"leave port of {name}")

    def is_open(self, name: str) -> bool:
        """Whether the agent's page is served on its own port now."""
        return name in self._open

    def can_open(self, name: str) -> bool:
        """Whether an agent that there is not yet could have its page on its own port, or needs none."""
        return not self._serve or port_is_free(web_port(name))

    def token(self, name: str) -> str:
        """The token of the agent's page, for its own port."""
        return page_token(self._hive.page_key, name)

    def close(self) -> None:
        """Try for no port any more; the open ones close with the listeners."""
        self._serve = False
        for task in self._missing.values():
            task.cancel()

    # --- one port

    def _try(self, agent: Agent) -> bool:
        """Bind the agent's port and begin to serve; false where that is not possible now."""
        name, port = agent.name, web_port(agent.name)
        try:
            made = bind_tcp_now(port, self._kept, quiet=True)
        except OSError as error:
            self._why[name] = error
            return False
        for listener in made:
            if self._kept.pop(kept_name(listener), None) is None:
                systemd.keep(listener, kept_name(listener))
        self._open[name] = made
        agent.port_open, agent.port_problem = True, None
        self._group.create_task(self._listen(name, made), name=f"page of {name}")
        return True

    async def _listen(self, name: str, made: list[socket.socket]) -> None:
        if self._open.get(name) is made:
            gate = PageGate(self._app, name, self.token(name), self._hive.settings.dashboard.allowed_hosts)
            await self._hive.listeners.add(f"page {name}", made, gate)

    async def _wait_for(self, agent: Agent) -> None:
        """Try for the port until it is ours, or the agent is no more."""
        name, wait = agent.name, _FIRST_WAIT
        if not self._opening:
            await self._say([name])
        await asyncio.sleep(wait)
        while not self._try(agent):
            wait = min(wait * 2, _LONGEST_WAIT)
            await asyncio.sleep(wait)
        del self._missing[name]
        _log.info("port %d of '%s' is ours now", web_port(name), name)
        self._hive.warn(_prefix(name), None)
        self._hive.roster.touch(agent)

    async def _leave(self, agent: Agent) -> None:
        name = agent.name
        if waiting := self._missing.pop(name, None):
            waiting.cancel()
            self._hive.warn(_prefix(name), None)
        opened = self._open.pop(name, [])
        for listener in opened:
            systemd.forget(kept_name(listener))
        for kept in [kept for kept in self._kept if kept_port(kept) == web_port(name)]:
            self._give_up(kept)
        agent.port_open, agent.port_problem = False, None
        await self._hive.listeners.remove(f"page {name}")
        for listener in opened:
            listener.close()
        self._closing.discard(name)
        # It may have come back, or another one of its name.
        now = self._hive.roster.agents.get(name)
        if now is not None:
            self.look(now)

    def _give_up(self, kept: str) -> None:
        systemd.forget(kept)
        self._kept.pop(kept).close()

    # --- what is said

    async def _say(self, names: list[str]) -> None:
        """Say of agents whose ports cannot be had who has them."""
        if not names:
            return
        found = await asyncio.to_thread(owners, [web_port(name) for name in names])
        for name in names:
            agent = self._hive.roster.agents.get(name)
            if agent is None or name not in self._missing:
                continue
            problem = self._problem(name, found)
            _log.warning("%s%s; trying again until it can be had", _prefix(name), problem)
            agent.port_problem = problem
            self._hive.warn(_prefix(name), problem)
            self._hive.roster.touch(agent)

    def _problem(self, name: str, found: dict[int, str]) -> str:
        port, why = web_port(name), self._why[name]
        if why.errno == errno.EADDRINUSE:
            return taken(port, found.get(port))
        return f"port {port} cannot be had: {why.strerror}"


def _prefix(name: str) -> str:
    return f"the page of '{name}' is only at the dashboard: "
