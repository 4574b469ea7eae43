"""What is old is dropped and its room given back while others write; a database of an earlier version can shrink."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest_asyncio
from broker_bed import BrokerBed, migrated
from hive_bed import running_hive, short_place

from hyperhive.hive import retention
from hyperhive.hive.retention import KEEP, KEEP_TURNS, sweep
from hyperhive.store import events, messages, space, usage
from hyperhive.store.engine import sqlite_url
from hyperhive.store.events import KEPT, EventBatch, NewEvent
from hyperhive.store.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

#: Messages that a sweep has to drop in the suite; `tests/bench/bench_sweep.py` measures with 100,000.
_OLD = 3000


@pytest_asyncio.fixture
async def bed(tmp_path: Path) -> AsyncIterator[BrokerBed]:
    made = await BrokerBed(tmp_path).open()
    yield made
    await made.close()


def _hive(bed: BrokerBed) -> Any:  # noqa: ANN401 - what a sweep needs of a hive
    ledger = SimpleNamespace(day="2026-01-01")
    roster = SimpleNamespace(agents={"alice": None, "bob": None})
    return SimpleNamespace(store=bed.store, clock=bed.clock, roster=roster, ledger=ledger)


def _fill(path: Path, clock: Any, count: int, size: int = 3000) -> None:  # noqa: ANN401 - a clock
    """Messages that were settled long ago, written behind the hive's back; and some of each kind that has to stay."""
    old = (clock() - KEEP - timedelta(days=1)).replace(tzinfo=None).isoformat(sep=" ")
    new = (clock() - KEEP + timedelta(days=1)).replace(tzinfo=None).isoformat(sep=" ")
    stay = [("waiting", None), ("dead", None), ("settled", new), ("discarded", new)]
    rows = [("settled" if number % 2 else "discarded", old) for number in range(count)] + stay
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executemany(
            "INSERT INTO messages (id, sender, recipient, body, sent_at, state, deliveries, failures, settled_at)"
            " VALUES (?, 'carol', 'alice', ?, ?, ?, 1, 0, ?)",
            [(10_000 + number, "x" * size, old, state, at) for number, (state, at) in enumerate(rows)],
        )
        connection.execute("UPDATE counters SET value = 1000000 WHERE name = 'message'")
        connection.commit()


async def test_what_is_old_goes_and_its_room_is_given_back(bed: BrokerBed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_PAUSE", 0)
    monkeypatch.setattr(space, "_RESERVE", 50)
    await asyncio.to_thread(_fill, bed.database, bed.clock, _OLD)
    await bed.close()
    await bed.open()
    before = bed.database.stat().st_size
    assert before > _OLD * 3000
    assert await sweep(_hive(bed)) == _OLD
    left = await bed.store.read(messages.page, messages.Filter())
    assert sorted(row.state for row in left) == ["dead", "discarded", "settled", "waiting"]
    assert await sweep(_hive(bed)) == 0
    await bed.close()
    assert bed.database.stat().st_size < before / 10
    await bed.open()


def _use(path: Path, clock: Any, count: int) -> None:  # noqa: ANN401 - a clock
    """Turns of more than 90 days ago, one of less, and what was special about a budget on three days."""
    old = (clock() - KEEP_TURNS - timedelta(days=1)).replace(tzinfo=None).isoformat(sep=" ")
    new = (clock() - KEEP_TURNS + timedelta(days=1)).replace(tzinfo=None).isoformat(sep=" ")
    used = ", ".join(usage.SUMMED)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executemany(
            f"INSERT INTO usage_turns (agent, instance, n, at, day, model, {used})"  # noqa: S608 - names of columns
            " VALUES (?, 'i', ?, ?, '2025-01-01', 'haiku', 1, 0, 0, 0, 0, 0, 0, 0)",
            [("alice" if n % 2 else "bob", n, new if n == count else old) for n in range(count + 1)],
        )
        days = [("2025-12-30",), ("2025-12-31",), ("2026-01-01",)]
        connection.executemany("INSERT INTO budget_days (day, scope) VALUES (?, 'alice')", days)
        connection.commit()


async def test_single_turns_go_in_steps_and_their_day_stays(bed: BrokerBed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_PAUSE", 0)
    await asyncio.to_thread(_use, bed.database, bed.clock, 1000)
    steps: list[int] = []
    drop = usage.drop_old

    def seen(*args: Any) -> list[int]:  # noqa: ANN401 - passed on
        steps.extend(done := drop(*args))
        return done

    monkeypatch.setattr(usage, "drop_old", seen)
    await sweep(_hive(bed))
    assert steps == [100] * 10 + [0]
    with contextlib.closing(sqlite3.connect(bed.database)) as connection:
        assert connection.execute("SELECT n FROM usage_turns").fetchall() == [(1000,)]
        assert connection.execute("SELECT day FROM budget_days").fetchall() == [("2026-01-01",)]
        plan = connection.execute(
            "EXPLAIN QUERY PLAN DELETE FROM usage_turns WHERE (agent, instance, n) IN"
            " (SELECT agent, instance, n FROM usage_turns WHERE at < '2026' ORDER BY at LIMIT 100)"
        ).fetchall()
    assert "SCAN usage_turns" not in str(plan), plan


async def test_others_write_while_a_sweep_is_under_way(bed: BrokerBed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A send waits for the step that is written, for the one before it in the queue, and hears after one more."""
    monkeypatch.setattr(retention, "_PAUSE", 0)
    await asyncio.to_thread(_fill, bed.database, bed.clock, _OLD)
    dropped: list[int] = []
    drop = messages.drop_settled

    def seen(connection: Any, items: Any) -> list[int]:  # noqa: ANN401 - passed on
        done = drop(connection, items)
        dropped.extend(done)
        return done

    monkeypatch.setattr(messages, "drop_settled", seen)
    sweeping = asyncio.create_task(sweep(_hive(bed)))
    waited: list[int] = []
    # Not more than one sender may send in a minute, on a machine that is quicker than the sweep.
    while not sweeping.done() and len(waited) < 500:
        before = len(dropped)
        await bed.send("alice", "operator", "x" * 500)
        waited.append(len(dropped) - before)
    assert await sweeping == _OLD
    assert sum(dropped) == _OLD
    assert max(dropped) <= 100
    assert max(waited) <= 3, waited


async def test_free_room_is_kept_for_what_comes_next(bed: BrokerBed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_PAUSE", 0)
    await asyncio.to_thread(_fill, bed.database, bed.clock, 1000)
    await sweep(_hive(bed))
    assert await bed.store.read(space.surplus) == 0
    with contextlib.closing(sqlite3.connect(bed.database)) as connection:
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    assert free > 500


async def test_the_log_of_writes_does_not_stay_large(bed: BrokerBed) -> None:
    log = bed.database.with_name(bed.database.name + "-wal")

    def burst() -> None:
        with contextlib.closing(sqlite3.connect(bed.database)) as connection:
            rows = [(5000 + number, "x" * 60_000) for number in range(500)]
            connection.executemany(
                "INSERT INTO messages (id, sender, recipient, body, sent_at, state, deliveries, failures)"
                " VALUES (?, 'a', 'b', ?, '2026-01-01 00:00:00', 'dead', 0, 0)",
                rows,
            )
            connection.commit()

    await asyncio.to_thread(burst)
    assert log.stat().st_size > 25_000_000
    for _ in range(3):
        await bed.send("alice", "operator", "x" * 1000)
    assert log.stat().st_size <= 17_000_000


async def test_two_thousand_events_of_an_agent_stay_under_load() -> None:
    with short_place() as place:
        async with running_hive(place, {"alice": {}, "bob": {}}) as hive:
            alice, bob = await hive.agent("alice"), await hive.agent("bob")
            at = "2026-01-01T00:00:00Z"
            for client, batches in ((alice, 25), (bob, 1)):
                made = [
                    {"n": n, "at": at, "kind": "text", "turn": 1, "data": {"text": "x" * 200}}
                    for n in range(batches * 200)
                ]
                await asyncio.gather(
                    *(
                        client.post("/v1/events", json={"instance": f"i{start}", "events": made[start : start + 200]})
                        for start in range(0, len(made), 200)
                    )
                )
            await bob.post("/v1/messages", json={"to": "alice", "body": "a commit that the trimming rides with"})
        with contextlib.closing(sqlite3.connect(place / "state" / "hive.sqlite")) as connection:
            found = dict(connection.execute("SELECT agent, count(*) FROM events GROUP BY agent").fetchall())
        assert found == {"alice": KEPT, "bob": 200}


async def test_a_hive_that_is_restarted_often_trims_as_well(bed: BrokerBed) -> None:
    made = tuple(NewEvent(n, bed.clock(), "text", 1, {}) for n in range(KEPT + 150))
    await bed.store.submit(events.insert_events, EventBatch("alice", "i", made))
    await sweep(_hive(bed))
    assert len(await bed.store.read(events.page, "alice", None, 5000)) == KEPT


async def test_a_database_of_an_earlier_version_is_written_anew_once(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    shutil.copy(migrated(), path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (
            "PRAGMA journal_mode=DELETE",
            "DROP TABLE account_limits",
            "ALTER TABLE agents DROP COLUMN account",
            "ALTER TABLE approvals DROP COLUMN shown_since",
            "ALTER TABLE deployments DROP COLUMN shown_since",
            "DROP INDEX messages_done",
            "UPDATE alembic_version SET version_num = '0010'",
            "INSERT INTO audit (id, at, actor, action, subject) VALUES (1, '2026-01-01', 'operator', 'a', 'b')",
            "PRAGMA auto_vacuum=NONE",
            "VACUUM",
        ):
            connection.execute(statement)
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    store = await Store.open(sqlite_url(path))
    await store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (space.INCREMENTAL,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT count(*) FROM audit").fetchone() == (1,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT id FROM messages WHERE settled_at < '2026' AND state IN ('settled', 'discarded')"
            " ORDER BY settled_at LIMIT 100"
        ).fetchall()
    assert "USING INDEX messages_done" in str(plan), plan
