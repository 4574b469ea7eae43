"""Sees to it that each agent has its repository, and the directory in which the manager changes its configuration.

Both are made in the background, the moment that there is an agent: it starts without them, and whoever needs the
repository earlier makes it. Without git the hive runs on, takes no proposals and says so.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.names import MANAGER

if TYPE_CHECKING:
    from hyperhive.hive.hive import Hive
    from hyperhive.hive.roster import Agent

_log = logging.getLogger(__name__)

#: Seconds until it is tried again for an agent for which it went wrong.
_AGAIN: Final = 300.0
_WARNING: Final = "configuration as git: "


class ConfigKeeper:
    """Keeps repositories and directories beside the agents that there are.

    Args:
        hive: whose agents.
    """

    def __init__(self, hive: Hive) -> None:
        self._hive = hive
        self._done: set[str] = set()
        self._failed: set[str] = set()
        self._wanted: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._again: asyncio.TimerHandle | None = None

    def look(self, agent: Agent) -> None:
        """An agent has changed, or is new, or is none any more."""
        if agent.tombstone or self._hive.roster.agents.get(agent.name) is not agent:
            self._done.discard(agent.name)
            self._wanted.pop(agent.name, None)
        elif agent.name not in self._done:
            self._want(agent.name)

    def _want(self, *names: str) -> None:
        self._wanted.update(dict.fromkeys(names))
        self._wake.set()

    async def run(self) -> None:
        """Make what is missing, one after the other, until it is cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._wanted:
                    name = next(iter(self._wanted))
                    del self._wanted[name]
                    self._done.add(name)
                    await self._provide(name)
        finally:
            if self._again is not None:
                self._again.cancel()

    async def _provide(self, name: str) -> None:
        hive = self._hive
        try:
            await hive.repos.provide(name, hive.runtime.owner(MANAGER), lambda: name in hive.roster.members())
        except (HiveError, OSError) as error:
            _log.warning("the repository of '%s' cannot be made: %s", name, error)
            what = error.message if isinstance(error, HiveError) else str(error)
            hive.warn(_WARNING, f"{what} ('{name}')")
            self._later(name)
        else:
            self._failed.discard(name)
            if not self._failed and any(warning.startswith(_WARNING) for warning in hive.warnings):
                hive.warn(_WARNING, None)

    def _later(self, name: str) -> None:
        """Try all that went wrong once more, in a while."""

        def again() -> None:
            self._again = None
            self._want(*(each for each in self._failed if each in self._hive.roster.members()))
            self._failed.clear()

        self._failed.add(name)
        if self._again is None:
            self._again = asyncio.get_running_loop().call_later(_AGAIN, again)
