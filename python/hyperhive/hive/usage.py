"""What agents use: every report is written with the sums of its day, and counted in memory once it is on disk.

The store is the truth: a report that comes twice, also to another run of the daemon, counts once, and what the rows
show is read from it at the start. A turn whose harness died before it could report is written as lost: nobody knows
what it used, but that it was there is counted and said. What an agent's harness reports is that agent's own word.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from hyperhive.hive.days import Days
from hyperhive.shapes import Spent, UsageSum
from hyperhive.store import usage
from hyperhive.store.usage import PURGED, SUMMED, Sums, Used
from hyperhive.wire import LastTurn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo

    from hyperhive.clock import Clock
    from hyperhive.hive.roster import Agent, Roster
    from hyperhive.store.store import Store
    from hyperhive.wire import ReportRequest

_log = logging.getLogger(__name__)

#: How late a report may be and still be counted on the day on which its turn ended.
_LATE: Final = timedelta(days=7)
#: Models that are told apart for each agent; what comes beside them is `other`.
_MODELS: Final = 12
_OTHER: Final = "other"
_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,127}")
_MICROS: Final = 1_000_000


class Ledger:
    """What all agents of a hive have used.

    Args:
        store: where it is kept.
        roster: the agents, whose rows show it.
        clock: the time.
        zone: where days begin at midnight.
        changed: called with an agent's name after each report that was counted.
    """

    def __init__(
        self, store: Store, roster: Roster, clock: Clock, zone: tzinfo, changed: Callable[[str], None]
    ) -> None:
        self._store = store
        self._roster = roster
        self._clock = clock
        self._changed = changed
        self.days = Days(zone)
        self.day = self.days.of(clock())
        #: What the whole hive has used today, agents that were purged since included.
        self.hive_today = Sums()
        self._today: dict[str, Sums] = {}
        self._totals: dict[tuple[str, str], Sums] = {}
        #: Whose turn, the one that was begun last, has been reported.
        self._reported: set[str] = set()
        self._lost: set[asyncio.Future[bool]] = set()

    async def load(self) -> None:
        """Read all sums. After the agents are known."""
        self._totals = {(row.agent, row.model): sums_of(row) for row in await self._store.read(usage.totals)}
        await self.load_day()
        for row in await self._store.read(usage.newest):
            if agent := self._roster.agents.get(row.agent):
                agent.usage.context_tokens, agent.usage.context_window = row.context_tokens, row.context_window
                if row.turns or row.failed:
                    agent.last_turn = LastTurn(ended_at=row.at, ok=not row.failed, duration_ms=row.duration_ms or 0)

    def set_zone(self, zone: tzinfo) -> bool:
        """Count days in another time zone from now on; whether it is another one. Then `load_day`."""
        before, self.days = self.days, Days(zone)
        return self.days.name != before.name

    async def load_day(self) -> None:
        """Read what was used today. What was counted before stays on the day that it was counted on."""
        day = self.days.of(self._clock())
        rows = await self._store.read(usage.days, day)
        self.day, self._today, self.hive_today = day, {}, Sums()
        for row in (row for row in rows if row.day == day):
            self._add_today(row.agent, sums_of(row))
        for agent in self._roster.agents.values():
            self._show(agent)

    # --- what is counted

    async def take(self, agent: Agent, report: ReportRequest) -> None:
        """Count what a harness reports; on return it is on disk.

        Raises:
            HiveError: `storage_full`, `storage_unavailable`, `shutting_down`; nothing was counted then.
        """
        turn = report.last_turn
        if report.usage is None and turn is None:
            return
        now = self._clock()
        at = turn.ended_at if turn is not None and now - _LATE < turn.ended_at < now else now
        said = report.usage
        model = (said and said.model) or report.model or agent.model or agent.declared_model
        sums = _of_report(report)
        known = report.instance is not None and report.n is not None
        used = Used(
            agent=agent.name,
            instance=str(report.instance) if known else uuid.uuid4().hex,
            n=report.n or 0,
            at=at,
            day=self.days.of(at),
            model=self._model(agent.name, model),
            sums=sums,
            context_tokens=said.context_tokens if said else None,
            context_window=said.context_window if said else None,
            duration_ms=turn.duration_ms if turn else None,
        )
        await asyncio.shield(self._write(used))

    def begun(self, name: str) -> None:
        """A message was handed to an agent: what is reported from now on is of its turn."""
        self._reported.discard(name)

    def lost(self, name: str) -> None:
        """An agent's harness ended with messages in its hands: if the turn was not reported, it never will be."""
        if name in self._reported or name not in self._roster.agents:
            return
        self._reported.add(name)
        now, agent = self._clock(), self._roster.agents[name]
        model = self._model(name, agent.model or agent.declared_model)
        sums = Sums(turns=1, failed=1, lost=1)
        written = self._write(Used(name, f"lost-{uuid.uuid4().hex}", 0, now, self.days.of(now), model, sums))
        self._lost.add(written)
        written.add_done_callback(self._lost_written)

    def _lost_written(self, done: asyncio.Future[bool]) -> None:
        self._lost.discard(done)
        if not done.cancelled() and (error := done.exception()):
            _log.warning("a turn that ended with its harness could not be counted: %s", error)

    def _write(self, used: Used) -> asyncio.Future[bool]:
        return self._store.submit(usage.record, used, lambda fresh: self._counted(used) if fresh else None)

    def _counted(self, used: Used) -> None:
        self.roll()
        agent = self._roster.agents.get(used.agent)
        if agent is None:
            return
        key = (used.agent, used.model)
        self._totals[key] = self._totals.get(key, Sums()) + used.sums
        if used.day == self.day:
            self._add_today(used.agent, used.sums)
        if used.sums.turns or used.sums.failed:
            self._reported.add(used.agent)
        if used.context_tokens is not None:
            agent.usage.context_tokens = used.context_tokens
        agent.usage.context_window = used.context_window or agent.usage.context_window
        self._show(agent)
        self._changed(used.agent)

    def _add_today(self, name: str, sums: Sums) -> None:
        self._today[name] = self.today(name) + sums
        self.hive_today += sums

    def roll(self) -> bool:
        """Begin a new day, if it is one; whether it is. A clock that was put back begins none."""
        day = self.days.of(self._clock())
        if day <= self.day:
            return False
        self.day, self._today, self.hive_today = day, {}, Sums()
        for agent in self._roster.agents.values():
            self._show(agent)
        return True

    def forget(self, name: str) -> None:
        """An agent was purged: what it used is of nobody any more."""
        self._today.pop(name, None)
        self._reported.discard(name)
        for agent, model in [key for key in self._totals if key[0] == name]:
            gone = self._totals.pop((agent, model))
            self._totals[PURGED, model] = self._totals.get((PURGED, model), Sums()) + gone

    # --- what is known

    def today(self, name: str) -> Sums:
        """What an agent has used today."""
        return self._today.get(name, Sums())

    def totals(self) -> Iterator[tuple[str, str, Sums]]:
        """Agent, model, and what was used of it in all; what purged agents used stands under `(purged)`."""
        for (agent, model), sums in self._totals.items():
            yield agent, model, sums

    def _show(self, agent: Agent) -> None:
        whole = sum((sums for name, _model, sums in self.totals() if name == agent.name), Sums())
        seen = agent.usage
        agent.usage = UsageSum(
            **spent(whole).model_dump(), context_tokens=seen.context_tokens, context_window=seen.context_window
        )
        agent.today = spent(self.today(agent.name))

    def _model(self, name: str, model: str | None) -> str:
        """The model as it is counted: a name that can be one, of few."""
        if not model or not _MODEL.fullmatch(model):
            return _OTHER
        known = {its for agent, its, _sums in self.totals() if agent == name}
        return model if model in known or len(known) < _MODELS else _OTHER


def _of_report(report: ReportRequest) -> Sums:
    """What is counted of a report. What was refused before anything was used has failed, but was no turn."""
    turn, said = report.last_turn, report.usage
    tokens = cost = 0
    used = (0, 0, 0, 0)
    if said is not None:
        used = (said.input_tokens, said.output_tokens, said.cache_read_tokens, said.cache_write_tokens)
        tokens, cost = sum(used), round(said.cost_usd * _MICROS)
    turns = int(turn is not None and (turn.ok or tokens > 0 or cost > 0))
    return Sums(turns, int(turn is not None and not turn.ok), 0, *used, cost)


def spent(sums: Sums) -> Spent:
    """Sums as the API shows them."""
    return Spent(
        turns=sums.turns,
        failed=sums.failed,
        lost=sums.lost,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        cache_read_tokens=sums.cache_read_tokens,
        cache_write_tokens=sums.cache_write_tokens,
        cost_usd=sums.cost_micros / _MICROS,
    )


def sums_of(row: Any) -> Sums:  # noqa: ANN401 - a row of the store
    """What stands in a row."""
    return Sums(*(int(getattr(row, name)) for name in SUMMED))
