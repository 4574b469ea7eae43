"""Whatever is done to the broker, in whatever order, it agrees with a model that fits on a page."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from broker_bed import BrokerBed
from drawn import drawn
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hyperhive.hive.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Coroutine

_AGENTS = st.sampled_from(["alice", "bob"])
_SENDERS = st.sampled_from(["alice", "bob", "carol", "operator"])
_INSTANCES = st.sampled_from(["one", "two"])


@dataclass
class Message:
    """What the model knows of a message."""

    id: int
    sender: str
    recipient: str
    state: str = "waiting"  # waiting, held, settled, dead, discarded
    handed_out: bool = False
    failures: int = 0
    due: datetime | None = None
    holder: str | None = None
    #: Held before the broker was restarted, and not heard of since.
    orphan: bool = False


class BrokerModel(RuleBasedStateMachine):
    """The broker beside a model of it. Messages are handed out, held, judged and restarted under."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.place = Path(tempfile.mkdtemp(prefix="hh-"))
        self.bed = BrokerBed(self.place, Limits(unread=12, attempts=2, back_off=5.0))
        self.messages: dict[int, Message] = {}
        self.keys: dict[tuple[str, str], int] = {}
        self.order: dict[str, list[int]] = {"alice": [], "bob": []}
        self._run(self.bed.open())

    def teardown(self) -> None:
        self._run(self.bed.close())
        self.runner.close()
        shutil.rmtree(self.place)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401
        return self.runner.run(work)

    def _of(self, agent: str, *states: str) -> list[Message]:
        return [m for m in self.messages.values() if m.recipient == agent and m.state in states]

    def _full(self, agent: str) -> bool:
        return len(self._of(agent, "waiting", "held")) >= 12

    # --- what is done

    @rule(sender=_SENDERS, to=_AGENTS, key=st.sampled_from([None, None, "k", "l"]))
    def send(self, sender: str, to: str, key: str | None) -> None:
        before = self.keys.get((sender, key)) if key else None
        if before is None and self._full(to):
            assert self._run(self._refused(self.bed.send(sender, to, key=key))) == "too_many_unread"
            return
        number = self._run(self.bed.send(sender, to, key=key)).id
        assert number == (before or len(self.messages) + 1)
        self.messages.setdefault(number, Message(number, sender, to))
        if key:
            self.keys[sender, key] = number

    @staticmethod
    async def _refused(work: Coroutine[Any, Any, Any]) -> str:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            return str(getattr(error, "code", repr(error)))
        return "accepted"

    @rule(agent=_AGENTS, instance=_INSTANCES, most=st.integers(1, 4), keep=st.booleans())
    def recv(self, agent: str, instance: str, most: int, keep: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        held = sorted(self._of(agent, "held"), key=lambda message: self.order[agent].index(message.id))
        holding = [m.id for m in held] if keep else []
        died = [m for m in held if not keep and not m.orphan and m.holder != instance]
        for message in held:
            if keep:
                message.holder = instance if message.orphan else message.holder
                message.orphan = False
            elif not message.orphan:
                message.state = "waiting"
            else:
                message.state, message.orphan = "waiting", False
        if died:
            self._fail(self._first(agent, died))
        for message in self._of(agent, "waiting"):
            message.holder = None
        expected = self._next(agent, most)
        got = self._run(self.bed.recv(agent, most=most, holding=holding, instance=instance))
        assert [(d.id, d.redelivered) for d in got.deliveries] == [(m.id, m.handed_out) for m in expected]
        self.order[agent] = [n for n in self.order[agent] if self.messages[n].state == "held"]
        for message in expected:
            message.state, message.handed_out, message.holder = "held", True, instance
        self.order[agent] += [m.id for m in expected]
        assert got.unread == len(self._of(agent, "waiting"))

    def _first(self, agent: str, among: list[Message]) -> Message:
        return min(among, key=lambda message: self.order[agent].index(message.id))

    def _next(self, agent: str, most: int) -> list[Message]:
        now, blocked, chosen = self.bed.clock(), set(), []
        for message in self._of(agent, "waiting"):
            if message.due is not None and message.due > now:
                blocked.add(message.sender)
            elif message.sender not in blocked:
                chosen.append(message)
        return chosen[:most]

    def _fail(self, message: Message) -> None:
        message.failures += 1
        message.state = "dead" if message.failures >= 2 else "waiting"
        message.due = None if message.state == "dead" else self.bed.clock() + timedelta(seconds=5)

    @precondition(lambda self: any(m.state == "held" for m in self.messages.values()))
    @rule(data=st.data(), kind=st.sampled_from(["settled", "cancelled", "returned", "failed"]))
    def outcome(self, data: st.DataObject, kind: Any) -> None:  # noqa: ANN401
        agent = data.draw(st.sampled_from(sorted({m.recipient for m in self.messages.values() if m.state == "held"})))
        held = self._of(agent, "held")
        ids = data.draw(st.lists(st.sampled_from([m.id for m in held]), min_size=1, unique=True))
        answer = self._run(self.bed.outcome(agent, [*ids, 999], kind))
        assert answer.accepted == ids
        for number in ids:
            message = self.messages[number]
            message.orphan = False
            message.state = "settled" if kind in {"settled", "cancelled"} else "waiting"
        if kind == "failed":
            self._fail(self.messages[ids[0]])
        assert answer.dead_letters == [n for n in ids if self.messages[n].state == "dead"]

    @rule(seconds=st.sampled_from([1, 5, 70]))
    def time_passes(self, seconds: int) -> None:
        self.bed.advance(seconds)

    @rule(kill=st.booleans())
    def restart(self, kill: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        self._run(self.bed.restart(kill=kill))
        for message in self.messages.values():
            if message.state == "held":
                message.orphan = True

    @precondition(lambda self: any(m.state == "dead" for m in self.messages.values()))
    @rule(data=st.data(), requeue=st.booleans())
    def dead_letter(self, data: st.DataObject, requeue: bool) -> None:  # noqa: FBT001
        number = data.draw(st.sampled_from([m.id for m in self.messages.values() if m.state == "dead"]))
        self._run(self.bed.requeue(number) if requeue else self.bed.discard(number))
        message = self.messages[number]
        message.state, message.failures = ("waiting", 0) if requeue else ("discarded", message.failures)

    # --- what holds at all times

    @invariant()
    def nothing_is_lost_and_nothing_comes_back(self) -> None:
        for agent in ("alice", "bob"):
            box = self.bed.broker._boxes.get(agent)
            known = set() if box is None else {*box.inbox.waiting, *box.inbox.held}
            assert known == {m.id for m in self._of(agent, "waiting", "held")}
            held = set() if box is None else set(box.inbox.held)
            assert held == {m.id for m in self._of(agent, "held") if not m.orphan}
        assert self._run(self.bed.dead_letters()) == [m.id for m in self.messages.values() if m.state == "dead"]


TestBrokerModel = BrokerModel.TestCase
TestBrokerModel.settings = drawn(
    30,
    stateful_step_count=35,
    # A failure is shown as it was found: to shorten it would take minutes. Without this line it is done.
    phases=[phase for phase in Phase if phase is not Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
