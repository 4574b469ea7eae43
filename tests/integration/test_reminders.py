"""Reminders on a real store: each comes exactly once, never early, in order, whatever happens in between."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from broker_bed import refused
from drawn import drawn
from hypothesis import given
from hypothesis import strategies as some
from reminder_bed import ReminderBed

from hyperhive.clock import rfc3339
from hyperhive.errors import HiveError
from hyperhive.hive.limits import Limits
from hyperhive.store import agents, audit
from hyperhive.store import reminders as statements
from hyperhive.store.reminders import MOST_PENDING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture
async def bed(tmp_path: Path) -> AsyncIterator[ReminderBed]:
    made = await ReminderBed(tmp_path).open()
    yield made
    await made.close()


async def test_it_comes_when_it_is_due_and_not_before(bed: ReminderBed) -> None:
    row = await bed.remind(message="look at\nthe build", delay_seconds=60)
    assert (row.id, row.status, row.due_at - row.made_at) == (1, "pending", timedelta(seconds=60))
    await bed.pass_by(59.9)
    assert await bed.words() == []
    await bed.pass_by(0.1)
    said = f"You asked at {rfc3339(row.made_at)} to be told this now (reminder 1).\n\nlook at\nthe build"
    assert await bed.words() == [said]
    row = await bed.get(1)
    assert (row.status, row.ended_at, row.ended_by, row.message) == ("fired", bed.clock(), None, 1)
    assert bed.rows == [(1, "pending"), (1, "fired")]
    await bed.pass_by(3600)
    assert await bed.stored() == [said]


async def test_it_wakes_whoever_waits(bed: ReminderBed) -> None:
    await bed.remind()
    waiting = asyncio.create_task(bed.recv("alice", wait=30))
    await bed.parked("alice")
    await bed.pass_by(60)
    (delivery,) = (await waiting).deliveries
    assert (delivery.from_, delivery.redelivered) == ("reminder", False)


async def test_a_time_of_another_zone_is_that_instant(bed: ReminderBed) -> None:
    row = await bed.remind(at="2026-01-02T04:05:00+01:00")
    assert rfc3339(row.due_at) == "2026-01-02T03:05:00.000Z"


@pytest.mark.parametrize(
    ("more", "code", "word"),
    [
        ({"message": " "}, "malformed", "empty"),
        ({"message": "x" * 8193}, "body_too_large", "8,193"),
        ({"message": "a\0b"}, "malformed", "NUL"),
        ({"at": None, "delay_seconds": None}, "malformed", "exactly one"),
        ({"at": "2026-01-02T04:00:00Z", "delay_seconds": 60}, "malformed", "exactly one"),
        ({"at": "2026-01-02T02:00:00Z"}, "malformed", "is past"),
        ({"at": "2027-06-02T02:00:00Z"}, "malformed", "366 days"),
    ],
)
async def test_what_cannot_be_is_refused(bed: ReminderBed, more: dict[str, Any], code: str, word: str) -> None:
    error = await refused(bed.remind(**more))
    assert (error.code, word in error.message) == (code, True), error.message
    assert await bed.store.read(statements.page) == []


async def test_what_was_due_a_moment_ago_comes_at_once(bed: ReminderBed) -> None:
    await bed.remind(at=bed.clock() - timedelta(minutes=4))
    await bed.idle()
    assert "It comes late: it was due at 2026-01-02T03:00:05.000Z." in (await bed.words())[0]


async def test_the_same_request_again_is_the_same_reminder(bed: ReminderBed) -> None:
    first = await bed.remind(idempotency_key="k")
    bed.clock.advance(400)
    again = await bed.remind(idempotency_key="k", at=first.due_at, delay_seconds=None)
    assert (again.id, again.due_at) == (first.id, first.due_at)
    assert (await bed.remind(agent="bob", idempotency_key="k")).id == 2


async def test_fifty_may_be_pending(bed: ReminderBed) -> None:
    for _ in range(MOST_PENDING):
        await bed.remind()
    assert (await refused(bed.remind())).code == "too_many_reminders"
    await bed.remind(agent="bob")
    await bed.reminders.cancel(1, "alice")
    await bed.remind(idempotency_key="k")
    assert (await refused(bed.remind())).code == "too_many_reminders"
    await bed.pass_by(61)
    assert len(await bed.words()) == MOST_PENDING
    assert (await bed.remind(idempotency_key="k")).status == "fired"
    assert (await bed.remind()).status == "pending"


async def test_whoever_makes_and_cancels_without_end_is_slowed(tmp_path: Path) -> None:
    bed = await ReminderBed(tmp_path, Limits(sends_a_minute=3)).open()
    for number in (1, 2, 3):
        await bed.remind(idempotency_key=f"k{number}")
        await bed.reminders.cancel(number, "alice")
    error = await refused(bed.remind())
    assert (error.code, error.data["retry_after"]) == ("too_many_messages", 60)
    assert (await bed.remind(idempotency_key="k2")).id == 2
    await bed.close()


async def test_it_is_cancelled_by_its_agent_or_the_operator(bed: ReminderBed) -> None:
    for _ in range(3):
        await bed.remind()
    assert (await refused(bed.reminders.cancel(1, "bob"))).code == "unknown_reminder"
    assert (await refused(bed.reminders.cancel(9, "alice"))).code == "unknown_reminder"
    assert (await bed.reminders.cancel(1, "alice")).status == "cancelled"
    # It may not have heard that it was.
    assert (await bed.reminders.cancel(1, "alice")).status == "cancelled"
    assert (await bed.reminders.cancel(2, "operator")).ended_by == "operator"
    assert (await refused(bed.reminders.cancel(2, "alice"))).code == "wrong_state"
    await bed.pass_by(60)
    assert len(await bed.words()) == 1
    late = await refused(bed.reminders.cancel(3, "alice"))
    assert (late.code, "fired at" in late.message) == ("wrong_state", True)
    (entry,) = await bed.store.read(audit.page, None, 10)
    assert (entry.actor, entry.action, entry.subject) == ("operator", "cancel-reminder", "reminder 2")


@pytest.mark.parametrize("kill", [False, True])
async def test_what_came_due_while_the_hive_was_down_comes_once_and_in_order(bed: ReminderBed, *, kill: bool) -> None:
    await bed.remind(message="third", delay_seconds=90)
    await bed.remind(message="second", delay_seconds=60)
    await bed.remind(message="first", delay_seconds=30)
    await bed.remind(message="later", delay_seconds=4000)
    bed.clock.advance(3600)
    await bed.restart(kill=kill)
    words = [word.rsplit("\n", 1)[1] for word in await bed.words()]
    assert words == ["first", "second", "third"]
    await bed.restart(kill=kill)
    assert await bed.words() == []
    await bed.pass_by(400)
    assert [word.rsplit("\n", 1)[1] for word in await bed.words()] == ["later"]


async def test_a_destroyed_agent_gets_it_when_it_is_revived(bed: ReminderBed) -> None:
    await bed.remind(message="b")
    await bed.remind(message="a", delay_seconds=30)
    await bed.destroy("alice")
    await bed.pass_by(120)
    assert await bed.stored() == []
    await bed.restart(kill=True)
    assert await bed.stored() == []
    await bed.revive("alice")
    assert len(await bed.words()) == 2
    await bed.revive("alice")
    assert await bed.words() == []


async def test_one_that_is_cancelled_while_its_agent_is_a_tombstone_does_not_come(bed: ReminderBed) -> None:
    await bed.remind()
    await bed.destroy("alice")
    await bed.pass_by(120)
    await bed.reminders.cancel(1, "operator")
    await bed.revive("alice")
    assert await bed.words() == []


async def test_a_purge_takes_them_along(bed: ReminderBed) -> None:
    await bed.remind()
    await bed.remind(agent="bob")
    await bed.destroy("alice")
    await bed.store.submit(agents.purge, agents.Purge("alice", "gone", bed.clock()))
    bed.reminders.forget("alice")
    assert [row.agent for row in await bed.store.read(statements.page)] == ["bob"]
    await bed.revive("alice")
    await bed.pass_by(120)
    assert (await bed.stored(), len(await bed.stored("bob"))) == ([], 1)


async def test_a_full_inbox_is_waited_for(tmp_path: Path) -> None:
    bed = await ReminderBed(tmp_path, Limits(unread=3)).open()
    for _ in range(3):
        await bed.send("bob", "alice")
    await bed.remind()
    await bed.pass_by(60)
    await bed.pass_by(60)
    assert (await bed.get(1)).status == "pending"
    got = (await bed.recv("alice")).deliveries
    await bed.outcome("alice", [got[0].id], "settled")
    await bed.pass_by(30)
    assert len(await bed.stored()) == 1
    assert "It comes late" in (await bed.stored())[0]
    await bed.close()


async def test_a_paused_agent_finds_it_when_it_goes_on(bed: ReminderBed) -> None:
    bed.broker.shut("alice", "paused")
    await bed.remind()
    await bed.pass_by(60)
    assert await bed.words() == []
    bed.broker.open("alice", "paused")
    assert len(await bed.words()) == 1


async def test_what_could_not_be_written_is_tried_again(bed: ReminderBed, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> list[Any]:
        raise HiveError("storage_full", "the disk is full", "")

    await bed.remind()
    with monkeypatch.context() as patch:
        patch.setattr(statements, "fire", full)
        await bed.pass_by(60)
    assert (await bed.get(1)).status == "pending"
    await bed.pass_by(31)
    assert len(await bed.words()) == 1
    assert bed.broker.unread("alice") == 0
    assert bed.broker._box("alice").coming == 0


async def test_old_ones_are_dropped_and_pending_ones_never(bed: ReminderBed) -> None:
    await bed.remind()
    await bed.remind(delay_seconds=366 * 86400)
    await bed.remind(delay_seconds=30 * 86400)
    await bed.pass_by(60)
    await bed.pass_by(31 * 86400)
    dropped = await bed.store.submit(statements.drop_ended, (bed.clock() - timedelta(days=30), 100))
    assert dropped == 1
    assert [row.id for row in await bed.store.read(statements.page)] == [3, 2]


# --- in any order

_DO = some.sampled_from(["remind", "remind", "again", "cancel", "pass", "pass", "restart", "kill", "destroy", "revive"])
_STEPS = some.lists(
    some.tuples(_DO, some.integers(1, 4), some.sampled_from([1, 20, 45, 60, 200])), min_size=4, max_size=20
)


@drawn(30)
@given(steps=_STEPS)
def test_whatever_happens_each_comes_once_and_not_early(steps: list[tuple[str, int, int]]) -> None:
    asyncio.run(_run(steps))


async def _run(steps: list[tuple[str, int, int]]) -> None:
    place = Path(tempfile.mkdtemp(prefix="hh-"))
    bed = await ReminderBed(place).open()
    due: dict[int, Any] = {}
    cancelled: set[int] = set()
    alive = True
    try:
        for step, number, seconds in steps:
            if step in {"remind", "again"} and alive:
                key = f"k{number}" if step == "again" else None
                row = await bed.remind(delay_seconds=seconds, idempotency_key=key)
                assert due.setdefault(row.id, row.due_at) == row.due_at
            elif step == "cancel":
                with contextlib.suppress(HiveError):
                    await bed.reminders.cancel(number, "alice")
                    cancelled.add(number)
            elif step == "pass":
                await bed.pass_by(seconds)
            elif step in {"restart", "kill"}:
                bed.clock.advance(seconds)
                await bed.restart(kill=step == "kill")
            elif step == "destroy":
                await bed.destroy("alice")
                alive = False
            elif step == "revive":
                await bed.revive("alice")
                alive = True
            await _check(bed, due, cancelled, alive=alive)
        await bed.revive("alice")
        await bed.pass_by(1000)
        await _check(bed, due, cancelled, alive=True)
    finally:
        await bed.close()
        shutil.rmtree(place, ignore_errors=True)


async def _check(bed: ReminderBed, due: dict[int, Any], cancelled: set[int], *, alive: bool) -> None:
    words = await bed.stored()
    sent = [int(word.split("(reminder ", 1)[1].split(")", 1)[0]) for word in words]
    assert len(set(sent)) == len(sent), "one came twice"
    assert not cancelled & set(sent), "a cancelled one came"
    assert all(due[number] <= bed.clock() for number in sent), "one came early"
    # The step that let time pass has sent what came due, if there was anybody to send it to.
    late = {number for number, at in due.items() if at <= bed.clock()} - set(sent) - cancelled
    assert not (alive and late), "one did not come"
    status = {row.id: row.status for row in await bed.store.read(statements.page)}
    assert {number for number, is_now in status.items() if is_now == "fired"} == set(sent)
    assert {number for number, is_now in status.items() if is_now == "cancelled"} == cancelled
