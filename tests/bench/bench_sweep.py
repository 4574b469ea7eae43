"""How long a send takes while a sweep drops 100,000 old messages and gives their room back; JSON on stdout.

    python tests/bench/bench_sweep.py [--messages 100000] [--size 2000]

The store and the broker of a hive in this process, twenty senders that each send and wait for the answer, first alone
and then beside the sweep. The disk is that of `--place`, by default the temporary directory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hyperhive.clock import utc_now
from hyperhive.hive.broker import Broker
from hyperhive.hive.limits import Limits
from hyperhive.hive.retention import KEEP, sweep
from hyperhive.store.engine import sqlite_url
from hyperhive.store.store import Store

_SENDERS = 20
#: Seconds of sending alone.
_ALONE = 10.0


class _Everybody:
    """A directory of the senders."""

    def members(self) -> set[str]:
        return {f"a{number}" for number in range(_SENDERS)}

    def tombstones(self) -> set[str]:
        return set()

    def allowed_recipients(self, _sender: str) -> None:
        return None


def _fill(path: Path, count: int, size: int) -> None:
    at = (utc_now() - KEEP - timedelta(days=1)).replace(tzinfo=None).isoformat(sep=" ")
    with closing(sqlite3.connect(path)) as connection:
        for first in range(0, count, 5000):
            connection.executemany(
                "INSERT INTO messages (id, sender, recipient, body, sent_at, state, deliveries, failures, settled_at)"
                " VALUES (?, 'a0', 'a1', ?, ?, 'settled', 1, 0, ?)",
                [(number + 1, "x" * size, at, at) for number in range(first, min(first + 5000, count))],
            )
            connection.commit()
        connection.execute("UPDATE counters SET value = ? WHERE name = 'message'", (count,))
        connection.commit()


async def _send(broker: Broker, name: str, until: asyncio.Event, took: list[float]) -> None:
    while not until.is_set():
        began = time.perf_counter()
        await broker.send(name, "operator", "x" * 500)
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0.01)  # an agent that has something else to do, too


async def _senders(broker: Broker, work: Any) -> tuple[list[float], float]:  # noqa: ANN401 - awaitable
    done, took = asyncio.Event(), list[float]()
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(_SENDERS):
            group.create_task(_send(broker, f"a{number}", done, took))
        await work
        done.set()
    return took, time.perf_counter() - began


def _figures(took: list[float], seconds: float) -> dict[str, float]:
    took.sort()
    at = {f"p{part}_ms": round(took[min(int(len(took) * part / 100), len(took) - 1)] * 1000, 2) for part in (50, 99)}
    return {**at, "max_ms": round(took[-1] * 1000, 2), "sends_a_second": round(len(took) / seconds)}


async def measure(place: Path, count: int, size: int) -> dict[str, Any]:
    """The figures."""
    path = place / "hive.sqlite"
    store = await Store.open(sqlite_url(path))
    await store.close()
    await asyncio.to_thread(_fill, path, count, size)
    before = path.stat().st_size
    store = await Store.open(sqlite_url(path))
    broker = Broker(store, _Everybody(), utc_now, lambda _what, _entry: None, Limits(sends_a_minute=10**9))
    ledger = SimpleNamespace(day=f"{datetime.now().astimezone():%Y-%m-%d}")
    hive: Any = SimpleNamespace(store=store, clock=utc_now, roster=SimpleNamespace(agents={}), ledger=ledger)
    alone, seconds = await _senders(broker, asyncio.sleep(_ALONE))
    beside, sweeping = await _senders(broker, sweep(hive))
    await store.close()
    return {
        "messages": count,
        "alone": _figures(alone, seconds),
        "beside_the_sweep": {**_figures(beside, sweeping), "sweep_s": round(sweeping, 1)},
        "file_mb": {"before": round(before / 1e6), "after": round(path.stat().st_size / 1e6)},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=2000)
    parser.add_argument("--place", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.place) as made:
        figures = asyncio.run(measure(Path(made), given.messages, given.size))
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
