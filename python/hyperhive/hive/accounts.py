"""Accounts: agents with the same credential share its limits, so they rest together and come back one after the other.

What flows through: the reports of harnesses. One that rests for a limit of its account shuts the mailboxes of all that
have the same account, until the time that it names. Then one of them goes first; the others follow when it was
answered, a second apart, so that an account which is still at its limit is asked once and not by all. A limit is
on disk until it is over, and so is who has which account: after a restart of the hive nobody asks before the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from hyperhive.hive.deadlines import Deadlines
from hyperhive.hive.roster import Decision
from hyperhive.store import limits
from hyperhive.store.limits import AccountLimit

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from hyperhive.hive.hive import Hive
    from hyperhive.hive.roster import Agent

#: Why the mailboxes are shut.
_WHY: Final = "account"
#: How long the others wait for whoever goes first, and the time between two that follow.
PATIENCE: Final = timedelta(seconds=60)
APART: Final = timedelta(seconds=1)
#: A rest that is longer is a mistake or a mischief; whoever reports it rests alone.
_LONGEST: Final = timedelta(days=8)
#: Events that only a model that answers can cause.
_ANSWERED: Final = frozenset({"thinking", "tool_call"})

Phase = Literal[
    # nobody asks; → trying (the reset, or somebody who has reason to try), or none where nobody has anything to do
    "limited",
    # one of them asks; → following (it was answered), limited (it was not)
    "trying",
    # one after the other is let go; → none, limited
    "following",
]


@dataclass(slots=True)
class _Limit:
    """A limit that an account has reached."""

    by: str
    #: The harness process that said so.
    instance: str | None
    since: datetime
    until: datetime
    problem: str
    phase: Phase = "limited"
    #: Those that were let go already.
    free: tuple[str, ...] = ()
    #: When that began, and when the others need not wait for it any longer.
    tried_at: datetime | None = None


class Accounts:
    """The limits of all accounts that agents of this hive share.

    Args:
        hive: the parts that it works with.
    """

    def __init__(self, hive: Hive) -> None:
        self._hive = hive
        self._limits: dict[str, _Limit] = {}
        #: The rest of each agent that was dealt with: what it says again is not news.
        self._taken: dict[str, tuple[object, ...]] = {}
        #: Whose account is on disk.
        self._written: dict[str, str | None] = {}
        #: When each account's limit goes on to its next phase.
        self.deadlines = Deadlines[str](hive.clock, self._due)

    async def load(self) -> None:
        """Take up the limits that earlier runs of the hive knew. After the agents are known."""
        agents = self._hive.roster.agents.values()
        self._written = {agent.name: agent.account for agent in agents}
        now = self._hive.clock()
        for row in await self._hive.store.read(limits.list_limits):
            if now < row.until <= now + _LONGEST:
                limit = _Limit(row.by, row.instance, row.since, row.until, row.problem)
                self._limits[row.account] = limit
                self._enter(row.account, limit, "limited", row.until)
            else:
                self._keep(row.account, None)

    def forget(self, name: str) -> None:
        """The agent was purged."""
        self._taken.pop(name, None)
        self._written.pop(name, None)

    def close(self) -> None:
        """Let nobody go any more."""
        self.deadlines.close()

    # --- what happens

    def changed(self, agent: Agent) -> None:
        """Something about the agent is different, perhaps what it rests for or whose account it has."""
        if self._written.get(agent.name) != agent.account:
            self._written[agent.name] = agent.account
            self._hive.store.note(limits.set_account, (agent.name, agent.account))
        if agent.turn_state == "rate_limited" and agent.limit_scope == "account" and agent.account and agent.until:
            self._rests(agent, agent.account, agent.until)
        elif (limit := self._of(agent)) is not None:
            self._goes_on(agent, limit)
        self._show(agent)

    def _rests(self, agent: Agent, account: str, until: datetime) -> None:
        rest = (account, until, agent.turn_since)
        if self._taken.get(agent.name) == rest:
            return
        self._taken[agent.name] = rest
        now = self._hive.clock()
        if not now < until <= now + _LONGEST:
            return
        limit = self._limits.get(account)
        if limit is None or limit.phase != "limited":
            since, instance = agent.turn_since or now, agent.reported[0] if agent.reported else None
            limit = _Limit(agent.name, instance, since, until, agent.problem or "it says no more")
            self._limits[account] = limit
        limit.until = max(until, limit.until)
        self._enter(account, limit, "limited", limit.until)

    def _goes_on(self, agent: Agent, limit: _Limit) -> None:
        if self._was_answered(agent, limit):
            self.answered(agent)
        elif (
            limit.phase == "limited"
            and (agent.name, agent.turn_state) == (limit.by, "idle")
            and agent.reported is not None
            and agent.reported[0] == limit.instance
        ):
            # Before its time: it has another login of the same account, or another model.
            self.try_now(agent)

    def _was_answered(self, agent: Agent, limit: _Limit) -> bool:
        last = agent.last_turn
        if last is None or not last.ok:
            return False
        began = last.ended_at - timedelta(milliseconds=last.duration_ms)
        return began >= (limit.since if limit.tried_at is None else limit.tried_at)

    def heard(self, name: str, kinds: Collection[str]) -> None:
        """Events of an agent's turn came."""
        agent = self._hive.roster.agents.get(name) if self._limits else None
        limit = self._of(agent) if agent else None
        if agent and limit and limit.phase == "trying" and name in limit.free and _ANSWERED & set(kinds):
            self.answered(agent)

    def answered(self, agent: Agent) -> None:
        """The agent has asked since the limit was reached, and was answered: the others may follow."""
        limit = self._of(agent)
        if limit is not None and agent.account and limit.phase != "following":
            limit.free = tuple({*limit.free, agent.name})
            self._enter(agent.account, limit, "following", self._hive.clock())

    def try_now(self, agent: Agent) -> None:
        """Somebody wants this agent to ask before the reset."""
        limit = self._of(agent)
        if limit is not None and agent.account and limit.phase == "limited":
            self._try(agent.account, limit, agent.name)

    # --- the phases

    async def _due(self, account: str) -> None:
        limit = self._limits.get(account)
        if limit is None:
            return
        if limit.phase == "limited":
            first = self._first(account, limit)
            if first is None:
                self._end(account)
            else:
                self._try(account, limit, first)
        elif limit.phase == "trying" and self._hive.clock() < limit.until:
            # Whoever was to try before the reset has not: the limit stands.
            self._enter(account, limit, "limited", limit.until)
        else:
            self._let_go(account, limit)

    def _try(self, account: str, limit: _Limit, name: str) -> None:
        limit.free, limit.tried_at = (name,), self._hive.clock()
        self._enter(account, limit, "trying", limit.tried_at + PATIENCE)

    def _first(self, account: str, limit: _Limit) -> str | None:
        """Who goes first: whoever ran into the limit, or else the first of those that have something to do."""
        ready = [agent.name for agent in self._members(account) if self._is_ready(agent)]
        return limit.by if limit.by in ready else min(ready, default=None)

    def _is_ready(self, agent: Agent) -> bool:
        held = agent.wanted != "running" or set(agent.decisions) - {_WHY}
        rests = agent.turn_state == "rate_limited" and agent.until is not None and agent.until > self._hive.clock()
        able = agent.fact is None and not held and not agent.in_turn and not rests
        return able and self._hive.broker.unread(agent.name) > 0

    def _let_go(self, account: str, limit: _Limit) -> None:
        """One more; those that have something to do first."""
        left = [agent for agent in self._members(account) if agent.name not in limit.free]
        if not left:
            self._end(account)
            return
        following = min(left, key=lambda agent: (not self._is_ready(agent), agent.name))
        limit.free = (*limit.free, following.name)
        self._enter(account, limit, "following", self._hive.clock() + APART)

    def _enter(self, account: str, limit: _Limit, phase: Phase, until: datetime) -> None:
        limit.phase = phase
        if phase == "limited":
            limit.free, limit.tried_at = (), None
        if phase != "trying":
            # One that is tried is not over: where the hive ends meanwhile, it begins anew with what it knew.
            self._keep(account, limit if phase == "limited" else None)
        self.deadlines.set(account, until)
        self.deadlines.look()
        for agent in self._members(account):
            self._show(agent)

    def _end(self, account: str) -> None:
        del self._limits[account]
        self._keep(account, None)
        self.deadlines.drop(account)
        for agent in self._members(account):
            self._show(agent)

    def _keep(self, account: str, limit: _Limit | None) -> None:
        row: AccountLimit | None = None
        if limit is not None:
            row = AccountLimit(account, limit.by, limit.instance, limit.since, limit.until, limit.problem)
        self._hive.store.note(limits.change, (account, row))

    # --- what follows for an agent

    def _of(self, agent: Agent) -> _Limit | None:
        return self._limits.get(agent.account) if agent.account else None

    def _members(self, account: str) -> list[Agent]:
        return [
            agent for agent in self._hive.roster.agents.values() if agent.account == account and not agent.tombstone
        ]

    def _show(self, agent: Agent) -> None:
        """Shut the agent's mailbox, or open it, as its account is now."""
        limit = self._of(agent)
        wanted = None if limit is None or agent.name in limit.free or agent.tombstone else _decision(agent, limit)
        if agent.decisions.get(_WHY) != wanted:
            self._hive.hold_back(agent, _WHY, wanted)


def _decision(agent: Agent, limit: _Limit) -> Decision:
    whose = "its account" if agent.name == limit.by else f"the account that it shares with {limit.by}"
    if limit.phase == "limited":
        return Decision("rate_limited", limit.since, f"{whose} has reached its limit: {limit.problem}", limit.until)
    problem = f"{whose} has reached its limit; {limit.free[0]} tries first whether it is over"
    return Decision("rate_limited", limit.since, problem, limit.tried_at and limit.tried_at + PATIENCE)
