"""What the broker promises: numbered behaviours, run on the broker alone and on a daemon through its sockets.

A test makes a `BrokerRig` and runs each of `CONTRACTS` on it, a new rig for each. In the hive of the rig there are the
agents `alice`, `bob`, `carol` and `dave`, all running; `dave` may write to `alice` and the operator only. Limits and
times are those of `docs/delivery.md`, which explains each number here to people.
"""

# ruff: noqa: D205, PLR2004, PT017, S101 - contracts assert, name the very number they promise, and say why

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from hyperhive.errors import HiveError
from hyperhive.wire import MAX_BODY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from hyperhive.wire import Delivery, OutcomeAnswer, OutcomeKind, RecvAnswer, SendAnswer

    Contract = Callable[["BrokerRig"], Awaitable[None]]

#: Seconds after which something that should come at once is missing.
_SOON: Final = 60.0


class BrokerRig(Protocol):
    """A broker under test, with everything that one can do to it."""

    async def send(
        self, sender: str, to: str, body: str = "hello", *, reply_to: int | None = None, key: str | None = None
    ) -> SendAnswer:
        """Send as an agent, or as `operator`."""
        ...

    async def recv(
        self, agent: str, *, wait: float = 0, most: int = 1, holding: Sequence[int] = (), instance: str | None = "first"
    ) -> RecvAnswer:
        """Receive; a task of this that is cancelled is a client that goes away."""
        ...

    async def outcome(
        self, agent: str, ids: Sequence[int], kind: OutcomeKind, reason: str | None = None
    ) -> OutcomeAnswer:
        """End a turn."""
        ...

    async def parked(self, agent: str) -> None:
        """Return once a recv of `agent` is parked."""
        ...

    async def restart(self, *, kill: bool) -> None:
        """End the broker, orderly or in the middle of whatever it does, and start it on the same store."""
        ...

    async def destroy(self, agent: str) -> None:
        """Make a tombstone of an agent."""
        ...

    async def revive(self, agent: str) -> None:
        """Bring it back."""
        ...

    async def inbox(self) -> list[int]:
        """Ids in the operator's inbox, oldest first."""
        ...

    async def acknowledge(self, ids: Sequence[int]) -> list[int]:
        """Take messages out of the operator's inbox."""
        ...

    async def dead_letters(self) -> list[int]:
        """Ids of the dead letters, oldest first."""
        ...

    async def requeue(self, message: int) -> None:
        """Let a dead letter wait again."""
        ...

    async def discard(self, message: int) -> None:
        """Give a dead letter up."""
        ...

    def advance(self, seconds: float) -> None:
        """Let time pass; only called by contracts in `NEEDS_TIME`."""
        ...

    def statements(self) -> int:
        """SQL statements so far; only called by contracts in `NEEDS_STATEMENTS`."""
        ...


async def refused(work: Awaitable[object], code: str) -> HiveError:
    """Await what must be refused with `code`; returns the error."""
    try:
        done = await work
    except HiveError as error:
        assert error.code == code, f"refused with {error.code}, not {code}: {error}"
        return error
    msg = f"not refused with {code}, but: {done!r}"
    raise AssertionError(msg)


async def one(rig: BrokerRig, agent: str, *, instance: str = "first", holding: Sequence[int] = ()) -> Delivery:
    """The one message that is handed out now."""
    answer = await rig.recv(agent, instance=instance, holding=holding)
    assert len(answer.deliveries) == 1, "nothing was handed out"
    return answer.deliveries[0]


async def nothing(rig: BrokerRig, agent: str, *, instance: str = "first", holding: Sequence[int] = ()) -> None:
    """Nothing is handed out now."""
    answer = await rig.recv(agent, most=32, instance=instance, holding=holding)
    assert answer.deliveries == []


async def fail_until_dead(rig: BrokerRig, agent: str) -> int:
    """Let the message that comes next fail until it is a dead letter; returns its id."""
    number = (await one(rig, agent)).id
    for attempt in range(4):
        assert (await rig.outcome(agent, [number], "failed", "it broke")).dead_letters == []
        rig.advance(5 * 2**attempt)
        assert (await one(rig, agent)).id == number
    assert (await rig.outcome(agent, [number], "failed", "it broke")).dead_letters == [number]
    return number


# --- accepting


async def b01_accepted_is_on_disk(rig: BrokerRig) -> None:
    """B01. What was accepted survives the sudden end of the hive: the answer to a send comes after the commit."""
    sent = await rig.send("alice", "bob", "precious ✓", reply_to=7)
    await rig.restart(kill=True)
    got = await one(rig, "bob")
    assert (got.id, got.from_, got.body, got.in_reply_to) == (sent.id, "alice", "precious ✓", 7)


async def b02_a_key_is_one_message(rig: BrokerRig) -> None:
    """B02. The same idempotency key from the same sender is one message, so a sender that saw no answer may repeat."""
    first = await rig.send("alice", "bob", key="k")
    await rig.restart(kill=True)
    again = await rig.send("alice", "bob", key="k")
    assert (again.id, again.recipients) == (first.id, ["bob"])
    assert (await rig.recv("bob", most=32)).deliveries[0].id == first.id
    await rig.outcome("bob", [first.id], "settled")
    assert (await rig.send("alice", "bob", key="k")).id == first.id
    await nothing(rig, "bob")


async def b03_a_key_is_one_message_at_the_same_time(rig: BrokerRig) -> None:
    """B03. Also when the repeats meet on their way to the disk: a retry does not wait for the first try."""
    sends = [rig.send("alice", "bob", key="k") for _ in range(8)] + [rig.send("alice", "bob") for _ in range(2)]
    ids = [sent.id for sent in await asyncio.gather(*sends)]
    assert len(set(ids[:8])) == 1
    assert len(set(ids)) == 3
    assert sorted(d.id for d in (await rig.recv("bob", most=32)).deliveries) == sorted(set(ids))


async def b04_a_key_is_one_broadcast(rig: BrokerRig) -> None:
    """B04. A repeated broadcast is the same broadcast: the same ids, and one message for each recipient."""
    first, again = await asyncio.gather(rig.send("alice", "*", key="k"), rig.send("alice", "*", key="k"))
    third = await rig.send("alice", "*", key="k")
    assert first == again == third
    assert first.recipients == ["bob", "carol", "dave"]
    for name in first.recipients:
        assert len((await rig.recv(name, most=32)).deliveries) == 1


async def b05_a_key_is_its_senders(rig: BrokerRig) -> None:
    """B05. Keys of different senders have nothing to do with each other: nobody can swallow another's message."""
    mine, theirs = await rig.send("alice", "bob", key="k"), await rig.send("carol", "bob", key="k")
    assert mine.id != theirs.id
    assert [d.from_ for d in (await rig.recv("bob", most=32)).deliveries] == ["alice", "carol"]


async def b06_a_repeat_is_not_refused(rig: BrokerRig) -> None:
    """B06. A repeat of what was accepted is answered with it, whatever a new message would meet by now, and is not
    counted: else a sender takes for refused what arrives.
    """
    first = await rig.send("dave", "alice", key="k")
    for _ in range(700):
        assert (await rig.send("dave", "alice", key="k")).id == first.id
    await rig.send("dave", "alice", "was not counted")
    await rig.destroy("alice")
    assert (await rig.send("dave", "alice", key="k")).id == first.id
    await refused(rig.send("dave", "alice", key="other"), "recipient_gone")


async def b07_ids_are_never_used_again(rig: BrokerRig) -> None:
    """B07. Ids go up, also over restarts and after messages are done: an id in a log means one message for ever."""
    ids = []
    for kill in (False, True, False):
        ids.append((await rig.send("alice", "bob")).id)
        await one(rig, "bob")
        await rig.outcome("bob", ids[-1:], "settled")
        await rig.restart(kill=kill)
    assert ids == sorted(set(ids))


async def b08_a_refusal_leaves_nothing(rig: BrokerRig) -> None:
    """B08. What was refused is nowhere: not delivered, not counted, its key is free."""
    await refused(rig.send("alice", "nobody", key="k"), "unknown_recipient")
    await refused(rig.send("alice", "bob", "x" * (MAX_BODY + 1), key="k"), "body_too_large")
    sent = await rig.send("alice", "bob", "small", key="k")
    assert [d.id for d in (await rig.recv("bob", most=32)).deliveries] == [sent.id]


# --- whom to


async def b09_unknown_recipients_are_refused(rig: BrokerRig) -> None:
    """B09. A recipient that is not there is refused with the nearest names: a typo must not become a lost message."""
    error = await refused(rig.send("alice", "bop"), "unknown_recipient")
    assert error.data["nearest"][0] == "bob"
    assert "bob" in error.hint
    for name in ("system", "reminder", "all", "self", "../bob", "", "Bob"):
        await refused(rig.send("alice", name), "unknown_recipient")


async def b10_destroyed_recipients(rig: BrokerRig) -> None:
    """B10. To a destroyed agent nothing new is accepted; what was accepted before waits for a revive."""
    sent = await rig.send("alice", "bob")
    await rig.destroy("bob")
    await refused(rig.send("alice", "bob"), "recipient_gone")
    assert "bob" not in (await rig.send("alice", "*")).recipients
    await rig.revive("bob")
    assert [d.id for d in (await rig.recv("bob", most=32)).deliveries] == [sent.id]


async def b11_allowed_recipients(rig: BrokerRig) -> None:
    """B11. An agent with a list of recipients writes to those and the operator only; its broadcast goes to them."""
    await refused(rig.send("dave", "bob"), "not_allowed")
    assert (await rig.send("dave", "alice")).recipients == ["alice"]
    assert (await rig.send("dave", "operator")).recipients == ["operator"]
    assert (await rig.send("dave", "*")).recipients == ["alice"]
    assert (await rig.send("bob", "dave")).recipients == ["dave"]


async def b12_broadcast(rig: BrokerRig) -> None:
    """B12. `*` makes one message for every agent but the sender, not for the operator; they share a broadcast id."""
    sent = await rig.send("alice", "*", "all hear")
    assert sent.recipients == ["bob", "carol", "dave"]
    assert sent.broadcast_id == sent.id
    got = [await one(rig, name) for name in sent.recipients]
    assert {d.broadcast_id for d in got} == {sent.id}
    assert len({d.id for d in got}) == 3
    await nothing(rig, "alice")
    assert await rig.inbox() == []
    plain = await rig.send("alice", "bob")
    assert plain.broadcast_id is None


# --- how much


async def b13_bodies_up_to_64_kib(rig: BrokerRig) -> None:
    """B13. A body has up to 65,536 bytes of UTF-8; one more is refused with a word on where to put it."""
    exact = "é" * (MAX_BODY // 2)
    await rig.send("alice", "bob", exact)
    assert (await one(rig, "bob")).body == exact
    error = await refused(rig.send("alice", "bob", exact + "x"), "body_too_large")
    assert "/shared" in error.hint


async def b14_a_thousand_unread(rig: BrokerRig) -> None:
    """B14. 1,000 messages may wait for an agent; then 429 with a time, until it has worked some off. A broadcast that
    does not fit everywhere is refused as a whole.
    """
    for _ in range(10):
        await asyncio.gather(*(rig.send("operator", "bob") for _ in range(100)))
    error = await refused(rig.send("operator", "bob"), "too_many_unread")
    assert error.data["retry_after"] >= 1
    await refused(rig.send("carol", "*"), "too_many_unread")
    await nothing(rig, "alice")
    done = await one(rig, "bob")
    await rig.outcome("bob", [done.id], "settled")
    await rig.send("operator", "bob")
    await refused(rig.send("operator", "bob"), "too_many_unread")


async def b15_six_hundred_a_minute(rig: BrokerRig) -> None:
    """B15. An agent has 600 messages accepted in any minute, then 429 with a time; others are not held up, and a
    broadcast counts its recipients. So no agent in a loop fills everybody's inbox.
    """
    for _ in range(5):
        await asyncio.gather(*(rig.send("alice", "*") for _ in range(20)))
    for _ in range(3):
        await asyncio.gather(*(rig.send("alice", "bob") for _ in range(100)))
    error = await refused(rig.send("alice", "carol"), "too_many_messages")
    assert 1 <= error.data["retry_after"] <= 60
    await rig.send("carol", "bob")
    await rig.send("operator", "alice")


async def b16_a_minute_later(rig: BrokerRig) -> None:
    """B16. After the time that a refusal names, a send is accepted."""
    for _ in range(200):
        await rig.send("alice", "*")
    rig.advance(20.5)
    error = await refused(rig.send("alice", "bob"), "too_many_messages")
    assert error.data["retry_after"] == 40
    rig.advance(40)
    await rig.send("alice", "bob")


# --- handing out


async def b17_in_order(rig: BrokerRig) -> None:
    """B17. Messages of one sender reach one recipient in the order in which they were accepted, over restarts too."""
    sent = [(await rig.send("alice", "bob", str(i))).id for i in range(4)]
    await rig.restart(kill=True)
    sent += [(await rig.send("alice", "bob", str(i))).id for i in range(4, 6)]
    got = [(await one(rig, "bob")).id]
    got += [d.id for d in (await rig.recv("bob", most=3, holding=got)).deliveries]
    got += [d.id for d in (await rig.recv("bob", most=32, holding=got)).deliveries]
    assert got == sent


async def b18_at_least_once(rig: BrokerRig) -> None:
    """B18. What was handed out and is not held any more comes again, marked `redelivered`, before what came later: an
    answer can be lost on its way.
    """
    sent, later = await rig.send("alice", "bob"), await rig.send("alice", "bob")
    assert (await one(rig, "bob")).redelivered is False
    again = await one(rig, "bob")
    assert (again.id, again.redelivered) == (sent.id, True)
    following = await one(rig, "bob", holding=[sent.id])
    assert (following.id, following.redelivered) == (later.id, False)


async def b19_holding(rig: BrokerRig) -> None:
    """B19. What a recv names in `holding` is neither handed out again nor lost; `unread` counts what waits beside."""
    first, second = await rig.send("alice", "bob"), await rig.send("carol", "bob")
    assert (await rig.recv("bob")).unread == 1
    assert (await one(rig, "bob", holding=[first.id])).id == second.id
    answer = await rig.recv("bob", most=32, holding=[first.id, second.id])
    assert (answer.deliveries, answer.unread) == ([], 0)
    assert (await rig.outcome("bob", [first.id, second.id], "settled")).accepted == [first.id, second.id]


async def b20_a_send_wakes(rig: BrokerRig) -> None:
    """B20. A parked recv is answered by the send, not by a look now and then."""
    waiting = asyncio.create_task(rig.recv("bob", wait=180))
    await rig.parked("bob")
    sent = await rig.send("alice", "bob")
    answer = await asyncio.wait_for(waiting, _SOON)
    assert [d.id for d in answer.deliveries] == [sent.id]
    assert answer.deliveries[0].redelivered is False
    await nothing(rig, "bob", holding=[sent.id])


async def b21_parked_reads_nothing(rig: BrokerRig) -> None:
    """B21. Parked recvs do not read the database, however many there are; a send to them is one commit's statements."""
    waiting = [asyncio.create_task(rig.recv(name, wait=180)) for name in ("bob", "carol")]
    for name in ("bob", "carol"):
        await rig.parked(name)
    before = rig.statements()
    await asyncio.sleep(0.2)
    assert rig.statements() == before
    await rig.send("alice", "bob")
    await asyncio.wait_for(waiting[0], _SOON)
    assert rig.statements() - before <= 4  # begin, ids, insert, commit
    waiting[1].cancel()
    await asyncio.wait(waiting)


async def b22_the_newest_recv_wins(rig: BrokerRig) -> None:
    """B22. Of two recvs of one agent the newer gets the messages, also those that it gives back itself; the older is
    answered with nothing: a harness that connects anew must not lose to its own dead connection.
    """
    sent = await rig.send("alice", "bob")
    await one(rig, "bob")
    older = asyncio.create_task(rig.recv("bob", wait=180, holding=[sent.id]))
    await rig.parked("bob")
    got = await one(rig, "bob")
    assert (got.id, got.redelivered) == (sent.id, True)
    assert (await asyncio.wait_for(older, _SOON)).deliveries == []


async def b23_a_cut_recv_loses_nothing(rig: BrokerRig) -> None:
    """B23. A recv that is cut off, at the hand-out or before, loses nothing and counts nothing."""
    waiting = asyncio.create_task(rig.recv("bob", wait=180))
    await rig.parked("bob")
    sending = asyncio.create_task(rig.send("alice", "bob"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    sent = await sending
    for _ in range(6):
        waiting = asyncio.create_task(rig.recv("bob", wait=180))
        await asyncio.sleep(0.002)
        waiting.cancel()
        await asyncio.wait({waiting})
    assert (await rig.recv("bob", wait=_SOON)).deliveries[0].id == sent.id
    assert await rig.dead_letters() == []


# --- how a turn ended


async def b24_well(rig: BrokerRig) -> None:
    """B24. Settled: done, and never handed out again, over a restart neither."""
    sent = await rig.send("alice", "bob")
    await one(rig, "bob")
    assert (await rig.outcome("bob", [sent.id], "settled")).accepted == [sent.id]
    await rig.restart(kill=True)
    await nothing(rig, "bob")


async def b25_cancelled(rig: BrokerRig) -> None:
    """B25. Cancelled by the operator: done as well, because who cancels does not want it to begin again."""
    sent = await rig.send("alice", "bob")
    await one(rig, "bob")
    answer = await rig.outcome("bob", [sent.id], "cancelled", "the operator")
    assert (answer.accepted, answer.dead_letters) == ([sent.id], [])
    await nothing(rig, "bob")
    assert await rig.dead_letters() == []


async def b26_returned(rig: BrokerRig) -> None:
    """B26. Returned: waits again in its old place, at once and uncounted, however often: a rate limit is not the
    message's fault.
    """
    sent, later = await rig.send("alice", "bob"), await rig.send("alice", "bob")
    for attempt in range(8):
        got = await one(rig, "bob")
        assert (got.id, got.redelivered) == (sent.id, attempt > 0)
        assert (await rig.outcome("bob", [sent.id], "returned", "rate limit")).dead_letters == []
    assert [d.id for d in (await rig.recv("bob", most=32)).deliveries] == [sent.id, later.id]


async def b27_failed_backs_off(rig: BrokerRig) -> None:
    """B27. Failed: counted, and again after 5 s, 10 s, 20 s, 40 s; the back-off survives a restart."""
    sent = await rig.send("alice", "bob")
    await one(rig, "bob")
    for pause in (5, 10, 20, 40):
        answer = await rig.outcome("bob", [sent.id], "failed", "exit 1")
        assert (answer.accepted, answer.dead_letters) == ([sent.id], [])
        rig.advance(pause - 0.01)
        await nothing(rig, "bob")
        await rig.restart(kill=True)
        await nothing(rig, "bob")
        rig.advance(0.01)
        got = await one(rig, "bob")
        assert (got.id, got.redelivered) == (sent.id, True)


async def b28_a_back_off_holds_its_senders_later_ones(rig: BrokerRig) -> None:
    """B28. While a message backs off, later ones of the same sender wait behind it, those of others do not: order is
    kept for each sender, and no sender can hold up another.
    """
    first, second = await rig.send("alice", "bob"), await rig.send("alice", "bob")
    other = await rig.send("carol", "bob")
    assert (await one(rig, "bob")).id == first.id
    await rig.outcome("bob", [first.id], "failed")
    got = await rig.recv("bob", most=32)
    assert [d.id for d in got.deliveries] == [other.id]
    assert got.unread == 2
    await rig.restart(kill=True)
    await nothing(rig, "bob", holding=[other.id])
    assert second.id > first.id


async def b29_then_in_order(rig: BrokerRig) -> None:
    """B29. After the back-off they come in their order."""
    sent = [(await rig.send("alice", "bob")).id for _ in range(3)]
    await one(rig, "bob")
    await rig.outcome("bob", sent[:1], "failed")
    rig.advance(5)
    assert [d.id for d in (await rig.recv("bob", most=32)).deliveries] == sent


async def b30_one_turn_one_count(rig: BrokerRig) -> None:
    """B30. Of the messages of one turn only the first is counted; those that joined it go back uncounted, and not
    before the first one's fate is on disk, so that none of the same sender overtakes it.
    """
    first, joined, other = [await rig.send(name, "bob") for name in ("alice", "alice", "carol")]
    await one(rig, "bob")
    await rig.recv("bob", most=32, holding=[first.id])
    held = [first.id, joined.id, other.id]
    waiting = asyncio.create_task(rig.recv("bob", wait=180, most=32, holding=held))
    await rig.parked("bob")
    answer = await rig.outcome("bob", held, "failed")
    assert (sorted(answer.accepted), answer.dead_letters) == (held, [])
    assert [d.id for d in (await asyncio.wait_for(waiting, _SOON)).deliveries] == [other.id]


async def b31_dead_after_five(rig: BrokerRig) -> None:
    """B31. After the fifth failure a message is a dead letter: kept, shown, not handed out, over a restart too; its
    sender's later messages go on.
    """
    await rig.send("alice", "bob", "poison")
    later = await rig.send("alice", "bob")
    dead = await fail_until_dead(rig, "bob")
    assert await rig.dead_letters() == [dead]
    assert (await one(rig, "bob")).id == later.id
    await rig.outcome("bob", [later.id], "settled")
    await rig.restart(kill=True)
    await nothing(rig, "bob")
    assert await rig.dead_letters() == [dead]


async def b32_requeue(rig: BrokerRig) -> None:
    """B32. A dead letter that the operator requeues comes again, redelivered, in its old place, with a fresh count;
    also when a recv is parked.
    """
    await rig.send("alice", "bob", "poison")
    dead = await fail_until_dead(rig, "bob")
    later = await rig.send("alice", "bob")
    await rig.requeue(dead)
    await refused(rig.requeue(dead), "wrong_state")
    got = await rig.recv("bob", most=32)
    assert [(d.id, d.redelivered) for d in got.deliveries] == [(dead, True), (later.id, False)]
    await rig.outcome("bob", [dead, later.id], "returned")
    assert await fail_until_dead(rig, "bob") == dead
    await rig.recv("bob", most=32, holding=[])
    await rig.outcome("bob", [later.id], "settled")
    waiting = asyncio.create_task(rig.recv("bob", wait=180))
    await rig.parked("bob")
    await rig.requeue(dead)
    assert [d.id for d in (await asyncio.wait_for(waiting, _SOON)).deliveries] == [dead]


async def b33_discard(rig: BrokerRig) -> None:
    """B33. A dead letter that the operator discards is done; only dead letters can be requeued or discarded."""
    await rig.send("alice", "bob", "poison")
    dead = await fail_until_dead(rig, "bob")
    await rig.discard(dead)
    assert await rig.dead_letters() == []
    await refused(rig.discard(dead), "wrong_state")
    await refused(rig.requeue(dead), "wrong_state")
    await refused(rig.requeue(999_999), "unknown_message")
    living = await rig.send("alice", "bob")
    await refused(rig.discard(living.id), "wrong_state")
    await rig.restart(kill=False)
    assert (await one(rig, "bob")).id == living.id


async def b34_an_outcome_twice_counts_once(rig: BrokerRig) -> None:
    """B34. An outcome that is sent twice counts once: its answer may be lost, and a restart may lie between."""
    sent = await rig.send("alice", "bob")
    await one(rig, "bob")
    first, second = await asyncio.gather(
        rig.outcome("bob", [sent.id], "failed"), rig.outcome("bob", [sent.id], "failed")
    )
    assert sorted([first.accepted, second.accepted]) == [[], [sent.id]]
    assert (await rig.outcome("bob", [sent.id], "failed")).accepted == []
    await rig.restart(kill=True)
    for _ in range(5):
        answer = await rig.outcome("bob", [sent.id], "failed")
        assert (answer.accepted, answer.dead_letters) == ([], [])
    assert await rig.dead_letters() == []


async def b35_only_what_is_held_has_an_outcome(rig: BrokerRig) -> None:
    """B35. An outcome is about what the agent was handed out: nobody can end another's message, or one not yet seen."""
    theirs, mine = await rig.send("alice", "carol"), await rig.send("alice", "bob")
    await one(rig, "carol")
    assert (await rig.outcome("bob", [theirs.id, mine.id, 999_999], "settled")).accepted == []
    assert (await one(rig, "carol")).id == theirs.id
    assert (await one(rig, "bob")).id == mine.id


# --- ends of harness and hive


async def b36_another_instance_is_a_failure(rig: BrokerRig) -> None:
    """B36. A recv of another harness instance says that the earlier one died in its turn: a counted failure of the
    turn's first message, else a message that kills its harness would come for ever.
    """
    first, joined = await rig.send("alice", "bob"), await rig.send("carol", "bob")
    await one(rig, "bob", instance="one")
    await one(rig, "bob", instance="one", holding=[first.id])
    got = await rig.recv("bob", most=32, instance="two")
    assert [(d.id, d.redelivered) for d in got.deliveries] == [(joined.id, True)]
    assert got.unread == 1


async def b37_a_restart_under_a_turn(rig: BrokerRig) -> None:
    """B37. A hive that restarts under a harness at work learns from `holding` what is being worked on, and hands out
    nothing twice; orderly or not.
    """
    first, second = await rig.send("alice", "bob"), await rig.send("alice", "bob")
    assert (await one(rig, "bob")).id == first.id
    await rig.restart(kill=True)
    assert (await one(rig, "bob", holding=[first.id])).id == second.id
    await rig.restart(kill=False)
    await nothing(rig, "bob", holding=[first.id, second.id])
    assert (await rig.outcome("bob", [first.id, second.id], "settled")).accepted == [first.id, second.id]
    await nothing(rig, "bob")


async def b38_an_outcome_after_a_restart(rig: BrokerRig) -> None:
    """B38. A turn that ends while the hive is away, or before it has asked again, has its outcome."""
    for kill in (False, True):
        sent = await rig.send("alice", "bob")
        await one(rig, "bob")
        await rig.restart(kill=kill)
        assert (await rig.outcome("bob", [sent.id], "settled")).accepted == [sent.id]
        await nothing(rig, "bob")
    await rig.restart(kill=True)
    await nothing(rig, "bob")


async def b39_not_claimed_comes_again(rig: BrokerRig) -> None:
    """B39. What no harness holds after a restart of the hive comes again, redelivered."""
    sent = await rig.send("alice", "bob")
    await one(rig, "bob")
    await rig.restart(kill=False)
    got = await one(rig, "bob", instance="two")
    assert (got.id, got.redelivered) == (sent.id, True)


# --- the operator


async def b40_the_operators_inbox(rig: BrokerRig) -> None:
    """B40. Messages to the operator wait in the inbox until they are acked, over restarts; acks touch nothing else."""
    mine = [(await rig.send(name, "operator")).id for name in ("alice", "dave")]
    theirs = await rig.send("alice", "bob")
    await rig.restart(kill=True)
    assert await rig.inbox() == mine
    assert await rig.acknowledge([mine[0], theirs.id, 999_999]) == [mine[0]]
    assert await rig.acknowledge([mine[0]]) == []
    assert await rig.inbox() == mine[1:]
    assert (await one(rig, "bob")).id == theirs.id


async def b41_the_operators_inbox_has_no_bound(rig: BrokerRig) -> None:
    """B41. The operator's inbox has no limit of unread messages: agents must be able to say that something is wrong."""
    for name in ("alice", "bob"):
        for _ in range(6):
            await asyncio.gather(*(rig.send(name, "operator") for _ in range(100)))
    assert len(await rig.inbox()) == 1200


#: All of them, in order.
CONTRACTS: Final[tuple[Contract, ...]] = (
    b01_accepted_is_on_disk,
    b02_a_key_is_one_message,
    b03_a_key_is_one_message_at_the_same_time,
    b04_a_key_is_one_broadcast,
    b05_a_key_is_its_senders,
    b06_a_repeat_is_not_refused,
    b07_ids_are_never_used_again,
    b08_a_refusal_leaves_nothing,
    b09_unknown_recipients_are_refused,
    b10_destroyed_recipients,
    b11_allowed_recipients,
    b12_broadcast,
    b13_bodies_up_to_64_kib,
    b14_a_thousand_unread,
    b15_six_hundred_a_minute,
    b16_a_minute_later,
    b17_in_order,
    b18_at_least_once,
    b19_holding,
    b20_a_send_wakes,
    b21_parked_reads_nothing,
    b22_the_newest_recv_wins,
    b23_a_cut_recv_loses_nothing,
    b24_well,
    b25_cancelled,
    b26_returned,
    b27_failed_backs_off,
    b28_a_back_off_holds_its_senders_later_ones,
    b29_then_in_order,
    b30_one_turn_one_count,
    b31_dead_after_five,
    b32_requeue,
    b33_discard,
    b34_an_outcome_twice_counts_once,
    b35_only_what_is_held_has_an_outcome,
    b36_another_instance_is_a_failure,
    b37_a_restart_under_a_turn,
    b38_an_outcome_after_a_restart,
    b39_not_claimed_comes_again,
    b40_the_operators_inbox,
    b41_the_operators_inbox_has_no_bound,
)

#: Those that let time pass by `advance`.
NEEDS_TIME: Final = frozenset(
    {b16_a_minute_later, b27_failed_backs_off, b29_then_in_order, b31_dead_after_five, b32_requeue, b33_discard}
)
#: Those that count SQL statements.
NEEDS_STATEMENTS: Final = frozenset({b21_parked_reads_nothing})
