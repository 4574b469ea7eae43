"""Tombstones: what is listed of them, and that a purge leaves nothing for anybody and touches nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hive_bed import short_place
from lifecycle_bed import DEADLINE, Life, life, refusal
from ordinary_user import again_as_nobody, usable_python

from hyperhive.errors import HiveError
from hyperhive.store import agents as agents_store
from hyperhive.store.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_TWO: dict[str, Any] = {"alice": {}, "bob": {}}


@pytest.fixture
async def hive(place: Path) -> AsyncIterator[Life]:
    """A hive in which alice is a tombstone."""
    async with life(place, _TWO) as running:
        await running.running("alice", "bob")
        await running.do("alice", "destroy")
        yield running


def _of(hive: Life, name: str = "alice") -> Path:
    return hive.place / "state" / "agents" / name


def _login(path: Path) -> None:
    path.write_text("{}")


def _link(path: Path) -> None:
    target = path.parents[4] / "operators-login"
    target.write_text("{}")
    path.symlink_to(target)


def _way(path: Path) -> None:
    """The directory above is a link to one with a login."""
    elsewhere = path.parents[4] / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / path.name).write_text("{}")
    path.parent.rmdir()
    path.parent.symlink_to(elsewhere)


@pytest.mark.parametrize(
    ("make", "has"),
    [
        (_login, True),
        (Path.touch, False),
        (_link, False),
        (_way, False),
        (os.mkfifo, False),
        (Path.mkdir, False),
        (lambda _path: None, False),
    ],
)
async def test_only_a_file_of_its_own_with_something_in_it_is_a_login(
    hive: Life, make: Callable[[Path], None], *, has: bool
) -> None:
    make(_of(hive) / "claude" / ".credentials.json")
    async with asyncio.timeout(DEADLINE):
        assert (await hive.tombstone("alice") or {})["hasLogin"] is has


async def test_a_tombstone_says_what_is_kept_of_it(hive: Life) -> None:
    (_of(hive) / "state" / "big").write_bytes(os.urandom(300_000))
    (_of(hive) / "state" / "link").symlink_to("/usr")
    row = await hive.tombstone("alice") or {}
    assert 300_000 <= row["sizeBytes"] < 400_000
    assert (row["origin"], row["declared"], row["unread"]) == ("declared", True, 0)
    await hive.reload({"bob": {}})
    assert (await hive.tombstone("alice") or {})["declared"] is False


# --- what is refused


async def test_a_purge_is_refused_for_an_agent_and_for_nobody_and_for_another_name(hive: Life) -> None:
    assert await refusal(hive.purge("bob")) == "wrong_state"
    assert await refusal(hive.purge("nobody")) == "unknown_agent"
    wrong = hive.operator.ask("POST", "/api/tombstones/alice/purge", {"name": "bob"})
    assert await refusal(wrong) == "malformed"
    for body in (None, {}, {"name": "alice", "really": True}):
        assert await refusal(hive.operator.ask("POST", "/api/tombstones/alice/purge", body)) == "malformed"
    assert _of(hive).exists()
    assert await hive.tombstone("alice") is not None


async def test_a_purge_is_refused_while_the_runtime_still_has_it(hive: Life) -> None:
    hive.runtime._made.add("alice")
    assert await refusal(hive.purge("alice")) == "wrong_state"
    assert _of(hive).exists()
    await hive.operator.ask("POST", "/api/reconcile")
    assert (await hive.purge("alice"))["status"] == "done"


async def test_a_purge_queued_behind_a_revive_is_refused(hive: Life) -> None:
    gate = hive.runtime.gate("alice")
    revive = asyncio.create_task(hive.revive("alice"))
    await gate.reached.wait()
    gate.opened.set()
    await revive
    assert await refusal(hive.purge("alice")) == "wrong_state"
    await hive.do("alice", "destroy")
    gate = hive.runtime.gate("alice")
    both = [asyncio.create_task(hive.revive("alice")), asyncio.create_task(hive.purge("alice"))]
    await gate.reached.wait()
    gate.opened.set()
    done = await asyncio.gather(*both, return_exceptions=True)
    assert getattr(done[1], "code", None) == "wrong_state"
    assert _of(hive).exists()


# --- what is wiped


async def test_a_purge_wipes_everything(place: Path) -> None:
    async with life(place, _TWO) as hive:
        alice = await hive.up("alice")
        event = {"n": 1, "at": "2026-01-01T00:00:00Z", "kind": "note", "data": {"text": "secret"}}
        await alice.ask("/v1/events", {"instance": "first", "events": [event]})
        hive.runtime.crash("alice")
        await hive.watch.until(lambda c: c["type"] == "waiting" and c["data"]["waiting"] != [])
        waits = await hive.send("alice", "for the dead")
        (_of(hive) / "claude" / ".credentials.json").write_text("{}")
        logs = place / "state" / "logs"
        for name in ("alice.log", "alice.log.1"):
            (logs / name).write_text("said in private")
        (logs / "bob.log").write_text("bob's")
        await hive.do("alice", "destroy")
        assert (await hive.purge("alice"))["status"] == "done"
        left = [path for path in (place / "state").rglob("*") if "alice" in path.name]
        assert [*left, *(place / "state").glob("trash/*")] == []
        assert (logs / "bob.log").exists()
        assert await hive.tombstone("alice") is None
        await _only_a_dead_letter_is_left(hive, waits)
        await hive.reload({"bob": {}})
        await hive.reload(_TWO)
        await hive.running("alice")
        alice = await hive.up("alice", "second")
        assert await alice.recv() == []
        assert (await hive.operator.ask("GET", "/api/agents/alice/events"))["events"] == []
        assert (await hive.operator.ask("GET", "/api/agents/alice/journal"))["lines"] == []
        assert await hive.waiting("crash") == []
    with contextlib.closing(sqlite3.connect(place / "state" / "hive.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM events WHERE agent = 'alice'").fetchone() == (0,)


async def _only_a_dead_letter_is_left(hive: Life, number: int) -> None:
    (letter,) = await hive.waiting("dead_letter")
    assert (letter["ref"], letter["agent"]) == (number, "alice")
    (row,) = (await hive.operator.ask("GET", "/api/dead-letters"))["messages"]
    assert (row["id"], "purged" in row["reason"]) == (number, True)
    assert await refusal(hive.operator.ask("POST", f"/api/dead-letters/{number}/requeue")) == "recipient_gone"
    assert await hive.operator.ask("POST", f"/api/dead-letters/{number}/discard") == {"ok": True}
    assert await hive.waiting("dead_letter") == []


def _deep(path: Path, levels: int) -> None:
    """A tree that is too deep for any path to name its end."""
    here = os.open(path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d" * 8, dir_fd=here)
        deeper = os.open("d" * 8, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(os.open("end", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


async def test_whatever_an_agent_left_is_counted_and_wiped_and_nothing_else(hive: Life) -> None:
    outside = hive.place / "outside"
    (outside / "deeper").mkdir(parents=True)
    (outside / "deeper" / "file").write_text("the operator's")
    (outside / "deeper").chmod(0o500)
    state = _of(hive) / "state"
    _deep(state, 2500)  # deeper than a path may be long, and than Python recurses
    (state / "out").symlink_to(outside)
    (state / "up").symlink_to("../../../../outside/deeper/file")
    os.link(outside / "deeper" / "file", state / "hard")
    closed = state / "closed"
    (closed / "inner").mkdir(parents=True)
    (closed / "inner" / "file").touch()
    (closed / "inner").chmod(0)
    closed.chmod(0)
    (state / "-rf\n*").write_text("a name")
    os.mkfifo(state / "fifo")
    async with asyncio.timeout(DEADLINE):
        assert (await hive.tombstone("alice") or {})["sizeBytes"] >= 2500
        assert (await hive.purge("alice"))["status"] == "done"
    assert not _of(hive).exists()
    assert (outside / "deeper" / "file").read_text() == "the operator's"
    assert (outside / "deeper").stat().st_mode & 0o777 == 0o500
    assert _of(hive, "bob").exists()


async def test_an_agents_directory_that_is_a_link_is_taken_away_and_not_followed(hive: Life) -> None:
    outside = hive.place / "outside"
    outside.mkdir()
    (outside / "file").write_text("the operator's")
    (outside / "file").chmod(0o400)
    outside.chmod(0o500)
    _of(hive).rename(hive.place / "moved")
    _of(hive).symlink_to(outside)
    assert (await hive.tombstone("alice") or {})["hasLogin"] is False
    assert (await hive.purge("alice"))["status"] == "done"
    assert not _of(hive).is_symlink()
    assert (outside.stat().st_mode & 0o777, (outside / "file").stat().st_mode & 0o777) == (0o500, 0o400)


async def test_many_purges_at_once_do_not_get_in_each_others_way(place: Path) -> None:
    names = [f"a{number}" for number in range(8)]
    async with life(place, {name: {} for name in names}) as hive:
        await hive.running(*names)
        await asyncio.gather(*(hive.do(name, "destroy") for name in names))
        for name in names:
            for number in range(60):
                (_of(hive, name) / "state" / str(number)).mkdir()
        done = await asyncio.gather(*(hive.purge(name) for name in names))
        assert [row["status"] for row in done] == ["done"] * 8
        assert (await hive.operator.ask("GET", "/api/tombstones"))["tombstones"] == []
    assert list((place / "state").glob("trash/*")) == []


# --- what is interrupted


@pytest.mark.parametrize("when", ["aside", "wiping"])
async def test_a_purge_that_was_interrupted_is_finished_by_the_next_start(
    place: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    reached, real = asyncio.Event(), Store.submit

    async def stuck(*_arguments: object, **_more: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    def never(store: Store, operation: Any, *arguments: Any) -> asyncio.Future[Any]:  # noqa: ANN401
        if operation is not agents_store.purge:
            return real(store, operation, *arguments)
        reached.set()
        return asyncio.get_running_loop().create_future()

    async with life(place, _TWO) as hive:
        await hive.running("alice", "bob")
        (_of(hive) / "claude" / ".credentials.json").write_text("{}")
        await hive.do("alice", "destroy")
        with monkeypatch.context() as patch:
            patch.setattr("hyperhive.beneath.wipe", stuck)
            if when == "aside":
                patch.setattr(Store, "submit", never)
            purge = asyncio.create_task(hive.purge("alice"))
            await reached.wait()
        assert not _of(hive).exists()
        assert list((place / "state" / "trash").iterdir()) != []
        purge.cancel()
    async with life(place, _TWO) as hive:
        assert list((place / "state").glob("trash/*")) == []
        if when == "aside":
            assert (await hive.tombstone("alice") or {})["hasLogin"] is False
            assert (await hive.purge("alice"))["status"] == "done"
            await hive.operator.ask("POST", "/api/reconcile")
        await hive.running("alice")
        assert list((_of(hive) / "claude").iterdir()) == []


async def test_trash_that_cannot_be_emptied_does_not_keep_the_hive_from_starting(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(root: Path) -> None:
        raise HiveError("operation_failed", f"'{root}' cannot be removed", "Remove it by hand")

    monkeypatch.setattr("hyperhive.beneath.wipe", refused)
    async with life(place, _TWO) as hive:
        await hive.running("alice", "bob")
        await hive.do("alice", "destroy")
        assert await refusal(hive.purge("alice")) == "operation_failed"
        assert await hive.tombstone("alice") is None, "it is put aside"
        assert not _of(hive).exists()
    async with life(place, _TWO) as hive:
        await hive.running("alice")


@pytest.mark.tier("ordinary-user")
@pytest.mark.skipif(os.geteuid() != 0, reason="this is the run as an ordinary user")
def test_what_is_wiped_as_an_ordinary_user(require_tier: Callable[[str, object, str], None]) -> None:
    """Whom a directory without permissions stops."""
    with short_place() as place:
        place.chmod(0o711)
        usable, why = usable_python(place)
        require_tier("ordinary-user", usable, why)
        unit = Path(__file__).parents[1] / "unit" / "test_beneath.py"
        again_as_nobody(place, str(usable), __file__, unit, "-k", "beneath or whatever or link or wipes or kept")
