"""Schedules on a real store: each time comes once, what was missed is one message, and a changed one starts anew."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from drawn import drawn
from hypothesis import given
from hypothesis import strategies as some
from reminder_bed import ReminderBed

from hyperhive.errors import HiveError
from hyperhive.hive.limits import Limits
from hyperhive.store import agents
from hyperhive.store import schedules as statements

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MINUTE = {"every": "1m"}


@pytest_asyncio.fixture
async def bed(tmp_path: Path) -> AsyncIterator[ReminderBed]:
    made = await ReminderBed(tmp_path).open()
    yield made
    await made.close()


async def test_it_comes_again_and_again(bed: ReminderBed) -> None:
    await bed.declare(pulse={"every": "2m"}, morning={"cron": "0 8 * * *"})
    assert await bed.words() == []
    await bed.pass_by(119)
    assert await bed.words() == []
    await bed.pass_by(1)
    head = "Your schedule 'pulse' (every 2m) was due at 2026-01-02T03:06:05+00:00."
    assert await bed.words() == [f"{head}\n\ndo pulse"]
    await bed.pass_by(120)
    assert len(await bed.words()) == 1
    await bed.declare(morning={"cron": "0 8 * * *"})
    await bed.pass_by(5 * 3600)
    (word,) = await bed.words()
    head = "Your schedule 'morning' (cron 0 8 * * * (UTC)) was due at 2026-01-02T08:00:00+00:00."
    assert word.startswith(head)


async def test_the_manager_has_schedules_too(bed: ReminderBed) -> None:
    bed.directory.live.add("manager")
    await bed.declare("manager", rounds={"every": "2m"})
    await bed.pass_by(120)
    assert await bed.words() == []
    (word,) = await bed.words("manager")
    assert word.startswith("Your schedule 'rounds' (every 2m) was due at ")


async def test_it_goes_by_the_clock_of_its_zone(bed: ReminderBed) -> None:
    await bed.declare(zone="America/New_York", morning={"cron": "0 8 * * *"})
    (row,) = bed.schedules.rows()
    assert row.next_at == datetime(2026, 1, 2, 13, tzinfo=UTC)
    await bed.pass_by(9 * 3600)
    assert await bed.words() == []
    await bed.pass_by(3600)
    assert "(cron 0 8 * * * (America/New_York)) was due at 2026-01-02T08:00:00-05:00" in (await bed.words())[0]
    (row,) = bed.schedules.rows()
    assert (row.last_at, row.next_at) == (bed.clock(), datetime(2026, 1, 3, 13, tzinfo=UTC))


@pytest.mark.parametrize("kill", [False, True])
async def test_what_was_missed_while_the_hive_was_down_is_one_message(bed: ReminderBed, *, kill: bool) -> None:
    await bed.declare(pulse=MINUTE)
    await bed.pass_by(60)
    await bed.words()
    bed.clock.advance(600)
    await bed.restart(kill=kill)
    (word,) = await bed.words()
    assert "was due at 2026-01-02T03:06:05+00:00. 9 further times were skipped" in word
    await bed.restart(kill=kill)
    assert await bed.words() == []
    await bed.pass_by(59)
    assert await bed.words() == []
    await bed.pass_by(1)
    assert len(await bed.words()) == 1


async def test_the_first_time_is_not_lost_with_the_hive_that_saw_the_schedule(bed: ReminderBed) -> None:
    await bed.declare(pulse=MINUTE)
    bed.clock.advance(61)
    await bed.restart(kill=True)
    assert len(await bed.words()) == 1


async def test_one_of_each_waits_for_an_agent_that_does_not_read(bed: ReminderBed) -> None:
    await bed.declare(pulse=MINUTE, other={"every": "3m"})
    for _ in range(10):
        await bed.pass_by(60)
    assert len(await bed.stored()) == 2
    await bed.restart(kill=True)
    assert len(await bed.stored()) == 2
    (delivery,) = (await bed.recv("alice")).deliveries
    await bed.pass_by(60)
    assert len(await bed.stored()) == 2, "it works on the one before"
    await bed.outcome("alice", [delivery.id], "settled")
    await bed.pass_by(60)
    assert len(await bed.stored()) == 3
    assert "was due at 2026-01-02T03:06:05+00:00. 10 further times were skipped" in (await bed.stored())[-1]


async def test_a_full_inbox_is_waited_for(tmp_path: Path) -> None:
    bed = await ReminderBed(tmp_path, Limits(unread=2)).open()
    await bed.declare(pulse=MINUTE)
    for _ in range(2):
        await bed.send("bob", "alice")
    await bed.pass_by(60)
    assert await bed.stored() == []
    (delivery,) = (await bed.recv("alice")).deliveries
    await bed.outcome("alice", [delivery.id], "settled")
    await bed.pass_by(30)
    assert len(await bed.stored()) == 1
    await bed.close()


async def test_another_rule_starts_anew_and_another_message_does_not(bed: ReminderBed) -> None:
    await bed.declare(pulse={"every": "10m"})
    await bed.pass_by(540)
    await bed.declare(pulse={"every": "10m", "message": "something else"})
    await bed.pass_by(60)
    assert (await bed.words())[0].endswith("something else")
    await bed.declare(pulse={"every": "5m"})
    await bed.pass_by(299)
    assert await bed.words() == []
    await bed.pass_by(1)
    assert len(await bed.words()) == 1
    bed.clock.advance(3600)
    await bed.declare(pulse={"every": "6m"})
    await bed.pass_by(0)
    assert await bed.words() == [], "nothing is caught up of another rule"
    await bed.declare()
    await bed.pass_by(3600)
    assert (await bed.words(), bed.schedules.rows()) == ([], [])
    await bed.declare(pulse={"every": "6m"})
    assert (await bed.words(), bed.schedules.rows()[0].last_at) == ([], None)


async def test_another_zone_is_another_rule(bed: ReminderBed) -> None:
    await bed.declare(morning={"cron": "0 4 * * *"})
    await bed.pass_by(7200)
    await bed.words()
    await bed.declare(zone="Europe/Lisbon", morning={"cron": "0 4 * * *"})
    assert bed.schedules.rows()[0].last_at is None


async def test_a_destroyed_agent_gets_one_when_it_is_revived(bed: ReminderBed) -> None:
    await bed.declare(pulse=MINUTE)
    await bed.destroy("alice")
    for _ in range(3):
        await bed.pass_by(60)
    assert (await bed.stored(), bed.schedules.rows()[0].next_at) == ([], None)
    await bed.restart(kill=True)
    await bed.revive("alice")
    assert "2 further times" in (await bed.words())[0]
    await bed.pass_by(60)
    assert len(await bed.words()) == 1


async def test_a_purged_agent_begins_anew_with_its_declaration(bed: ReminderBed) -> None:
    await bed.declare(pulse=MINUTE)
    await bed.destroy("alice")
    await bed.pass_by(300)
    await bed.store.submit(agents.purge, agents.Purge("alice", "gone", bed.clock()))
    bed.schedules.forget("alice")
    assert bed.schedules.rows() == []
    await bed.revive("alice")
    await bed.schedules.declare(bed.settings)
    await bed.pass_by(59)
    assert await bed.words() == []
    await bed.pass_by(1)
    assert len(await bed.words()) == 1


async def test_what_could_not_be_written_is_tried_again(bed: ReminderBed, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> list[object]:
        raise HiveError("storage_full", "the disk is full", "")

    await bed.declare(pulse=MINUTE)
    with monkeypatch.context() as patch:
        patch.setattr(statements, "fire", full)
        await bed.pass_by(60)
    await bed.pass_by(30)
    assert len(await bed.words()) == 1
    assert bed.broker._box("alice").coming == 0


async def test_settings_that_are_taken_in_while_it_is_written_double_nothing(bed: ReminderBed) -> None:
    await bed.declare(pulse=MINUTE)
    bed.clock.advance(60)
    bed.schedules.deadlines.look()
    await asyncio.gather(*(bed.schedules.declare(bed.settings) for _ in range(3)))
    await bed.idle()
    await bed.pass_by(0)
    assert len(await bed.stored()) == 1


# --- in any order

_DO = some.sampled_from(["pass", "pass", "pass", "read", "read", "restart", "kill", "destroy", "revive", "reload"])
_STEPS = some.lists(some.tuples(_DO, some.sampled_from([1, 20, 45, 60, 200, 2000])), min_size=4, max_size=20)


@drawn(15)
@given(steps=_STEPS)
def test_whatever_happens_each_time_is_told_once(steps: list[tuple[str, int]]) -> None:
    asyncio.run(_run(steps))


async def _run(steps: list[tuple[str, int]]) -> None:
    place = Path(tempfile.mkdtemp(prefix="hh-"))
    bed = await ReminderBed(place).open()
    try:
        await bed.declare(pulse=MINUTE)
        began = bed.clock()
        for step, seconds in steps:
            if step == "pass":
                await bed.pass_by(seconds)
            elif step == "read":
                await bed.words()
            elif step in {"restart", "kill"}:
                bed.clock.advance(seconds)
                await bed.restart(kill=step == "kill")
            elif step == "destroy":
                await bed.destroy("alice")
            elif step == "revive":
                await bed.revive("alice")
            else:
                await bed.schedules.declare(bed.settings)
            waiting = [entry for entry in bed.broker._box("alice").inbox.waiting.values() if entry.sender == "reminder"]
            assert len(waiting) <= 1
        await bed.revive("alice")
        await bed.words()
        await bed.pass_by(60)
        await bed.words()
        whole = int((bed.clock() - began).total_seconds()) // 60
        assert sum(_stands_for(word) for word in await bed.stored()) == whole
    finally:
        await bed.close()
        shutil.rmtree(place, ignore_errors=True)


def _stands_for(word: str) -> int:
    head = word.split("\n", 1)[0]
    if "skipped" not in head:
        return 1
    return 1 + int(head.split("+00:00. ", 1)[1].split(" ", 1)[0].replace(",", ""))
