"""Budgets: an agent that has used up its day, or whose hive has, is handed nothing until midnight, or until a raise.

Looked at after each report that the ledger counted, which is before the harness asks for its next message: so an
agent's budget is passed by at most the turn that was under way, and the hive's by at most one turn an agent. What is
special about a day (raised, warned, over since when) is on disk, so that nothing is said twice after a restart.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hyperhive.errors import HiveError
from hyperhive.hive.budget_rules import MICROS, WARN_AT, budget_row, in_words, is_over
from hyperhive.hive.deadlines import Deadlines
from hyperhive.hive.roster import Decision
from hyperhive.names import OPERATOR
from hyperhive.shapes import WaitingItem
from hyperhive.store import usage
from hyperhive.store.audit import AuditEntry
from hyperhive.store.usage import BudgetChange, BudgetDay
from hyperhive.zones import zone_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hyperhive.hive.hive import Hive
    from hyperhive.hive.roster import Agent
    from hyperhive.shapes import BudgetRow, TodaysBudget

#: The scope of the hive's own budget.
HIVE: Final = "*"
#: Why a mailbox is shut.
_OWN: Final = "budget"
_WHOLE: Final = "hive-budget"
_MIDNIGHT: Final = "midnight"


class Budgets:
    """The budgets of a hive and its agents.

    Args:
        hive: the parts that they work with.
    """

    def __init__(self, hive: Hive) -> None:
        self._hive = hive
        self._days: dict[str, BudgetDay] = {}
        self._day = ""
        self._midnight = Deadlines[str](hive.clock, self._passed)
        hive.waiting.sources.append(self._waiting)
        hive.waiting.dismissals["budget_warning"] = self._dismiss

    async def load(self) -> None:
        """Take up the day as it was left; one that ended while the hive was down is over. After the ledger."""
        self._day = self._hive.ledger.day
        self._days = {one.scope: one for one in await self._hive.store.read(usage.budget_days, self._day)}
        self.look_at_all()
        self._set_alarm()

    async def reload(self) -> None:
        """The settings changed: other budgets, perhaps other days."""
        if self._hive.ledger.set_zone(zone_of(self._hive.settings.time_zone)):
            await self._hive.ledger.load_day()
            await self.load()
        else:
            self.look_at_all()

    def close(self) -> None:
        """Begin no day any more."""
        self._midnight.close()

    def forget(self, name: str) -> None:
        """An agent was purged."""
        self._days.pop(name, None)

    # --- what follows from what was used

    def look(self, name: str) -> None:
        """Hold an agent back, or let it go on, by its budget and that of the hive."""
        if self._begin_day():
            return
        over = self._stand(HIVE)
        for agent in self._hive.roster.agents.values():
            if agent.name == name or (_WHOLE in agent.decisions) != over:
                self._hold(agent, over=over)
        self._hive.waiting.changed()

    def look_at_all(self) -> None:
        """The same for every agent."""
        over = self._stand(HIVE)
        for agent in list(self._hive.roster.agents.values()):
            self._hold(agent, over=over)
            self._hive.roster.touch(agent)
        self._hive.usage_changed()
        self._hive.waiting.changed()

    def awaken(self, agent: Agent) -> None:
        """A message came: if a day has begun unnoticed, because this host slept, it is noticed now."""
        if _OWN in agent.decisions or _WHOLE in agent.decisions:
            self._begin_day()

    def row(self, scope: str) -> BudgetRow | None:
        """How a budget stands; None where there is none."""
        ledger, settings = self._hive.ledger, self._hive.settings
        declared = settings.budgets if scope == HIVE else settings.budget_of(scope)
        sums = ledger.hive_today if scope == HIVE else ledger.today(scope)
        return budget_row(declared, self._days.get(scope), sums, ledger.days.end(self._hive.clock()))

    def _hold(self, agent: Agent, *, over: bool) -> None:
        own = self._stand(agent.name)
        agent.budget = self.row(agent.name)
        self._decide(agent, _OWN, self._decision(agent.name, "its budget") if own else None)
        self._decide(agent, _WHOLE, self._decision(HIVE, "the hive's budget") if over else None)

    def _decide(self, agent: Agent, why: str, decision: Decision | None) -> None:
        if agent.decisions.get(why) != decision:
            self._hive.hold_back(agent, why, decision)

    def _decision(self, scope: str, whose: str) -> Decision | None:
        row = self.row(scope)
        if row is None:
            return None
        raising = "hyperhive budget" if scope == HIVE else f"hyperhive budget {scope}"
        problem = f"{whose} for today is used up: {in_words(row)}; raise it with: {raising}"
        return Decision("over_budget", self._of(scope).over_at or self._hive.clock(), problem, row.until)

    def _stand(self, scope: str) -> bool:
        """Find out how a budget stands, and write down what is new; whether it is used up."""
        row, before, now = self.row(scope), self._of(scope), self._hive.clock()
        over = row is not None and is_over(row)
        near = row is not None and not over and row.share >= WARN_AT
        over_at = (before.over_at or now) if over else None
        warned_at = before.warned_at or (now if near else None)
        if (over_at, warned_at) != (before.over_at, before.warned_at):
            self._note(scope, over_at=over_at, warned_at=warned_at)
        return over

    def _note(self, scope: str, **values: Any) -> None:  # noqa: ANN401 - columns
        self._days[scope] = replace(self._of(scope), **values)
        self._hive.store.note(usage.change_budget_days, BudgetChange(self._day, scope, values))

    def _of(self, scope: str) -> BudgetDay:
        return self._days.get(scope) or BudgetDay(self._day, scope)

    # --- what the operator does

    async def set_today(self, scope: str, wanted: TodaysBudget) -> BudgetRow | None:
        """Allow something else for the rest of today; null is what the settings say again.

        Raises:
            HiveError: `malformed` where nothing is said; `storage_full`, `storage_unavailable`.
        """
        said = wanted.model_dump(include=wanted.model_fields_set)
        if not said:
            raise HiveError("malformed", "there is no limit to set", "Give usd, tokens or turns")
        self._begin_day()
        detail = "today: " + ", ".join(f"{kind} {_limit(value)}" for kind, value in said.items())
        # Of what is allowed now it was not warned yet.
        values: dict[str, Any] = {**_columns(said), "warned_at": None, "dismissed_at": None}
        entry = AuditEntry(self._hive.clock(), OPERATOR, "budget", scope, detail)
        change = BudgetChange(self._day, scope, values, entry)

        def written(_done: None) -> None:
            if change.day == self._day:
                self._days[scope] = replace(self._of(scope), **values)
                self.look_at_all()

        await asyncio.shield(self._hive.store.submit(usage.change_budget_days, change, written))
        return self.row(scope)

    def _dismiss(self, scope: str) -> bool:
        """The operator has seen the warning; whether there was one."""
        if not any(item.ref == scope for item in self._warnings()):
            return False
        self._note(scope, dismissed_at=self._hive.clock())
        return True

    # --- what waits

    def _waiting(self) -> Iterator[WaitingItem]:
        for scope, row in self._rows():
            if is_over(row):
                yield WaitingItem(
                    id=f"over_budget-{scope}",
                    kind="over_budget",
                    title=f"{_named(scope)} has used up today's budget: {in_words(row)}",
                    since=self._of(scope).over_at or self._hive.clock(),
                    agent=_agent(scope),
                    deadline=row.until,
                    ref=scope,
                )
        yield from self._warnings()

    def _warnings(self) -> Iterator[WaitingItem]:
        for scope, row in self._rows():
            day = self._of(scope)
            if day.warned_at is not None and day.dismissed_at is None and WARN_AT <= row.share < 1:
                yield WaitingItem(
                    id=f"budget_warning-{scope}",
                    kind="budget_warning",
                    title=f"{_named(scope)} has used {in_words(row)} for today",
                    since=day.warned_at,
                    agent=_agent(scope),
                    deadline=row.until,
                    ref=scope,
                )

    def _rows(self) -> Iterator[tuple[str, BudgetRow]]:
        # Only those of which something is known to be special: nothing is reckoned for the others.
        members = {HIVE, *self._hive.roster.members()}
        for scope, day in self._days.items():
            if scope in members and (day.warned_at or day.over_at) and (row := self.row(scope)) is not None:
                yield scope, row

    # --- midnight

    def _set_alarm(self) -> None:
        self._midnight.set(_MIDNIGHT, self._hive.ledger.days.end(self._hive.clock()))
        self._midnight.look()

    async def _passed(self, _key: str) -> None:
        self._begin_day()
        self._set_alarm()

    def _begin_day(self) -> bool:
        """Forget what was special about yesterday, if it is over; whether it is."""
        self._hive.ledger.roll()
        if self._day == self._hive.ledger.day:
            return False
        self._day, self._days = self._hive.ledger.day, {}
        self.look_at_all()
        return True


def _agent(scope: str) -> str | None:
    return None if scope == HIVE else scope


def _named(scope: str) -> str:
    return "the hive" if scope == HIVE else scope


def _limit(value: float | None) -> str:
    return "as declared" if value is None else f"{value:,}"


def _columns(said: dict[str, Any]) -> dict[str, Any]:
    """What is allowed as the store has it."""
    dollars = said.get("usd")
    micros = {"cost_micros": None if dollars is None else round(dollars * MICROS)} if "usd" in said else {}
    return {**micros, **{kind: said[kind] for kind in ("tokens", "turns") if kind in said}}
