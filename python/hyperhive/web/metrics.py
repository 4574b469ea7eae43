"""What a monitor scrapes: the hive's figures in Prometheus' text format, reckoned when they are asked for.

Nothing is collected between two scrapes but a few counters that go up where things happen. Labels come from names of
agents, from models (a dozen an agent at most, the ledger sees to that) and from words of this program, so that the
number of series is bounded by the number of agents. The library is imported by the first scrape: a hive without a
monitor does without it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from hyperhive import __version__
from hyperhive.hive.budget_rules import KINDS, share_of
from hyperhive.hive.budgets import HIVE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

    from hyperhive.hive.hive import Hive
    from hyperhive.store.usage import Sums

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_MICROS: Final = 1_000_000


class Metrics:
    """The figures of a hive.

    Args:
        hive: whose.
    """

    def __init__(self, hive: Hive) -> None:
        self._hive = hive
        self._registry: CollectorRegistry | None = None

    def text(self) -> bytes:
        """All figures, as they are now."""
        from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest  # noqa: PLC0415 - see above

        if self._registry is None:
            # Of its own: in the library's, whoever imports it too would find and leave things.
            self._registry = CollectorRegistry(auto_describe=False)
            self._registry.register(self)
            ProcessCollector(registry=self._registry)
        said: bytes = generate_latest(self._registry)
        return said

    def describe(self) -> list[Metric]:
        """Nothing beforehand: nobody else is in the registry whose names could be the same."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Each family with its samples."""
        hive = self._hive
        hive.ledger.roll()
        yield _gauge("hyperhive_info", "The hive and its version.", ("hive", "version", "runtime"), {
            (hive.name, __version__, hive.runtime.name): 1
        })  # fmt: skip
        yield from self._agents()
        yield from self._messages()
        yield from _used(list(hive.ledger.totals()))
        yield from self._budgets()
        yield from self._operator()
        yield _gauge("hyperhive_stream_clients", "Open streams of changes: pages and followers.", (), {
            (): hive.stream.followers
        })  # fmt: skip
        if (size := self._database()) is not None:
            yield _gauge("hyperhive_database_bytes", "Size of the database's files.", (), {(): size})

    def _agents(self) -> Iterator[Metric]:
        states = Counter(
            (self._hive.roster.state_of(agent)[0],)
            for agent in self._hive.roster.agents.values()
            if not agent.tombstone
        )
        yield _gauge("hyperhive_agents", "Agents by state.", ("state",), states)

    def _messages(self) -> Iterator[Metric]:
        now, hive = self._hive.clock(), self._hive
        happened = {(what,): hive.counts["message", what] for what in ("accepted", "settled", "dead", "discarded")}
        yield _counter(
            "hyperhive_messages", "Messages since the daemon's start, by what happened.", ("event",), happened
        )
        waiting: dict[tuple[str, ...], float] = {}
        oldest: dict[tuple[str, ...], float] = {}
        for name in hive.roster.members():
            count, since = hive.broker.backlog(name)
            waiting[name,] = count
            oldest[name,] = (now - since).total_seconds() if since else 0
        yield _gauge("hyperhive_messages_waiting", "Messages that wait for an agent.", ("agent",), waiting)
        what = "Age of the oldest message that waits for an agent; 0 where none does."
        yield _gauge("hyperhive_messages_oldest_waiting_seconds", what, ("agent",), oldest)

    def _budgets(self) -> Iterator[Metric]:
        shares: dict[tuple[str, ...], float] = {}
        for scope in (HIVE, *self._hive.roster.members()):
            row = self._hive.budgets.row(scope)
            for kind in KINDS if row is not None else ():
                if (part := getattr(row, kind)) is not None:
                    shares[scope, kind] = share_of(part)
        what = "What is used of a budget today; from 1 on, no turn begins. The scope * is the hive."
        yield _gauge("hyperhive_budget_used_ratio", what, ("scope", "limit"), shares)

    def _operator(self) -> Iterator[Metric]:
        hive = self._hive
        items = hive.waiting.items()
        kinds = Counter((item.kind,) for item in items)
        yield _gauge("hyperhive_waiting_items", "What waits for the operator, by kind.", ("kind",), kinds)
        oldest = max(((hive.clock() - item.since).total_seconds() for item in items), default=0)
        what = "Age of what waits for the operator longest; 0 where nothing does."
        yield _gauge("hyperhive_waiting_oldest_seconds", what, (), {(): max(0.0, oldest)})
        running = Counter((row.status,) for row in hive.operations.listing() if row.ended_at is None)
        now = {(status,): running[status,] for status in ("queued", "running")}
        yield _gauge("hyperhive_operations", "Operations on agents that have not ended.", ("status",), now)
        ended = {key[1:]: count for key, count in hive.counts.items() if key[0] == "operation"}
        what = "Operations on agents that have ended since the daemon's start."
        yield _counter("hyperhive_operations_ended", what, ("kind", "result"), ended)

    def _database(self) -> int | None:
        if self._hive.settings.database.url is not None:
            return None
        size = 0
        for suffix in ("", "-wal"):
            path = self._hive.layout.database
            try:
                size += path.with_name(path.name + suffix).stat().st_size
            except OSError:
                continue
        return size


def _used(totals: list[tuple[str, str, Sums]]) -> Iterator[Metric]:
    turns, failed, lost = Counter[tuple[str, ...]](), Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    tokens: dict[tuple[str, ...], float] = {}
    dollars: dict[tuple[str, ...], float] = {}
    for agent, model, sums in totals:
        turns[agent,] += sums.turns
        failed[agent,] += sums.failed
        lost[agent,] += sums.lost
        tokens[agent, model, "input"] = sums.input_tokens
        tokens[agent, model, "output"] = sums.output_tokens
        tokens[agent, model, "cache_read"] = sums.cache_read_tokens
        tokens[agent, model, "cache_write"] = sums.cache_write_tokens
        dollars[agent, model] = sums.cost_micros / _MICROS
    yield _counter("hyperhive_turns", "Turns, for ever.", ("agent",), turns)
    what = "What did not end well, for ever; refused at a limit or without a login, it was no turn."
    yield _counter("hyperhive_turns_failed", what, ("agent",), failed)
    what = "Turns whose harness died before it could report, for ever."
    yield _counter("hyperhive_turns_lost", what, ("agent",), lost)
    yield _counter("hyperhive_tokens", "Tokens, for ever.", ("agent", "model", "kind"), tokens)
    yield _counter("hyperhive_cost_usd", "Dollars, for ever, as Claude Code reckons them.", ("agent", "model"), dollars)


def _gauge(name: str, what: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - see above

    family = GaugeMetricFamily(name, what, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _counter(name: str, what: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Metric:
    """A family whose samples are called `<name>_total`."""
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415 - see above

    family = CounterMetricFamily(name, what, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
