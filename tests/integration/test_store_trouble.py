"""Disks that are full, locked or read-only, under real SQLite: what is refused, what goes on, that nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import pytest
from broker_bed import DEADLINE, BrokerBed
from hive_bed import short_place

from hyperhive.errors import HiveError
from hyperhive.store import engine, messages
from hyperhive.store.engine import sqlite_url
from hyperhive.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection


@pytest.fixture
def small_disk(require_tier: Callable[[str, object, str], None]) -> Iterator[Path]:
    """A file system of four megabytes."""
    with short_place() as place:
        done = subprocess.run(
            ["/bin/mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], check=False, capture_output=True, text=True
        )
        require_tier("mount", done.returncode == 0, f"a small file system cannot be mounted: {done.stderr.strip()}")
        try:
            yield place
        finally:
            subprocess.run(["/bin/umount", "-l", place], check=True)


async def test_on_a_full_disk_sends_are_refused_and_the_rest_goes_on(small_disk: Path) -> None:
    bed = await BrokerBed(small_disk).open()
    ballast = small_disk / "ballast"  # more than half: SQLite copies its log into the database to free it
    ballast.write_bytes(b"x" * 2_400_000)
    try:
        accepted: list[int] = []
        code = None
        while code is None and len(accepted) < 200:
            try:
                accepted += [(await bed.send("operator", "bob", f"{len(accepted)} " + "x" * 60_000)).id]
            except HiveError as error:
                code = error.code
        assert code == "storage_full"
        assert accepted
        # Several at once: every one of the batch hears it.
        results = await asyncio.gather(
            *(bed.send("alice", "bob", "y" * 60_000) for _ in range(5)), return_exceptions=True
        )
        assert {getattr(result, "code", None) for result in results} == {"storage_full"}
        got = (await bed.recv("bob", most=1)).deliveries[0]
        assert (got.id, got.body[:2]) == (accepted[0], "0 ")
        # A disk is full for big things first; what was handed out stays handed out when its outcome cannot be written.
        (small_disk / "rest").write_bytes(b"")
        with contextlib.suppress(OSError), (small_disk / "rest").open("ab", buffering=0) as rest:
            while rest.write(b"z" * 4096):
                pass
        outcome: list[object] = await asyncio.gather(bed.outcome("bob", [got.id], "failed"), return_exceptions=True)
        # Whether this small change still fitted into the log is SQLite's business: both must leave it in order.
        (small_disk / "rest").unlink()
        ballast.unlink()
        if isinstance(outcome[0], HiveError):
            assert outcome[0].code == "storage_full"
            assert (await bed.outcome("bob", [got.id], "failed")).accepted == [got.id]
        await bed.restart(kill=False)
        stored = [row.id for row in await bed.store.read(messages.unsettled)]
        assert stored == accepted
        await bed.send("alice", "bob", "there is room again")
    finally:
        await bed.close()


async def test_a_page_limit_is_a_full_disk_too(tmp_path: Path) -> None:
    bed = await BrokerBed(tmp_path).open()

    def bound(connection: Connection, _items: list[None]) -> list[None]:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # the pages that there are, and no more
        return [None]

    await bed.store.submit(bound, None)
    with pytest.raises(HiveError) as caught:
        await bed.send("alice", "bob", "x" * 60_000)
    assert caught.value.code == "storage_full"
    await bed.close()


async def test_on_a_read_only_database_sends_are_refused_and_reads_go_on(tmp_path: Path) -> None:
    bed = await BrokerBed(tmp_path).open()
    kept = await bed.send("alice", "operator", "before")

    _protect(bed.store, on=True)
    results = await asyncio.gather(*(bed.send("alice", "operator", "now") for _ in range(3)), return_exceptions=True)
    assert {getattr(result, "code", None) for result in results} == {"storage_unavailable"}
    assert await bed.inbox() == [kept.id]
    await bed.close()


async def test_a_locked_database_is_waited_for_once_and_not_for_each_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's backup holds the lock: with one wait for each of a batch the hive would stand still for an hour."""
    monkeypatch.setattr(engine, "_BUSY_MS", 1000)
    bed = await BrokerBed(tmp_path).open()
    with contextlib.closing(sqlite3.connect(bed.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(DEADLINE):
            results = await asyncio.gather(*(bed.send("alice", "bob") for _ in range(100)), return_exceptions=True)
        assert {getattr(result, "code", None) for result in results} == {"storage_unavailable"}
        other.execute("ROLLBACK")
    await bed.send("alice", "bob")
    assert len((await bed.recv("bob", most=32)).deliveries) == 1
    await bed.close()


async def test_an_outcome_that_could_not_be_written_can_be_said_again(tmp_path: Path) -> None:
    bed = await BrokerBed(tmp_path).open()
    first, second = await bed.send("alice", "bob"), await bed.send("alice", "bob")
    await bed.recv("bob", most=32)
    _protect(bed.store, on=True)
    for kind in ("settled", "failed"):
        with pytest.raises(HiveError) as caught:
            await bed.outcome("bob", [first.id, second.id], kind)  # type: ignore[arg-type]
        assert caught.value.code == "storage_unavailable"
    # Cut off while it is on its way.
    saying = asyncio.create_task(bed.outcome("bob", [first.id, second.id], "settled"))
    await asyncio.sleep(0)
    saying.cancel()
    await asyncio.wait({saying})
    with pytest.raises(HiveError):
        await bed.send("alice", "bob")  # behind it in the queue
    _protect(bed.store, on=False)
    assert (await bed.outcome("bob", [first.id, second.id], "settled")).accepted == [first.id, second.id]
    await bed.close()


def _protect(store: Store, *, on: bool) -> None:
    """Make the writer's own connection one that may not write; it lies in the pool between two transactions."""
    with contextlib.closing(store._engine.raw_connection()) as connection:
        connection.cursor().execute(f"PRAGMA query_only = {'ON' if on else 'OFF'}")


async def test_a_send_that_could_not_be_written_is_not_counted(tmp_path: Path) -> None:
    bed = await BrokerBed(tmp_path).open()
    _protect(bed.store, on=True)
    for _ in range(7):
        results = await asyncio.gather(*(bed.send("alice", "bob") for _ in range(100)), return_exceptions=True)
        assert {getattr(result, "code", None) for result in results} == {"storage_unavailable"}
    _protect(bed.store, on=False)
    assert await bed.send("alice", "bob")
    await bed.close()


async def test_a_directory_that_cannot_be_written_to_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(HiveError) as caught:
        await Store.open(sqlite_url(tmp_path / "missing" / "hive.sqlite"))
    assert caught.value.code == "storage_unavailable"
