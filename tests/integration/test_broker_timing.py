"""Moments between the steps of the broker: what other tasks may see and do there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from broker_bed import DEADLINE, BrokerBed

from hyperhive.clock import utc_now
from hyperhive.hive.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from hyperhive.hive.inbox import Entry
    from hyperhive.hive.mailbox import Happened
    from hyperhive.wire import RecvAnswer, SendAnswer


async def test_a_message_is_not_counted_twice_while_it_arrives(tmp_path: Path) -> None:
    """Once as on its way and once as there: near the limit a send that has room would be refused."""
    second: list[asyncio.Task[SendAnswer]] = []

    class Bed(BrokerBed):
        def _tell(self, what: Happened, entry: Entry) -> None:
            super()._tell(what, entry)
            if not second:
                second.append(asyncio.get_running_loop().create_task(self.send("alice", "bob")))

    bed = await Bed(tmp_path, Limits(unread=2)).open()
    first = await bed.send("carol", "bob")
    assert (await second[0]).id == first.id + 1
    await bed.close()


async def test_the_end_of_a_back_off_wakes_a_parked_recv(tmp_path: Path) -> None:
    bed = await BrokerBed(tmp_path, Limits(back_off=0.05), utc_now).open()
    sent, later = await bed.send("alice", "bob"), await bed.send("alice", "bob")
    await bed.recv("bob")
    await bed.outcome("bob", [sent.id], "failed")
    async with asyncio.timeout(DEADLINE):
        got = await bed.recv("bob", wait=60, most=32)
    assert [d.id for d in got.deliveries] == [sent.id, later.id]
    await bed.close()


async def test_nothing_overtakes_a_message_whose_outcome_is_on_its_way(tmp_path: Path) -> None:
    bed = await BrokerBed(tmp_path).open()
    sent, _later, other = [await bed.send(name, "bob") for name in ("alice", "alice", "carol")]
    await bed.recv("bob")
    judging = asyncio.create_task(bed.outcome("bob", [sent.id], "failed"))
    await asyncio.sleep(0)
    got = await bed.recv("bob", most=32, holding=[sent.id])
    await judging
    assert [d.id for d in got.deliveries] == [other.id]
    await bed.close()


async def test_of_two_recvs_the_newer_wins_also_while_the_older_gives_back(tmp_path: Path) -> None:
    """The older one waits for a commit, and must not take the place of the newer when it goes on."""
    bed = await BrokerBed(tmp_path).open()
    first = await bed.send("alice", "bob")
    await bed.recv("bob", instance="one")

    async def recv(wait: float) -> RecvAnswer:
        return await bed.recv("bob", wait=wait, instance="two")

    older = asyncio.create_task(recv(60))
    await asyncio.sleep(0)
    newer = asyncio.create_task(recv(60))
    async with asyncio.timeout(DEADLINE):
        assert (await older).deliveries == []
        await bed.parked("bob")
        sent = await bed.send("carol", "bob")
        assert [d.id for d in (await newer).deliveries] == [sent.id]
    assert sent.id > first.id
    await bed.close()


async def test_a_recv_that_was_cut_off_leaves_no_place_for_a_message_to_vanish_in(tmp_path: Path) -> None:
    bed = await BrokerBed(tmp_path).open()
    for _ in range(20):
        waiting = asyncio.create_task(bed.recv("bob", wait=60))
        await bed.parked("bob")
        sending = asyncio.create_task(bed.send("alice", "bob"))
        while not sending.done():
            await asyncio.sleep(0)  # one step of the loop
            if bed.told[-1:] == [("handed_out", 1)]:
                break
        waiting.cancel()
        await asyncio.wait({waiting})
        sent = await sending
        got = (await bed.recv("bob")).deliveries
        assert [d.id for d in got] == [sent.id]
        await bed.outcome("bob", [sent.id], "settled")
    await bed.close()


async def test_a_recv_that_comes_while_the_hive_ends_is_given_nothing(tmp_path: Path) -> None:
    """That it was handed out could not be written any more: it would come again without its mark."""
    bed = await BrokerBed(tmp_path).open()
    await bed.send("alice", "bob")
    bed.broker.close()
    assert (await bed.recv("bob")).deliveries == []
    await bed.close()
