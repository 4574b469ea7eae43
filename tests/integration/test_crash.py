"""`kill -9` at any moment, under load: what was accepted is stored, once, and is delivered.

The short form runs with the suite; `HYPERHIVE_CRASH_ROUNDS=200` (that is `make crash`) is the long one.
"""

# ruff: noqa: PT017, S311 - refusals are expected by their code; moments are drawn, not secrets

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import pytest
from bare_http import GoneError, RawClient
from broker_bed import DEADLINE
from hive_bed import HiveProcess, hive_process, short_place

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from pathlib import Path

_ROUNDS = int(os.environ.get("HYPERHIVE_CRASH_ROUNDS", "8"))
#: How many messages are accepted, and how many are done, before the kill.
_ACCEPTED, _DONE = range(80), range(5)
_SENDERS = ("alice", "bob", "carol")


@dataclass
class Ledger:
    """What the clients know: what they were told is accepted, delivered and done."""

    #: Bodies by id, as the answers said.
    accepted: dict[int, str] = field(default_factory=dict)
    #: Ids that came with a delivery, and how often unmarked as redelivered.
    first_deliveries: Counter[int] = field(default_factory=Counter)
    delivered: dict[int, str] = field(default_factory=dict)
    #: Ids whose outcome was answered.
    settled: set[int] = field(default_factory=set)
    #: Bodies that were sent without an answer: both is right, stored and not.
    unknown: set[str] = field(default_factory=set)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    numbers: count[int] = field(default_factory=count)

    async def tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def grown(self, accepted: int, settled: int) -> None:
        """Wait until so many more are accepted and done."""
        accepted, settled = len(self.accepted) + accepted, len(self.settled) + settled
        async with asyncio.timeout(DEADLINE), self.changed:
            await self.changed.wait_for(lambda: len(self.accepted) >= accepted and len(self.settled) >= settled)


async def _send(client: RawClient, sender: str, ledger: Ledger) -> None:
    while True:
        number = next(ledger.numbers)
        body, key = f"{sender} {number}", f"k{number}"
        to = "operator" if number % 5 == 0 else "dave"
        ledger.unknown.add(body)
        try:
            sent = await client.ask("POST", "/v1/messages", {"to": to, "body": body, "idempotencyKey": key})
        except HiveError as error:
            assert error.code in {"too_many_unread", "too_many_messages", "shutting_down"}, error
            ledger.unknown.discard(body)
            await asyncio.sleep(0.005)  # a sender that was told to slow down does
            continue
        ledger.accepted[sent["id"]] = body
        ledger.unknown.discard(body)
        await ledger.tell()


async def _work(client: RawClient, instance: str, ledger: Ledger) -> None:
    """A harness: one message at a time, or a few, and their outcome."""
    while True:
        request = {"waitSeconds": 60, "max": random.choice((1, 1, 4)), "instance": instance}
        got = (await client.ask("POST", "/v1/recv", request))["deliveries"]
        for delivery in got:
            ledger.delivered[delivery["id"]] = delivery["body"]
            ledger.first_deliveries[delivery["id"]] += not delivery["redelivered"]
        if got:
            ids = [delivery["id"] for delivery in got]
            done = await client.ask("POST", "/v1/outcome", {"ids": ids, "outcome": "settled"})
            ledger.settled.update(done["accepted"])
            await ledger.tell()


async def _until_gone(work: asyncio.Task[None]) -> None:
    with contextlib.suppress(GoneError, asyncio.CancelledError):
        await work


async def _load(hive: HiveProcess, ledger: Ledger, end: signal.Signals) -> int:
    """Load from all sides, and the signal somewhere in it; the exit code."""
    clients = [(name, RawClient(hive.agent_socket(name))) for name in _SENDERS for _ in range(3)]
    worker = RawClient(hive.agent_socket("dave"))
    tasks = [asyncio.create_task(_send(client, name, ledger)) for name, client in clients]
    tasks.append(asyncio.create_task(_work(worker, "always the same", ledger)))
    await ledger.grown(random.choice(_ACCEPTED), random.choice(_DONE))
    code = await hive.end(end)
    # The daemon is gone, so each of them meets a closed connection, and an assertion that failed in one is raised here.
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*(_until_gone(task) for task in tasks))
    for client in (*(client for _name, client in clients), worker):
        await client.close()
    return code


def _check(hive: HiveProcess, ledger: Ledger) -> None:
    stored = hive.stored()
    by_id = {number: body for number, _sender, body in stored}
    missing = {number: body for number, body in ledger.accepted.items() if by_id.get(number) != body}
    assert missing == {}, "accepted and not stored"
    bodies = Counter(body for _number, _sender, body in stored)
    assert [body for body, times in bodies.items() if times > 1] == []
    invented = bodies.keys() - set(ledger.accepted.values()) - ledger.unknown
    assert invented == set(), "stored and never sent, or stored and refused"
    assert {n: body for n, body in ledger.delivered.items() if by_id.get(n) != body} == {}


async def _drain(hive: HiveProcess, ledger: Ledger) -> list[int]:
    """Take what is left, in the order in which it comes."""
    order: list[int] = []
    async with RawClient(hive.agent_socket("dave")) as client:
        while got := (await client.ask("POST", "/v1/recv", {"max": 32, "instance": "always the same"}))["deliveries"]:
            for delivery in got:
                order.append(delivery["id"])
                ledger.delivered[delivery["id"]] = delivery["body"]
            await client.ask("POST", "/v1/outcome", {"ids": [d["id"] for d in got], "outcome": "settled"})
    return order


async def _crash_rounds(place: Path, rounds: int, end: signal.Signals) -> Ledger:
    ledger = Ledger()
    async with hive_process(place) as hive:
        for _ in range(rounds):
            await hive.start()
            code = await _load(hive, ledger, end)
            assert code == (0 if end == signal.SIGTERM else -end), hive.text()
            _check(hive, ledger)
        await hive.start()
        settled = set(ledger.settled)
        order = await _drain(hive, ledger)
        assert not settled & set(order), "done and handed out again"
        assert order == sorted(order)
        mine = {number for number, body in ledger.accepted.items() if int(body.split()[1]) % 5}
        assert mine - ledger.delivered.keys() == set(), "accepted and not delivered"
        assert await hive.end(signal.SIGTERM) == 0
        assert "Traceback" not in hive.text(), hive.text()
    return ledger


@pytest.mark.timeout(120 + _ROUNDS * 5)
async def test_kill_minus_nine_under_load_loses_nothing_that_was_accepted() -> None:
    with short_place() as place:
        await _crash_rounds(place, _ROUNDS, signal.SIGKILL)


@pytest.mark.timeout(120 + _ROUNDS * 5)
async def test_an_orderly_end_under_load_loses_nothing_and_says_nothing() -> None:
    """SIGTERM: exit 0, no traceback, and a message that was handed out is redelivered with its mark."""
    with short_place() as place:
        ledger = await _crash_rounds(place, max(_ROUNDS // 2, 1), signal.SIGTERM)
    twice = [number for number, times in ledger.first_deliveries.items() if times > 1]
    assert twice == [], "handed out twice, and not marked as redelivered"
