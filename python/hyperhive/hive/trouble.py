"""Agents in trouble: what follows from turns that failed, limits that were reached, logins that end.

Each of them is a part of its own. Here they are told what they listen for, so that the rest of the hive knows one name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperhive.hive.accounts import Accounts
from hyperhive.hive.failed_deploys import FailedDeploys
from hyperhive.hive.failures import Failures
from hyperhive.hive.holds import Holds
from hyperhive.hive.login_expiry import LoginExpiry
from hyperhive.hive.outages import Outages
from hyperhive.hive.unheard import Unheard
from hyperhive.names import MANAGER

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection

    from hyperhive.hive.hive import Hive
    from hyperhive.hive.inbox import Entry
    from hyperhive.hive.mailbox import Happened
    from hyperhive.hive.roster import Agent
    from hyperhive.store.holds import Streak


class Trouble:
    """The parts that deal with it. Implements `outcomes.Consequences`.

    Args:
        hive: the parts that they work with.
    """

    failures: Failures
    unheard: Unheard

    def __init__(self, hive: Hive) -> None:
        self._hive = hive
        self.holds = Holds(hive)
        self.accounts = Accounts(hive)
        self.login_expiry = LoginExpiry(hive)
        self.outages = Outages(hive)
        self.failed_deploys = FailedDeploys(hive)

    def begin(self, group: asyncio.TaskGroup) -> None:
        """From now on something may happen; `group` owns what goes on in the background."""
        self.failures = Failures(self._hive, group)
        self.unheard = Unheard(self._hive, group)

    async def load(self) -> None:
        """Take up what earlier runs of the hive knew. After the agents are known."""
        await self.holds.load()
        await self.accounts.load()
        await self.failed_deploys.load()

    async def lift(self, agent: Agent) -> None:
        """The operator wants the agent to go on, whatever the hive has found."""
        await self.holds.lift(agent)
        self.accounts.try_now(agent)

    def close(self) -> None:
        """Begin with nothing any more."""
        for part in (self.accounts, self.login_expiry, self.outages):
            part.close()

    def purged(self, name: str) -> None:
        """The agent is forgotten."""
        self.holds.forget(name)
        for part in (self.accounts, self.login_expiry, self.outages, self.failed_deploys):
            part.forget(name)

    # --- what happens

    def message_changed(self, what: Happened, entry: Entry) -> None:
        """A message is another one now."""
        if entry.recipient == MANAGER and what != "accepted":
            self.failures.read(entry.id)

    def agent_changed(self, agent: Agent) -> None:
        """Something about an agent is different."""
        for part in (self.accounts, self.login_expiry, self.outages):
            part.changed(agent)

    def events(self, agent: str, kinds: Collection[str]) -> None:
        """Events of an agent's turn came."""
        self.accounts.heard(agent, kinds)

    # --- Consequences

    def is_counting(self, agent: str) -> bool:
        """Whether a turn that ends well ends a row of dead letters."""
        return self.holds.is_counting(agent)

    def counted(self, streak: Streak) -> None:
        """An agent's dead letters in a row changed."""
        self.holds.counted(streak)

    def failed(self, entry: Entry, *, dead: bool) -> None:
        """A turn failed, and that was counted."""
        self.failures.failed(entry, dead=dead)
