"""The store: its schema, its one writer, and who may have it; all on real SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from bare_http import RawClient
from broker_bed import DEADLINE, migrated
from hive_bed import hive_process, short_place
from sqlalchemy import text
from sqlmodel import SQLModel

from hyperhive.errors import HiveError
from hyperhive.hive.retention import KEEP
from hyperhive.store import agents, audit, events, messages, tables, writer
from hyperhive.store.engine import open_engine, sqlite_url
from hyperhive.store.messages import Change, NewMessage
from hyperhive.store.owner import StateDirOwner
from hyperhive.store.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy import Connection

_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def _message(body: str = "hi", to: str = "bob", key: str | None = None, **more: Any) -> NewMessage:  # noqa: ANN401
    return NewMessage("alice", (to,), body, _AT, idempotency_key=key, **more)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    shutil.copy(migrated(), tmp_path / "hive.sqlite")
    opened = await Store.open(sqlite_url(tmp_path / "hive.sqlite"))
    yield opened
    await opened.close()


async def _stored(store: Store) -> list[str]:
    return [row.body for row in reversed(await store.read(messages.page, messages.Filter()))]


# --- the schema


def test_the_migrations_make_what_the_tables_say() -> None:
    engine_ = open_engine(sqlite_url(migrated()), write=False)
    with engine_.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, SQLModel.metadata) == []
        found = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        checks = {row.name: row.sql for row in found}
    engine_.dispose()
    for table in SQLModel.metadata.tables.values():
        for constraint in table.constraints:
            if constraint.name and str(constraint.name).endswith("_known"):
                assert str(constraint.sqltext) in checks[table.name]  # type: ignore[attr-defined]


def test_the_newest_migration_is_the_schema_of_this_code() -> None:
    versions = sorted((Path(tables.__file__).parent / "migrations" / "versions").glob("v*.py"))
    assert versions[-1].stem == f"v{tables.SCHEMA}"


async def test_a_new_database_is_migrated_at_open(tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite"
    store = await Store.open(sqlite_url(path))
    assert await store.submit(messages.insert_messages, _message())
    await store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(tables.SCHEMA,)]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_a_database_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "newer.sqlite"
    shutil.copy(migrated(), path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(HiveError, match="9999") as caught:
        await Store.open(sqlite_url(path))
    assert caught.value.code == "storage_unavailable"


async def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "text.sqlite"
    path.write_text("this is a letter to my grandmother, " * 100)
    with pytest.raises(HiveError) as caught:
        await Store.open(sqlite_url(path))
    assert caught.value.code == "storage_unavailable"
    assert path.read_text().startswith("this is a letter")


# --- the writer


async def test_what_waits_is_one_commit(store: Store) -> None:
    """Fifty senders share a sync; else each waits for all before it."""
    queued = threading.Event()

    def until_all_wait(_connection: Connection, items: list[None]) -> list[None]:
        queued.wait(DEADLINE)
        return items

    before = store.writer.commits
    first = store.submit(until_all_wait, None)
    sends = [store.submit(messages.insert_messages, _message(str(n))) for n in range(200)]
    queued.set()
    made = await asyncio.gather(*sends)
    await first
    assert store.writer.commits - before <= 2
    assert [one.ids[0] for one in made] == list(range(1, 201))
    assert await _stored(store) == [str(n) for n in range(100, 200)]


async def test_a_bad_row_fails_alone(store: Store) -> None:
    sends = [store.submit(messages.insert_messages, _message(str(n))) for n in range(3)]
    bad: Any = NewMessage("alice", ("bob",), "bad", _AT.replace(tzinfo=None))
    sends.insert(1, store.submit(messages.insert_messages, bad))
    results = await asyncio.gather(*sends, return_exceptions=True)
    assert [isinstance(result, BaseException) for result in results] == [False, True, False, False]
    assert await _stored(store) == ["0", "1", "2"]


async def test_a_state_that_is_not_known_is_refused_by_the_database(store: Store) -> None:
    made = await store.submit(messages.insert_messages, _message())
    wrong = (Change(made.ids[0], "lost", _AT),)
    with pytest.raises(Exception, match="state_known"):
        await store.submit(messages.change_messages, wrong)


async def test_results_follow_the_commit_and_the_order(store: Store) -> None:
    seen: list[tuple[str, int]] = []

    def then(name: str) -> Callable[[messages.Accepted], None]:
        def done(made: messages.Accepted) -> None:
            with contextlib.closing(sqlite3.connect(store._engine.url.database or "")) as connection:
                assert connection.execute("SELECT count(*) FROM messages WHERE id = ?", made.ids).fetchone() == (1,)
            seen.append((name, made.ids[0]))

        return done

    futures = [store.submit(messages.insert_messages, _message(name), then(name)) for name in "abc"]
    futures[1].cancel()
    await asyncio.wait(futures)
    assert seen == [("a", 1), ("b", 2), ("c", 3)], "also for the one that nobody waits for"


async def test_what_goes_wrong_after_a_commit_holds_up_nobody(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_made: messages.Accepted) -> None:
        msg = "a mistake"
        raise RuntimeError(msg)

    futures = [store.submit(messages.insert_messages, _message("a"), broken)]
    futures.append(store.submit(messages.insert_messages, _message("b")))
    made = await asyncio.wait_for(asyncio.gather(*futures), DEADLINE)
    assert [one.ids for one in made] == [(1,), (2,)]
    assert "a mistake" in caplog.text


async def test_a_note_rides_along_or_goes_by_itself(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    linger = writer._LINGER
    monkeypatch.setattr(writer, "_LINGER", 3600)
    await store.submit(messages.insert_messages, _message())
    before = store.writer.commits
    store.note(messages.mark_handed_out, (1,))
    await store.submit(messages.insert_messages, _message())
    assert store.writer.commits == before + 1
    monkeypatch.setattr(writer, "_LINGER", linger)
    store.note(messages.mark_handed_out, (1,))
    async with asyncio.timeout(DEADLINE):
        while (await store.read(messages.page, messages.Filter(ids=(1,))))[0].deliveries != 2:  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # the only sign of a note is what it wrote
    assert store.writer.commits == before + 2


async def test_close_commits_what_is_queued_and_takes_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "hive.sqlite"
    shutil.copy(migrated(), path)
    store = await Store.open(sqlite_url(path))
    futures = [store.submit(messages.insert_messages, _message(str(n))) for n in range(1000)]
    store.note(messages.mark_handed_out, (1,))
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    with pytest.raises(HiveError) as caught:
        store.submit(messages.insert_messages, _message("late"))
    assert caught.value.code == "shutting_down"
    await closing
    assert all(future.done() for future in futures)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*), sum(deliveries) FROM messages").fetchone() == (1000, 1)


async def test_ids_are_not_used_again_when_rows_are_gone(store: Store) -> None:
    made = await store.submit(messages.insert_messages, _message())
    await store.submit(messages.change_messages, (Change(made.ids[0], "settled", _AT),))
    assert await store.submit(messages.drop_settled, (_AT + timedelta(seconds=1), 100)) == 1
    assert (await store.submit(messages.insert_messages, _message())).ids == (2,)


async def test_only_what_is_done_for_long_is_dropped(store: Store) -> None:
    states = ("waiting", "settled", "dead", "discarded", "settled")
    for state in states:
        made = await store.submit(messages.insert_messages, _message(state))
        if state != "waiting":
            at = _AT + KEEP if made.ids[0] == len(states) else _AT
            await store.submit(messages.change_messages, (Change(made.ids[0], state, at),))
    assert timedelta(days=30) == KEEP
    assert await store.submit(messages.drop_settled, (_AT + timedelta(seconds=1), 100)) == 2
    assert await _stored(store) == ["waiting", "dead", "settled"]


async def test_times_come_back_as_they_went_in(store: Store) -> None:
    zone = _AT.astimezone().tzinfo
    await store.submit(messages.insert_messages, NewMessage("a", ("b",), "x", _AT.astimezone(zone)))
    (row,) = await store.read(messages.page, messages.Filter())
    assert (row.sent_at, row.sent_at.tzinfo) == (_AT, UTC)


async def test_readers_cannot_write(store: Store) -> None:
    def write(connection: Connection) -> None:
        connection.exec_driver_sql("DELETE FROM messages")

    with pytest.raises(HiveError) as caught:
        await store.read(write)
    assert caught.value.code == "storage_unavailable"


async def test_events_are_trimmed_to_the_newest(store: Store) -> None:
    batch = tuple(events.NewEvent(n, _AT, "text", None, {"n": n}) for n in range(events.KEPT + 5))
    await store.submit(events.insert_events, events.EventBatch("alice", "one", batch))
    await store.submit(events.insert_events, events.EventBatch("bob", "one", batch[:3]))
    assert await asyncio.gather(*(store.submit(events.trim, name) for name in ("alice", "bob"))) == [5, 0]
    kept = await store.read(events.page, "alice", None, 10_000)
    assert (len(kept), kept[-1].data, kept[0].data) == (events.KEPT, {"n": 5}, {"n": events.KEPT + 4})
    again = events.EventBatch("alice", "one", batch[:10])
    assert await store.submit(events.insert_events, again) == []


def test_the_audit_log_is_only_appended_to() -> None:
    """What was decided stays decided: no statement here changes or drops a row of it."""
    source = Path(audit.__file__).read_text()
    assert "update(" not in source
    assert "delete(" not in source


async def test_a_declared_agent_keeps_what_is_wanted_for_it(store: Store) -> None:
    await store.submit(agents.declare, agents.Declaration({"alice": "running"}, _AT))
    await store.submit(agents.set_wanted, agents.Wanted("alice", "stopped"))
    await store.submit(agents.declare, agents.Declaration({}, _AT))
    (row,) = await store.read(agents.list_agents)
    assert (row.wanted, row.tombstone_at, row.tombstone_cause) == ("stopped", _AT, "undeclared")
    await store.submit(agents.declare, agents.Declaration({"alice": "running"}, _AT))
    (row,) = await store.read(agents.list_agents)
    assert (row.wanted, row.tombstone_at, row.created_at) == ("stopped", None, _AT)


async def test_a_destroyed_agent_comes_back_once_it_was_not_declared_in_between(store: Store) -> None:
    declared, nobody = agents.Declaration({"alice": "running"}, _AT), agents.Declaration({}, _AT)
    await store.submit(agents.declare, declared)
    await store.submit(agents.bury, agents.Tombstone("alice", _AT))
    await store.submit(agents.declare, declared)
    (row,) = await store.read(agents.list_agents)
    assert (row.tombstone_at, row.tombstone_cause) == (_AT, "destroyed")
    for declaration in (nobody, declared):
        await store.submit(agents.declare, declaration)
    (row,) = await store.read(agents.list_agents)
    assert row.tombstone_at is None


# --- one owner


def test_a_second_owner_is_refused_and_told_who_is_the_first(tmp_path: Path) -> None:
    first, second = StateDirOwner(tmp_path), StateDirOwner(tmp_path)
    first.acquire()
    with pytest.raises(HiveError) as caught:
        second.acquire()
    assert (caught.value.code, caught.value.data["pid"]) == ("hive_running", str(os.getpid()))
    first.release()
    second.acquire()
    second.release()


def test_a_daemon_killed_while_it_started_a_program_keeps_the_next_one_waiting_for_a_moment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    lock = tmp_path / "hive.lock"
    lock.write_text(f"{dead.pid}\n")
    held = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    fcntl.flock(held, fcntl.LOCK_EX)
    # The program has begun: what its parent had, it has no more.
    looks = iter([lambda: None, lambda: os.close(held)])
    monkeypatch.setattr("hyperhive.store.owner.time.sleep", lambda _seconds: next(looks)())
    owner = StateDirOwner(tmp_path)
    owner.acquire()
    assert lock.read_text() == f"{os.getpid()}\n"
    owner.release()
    assert not list(looks)


async def test_a_second_daemon_refuses_and_the_first_goes_on() -> None:
    with short_place() as place:
        async with hive_process(place) as first, hive_process(place) as second:
            await first.start()
            await second.spawn()
            assert await second.ended() == 4
            assert f"another hive, process {first.pid}, runs on" in second.text()
            async with RawClient(first.host_socket) as operator:
                assert (await operator.ask("GET", "/healthz")) == {"ok": True}
            await first.kill()
            await second.start()
            assert await second.end(signal.SIGTERM) == 0


def test_children_do_not_keep_the_lock(tmp_path: Path) -> None:
    owner = StateDirOwner(tmp_path)
    owner.acquire()
    with subprocess.Popen(["/bin/cat"], close_fds=False, stdin=-1, stdout=-1) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"runs\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"runs\n"
        owner.release()
        other = StateDirOwner(tmp_path)
        other.acquire()
        other.release()
