"""The broker: accepts messages, hands them out, and hears what became of them.

What flows through: `send` puts a message on disk and only then into its recipient's `Mailbox`; `recv` hands out from
there, or parks; `outcome` ends a turn's messages, by `Outcomes`. The promises are numbered in
`hyperhive.testing.contracts.broker` and explained in `docs/delivery.md`. Memory is the store's picture of what is not
done, changed only after the commit, in callbacks that run whether or not the caller is still there.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from hyperhive.errors import HiveError
from hyperhive.hive.admission import Admission
from hyperhive.hive.bodies import Bodies
from hyperhive.hive.inbox import Entry, entry_of
from hyperhive.hive.limits import Limits, check_body
from hyperhive.hive.mailbox import Mailbox
from hyperhive.hive.outcomes import NoConsequences, Outcome, Outcomes
from hyperhive.names import EVERYONE, HIVES_OWN, OPERATOR
from hyperhive.store import messages
from hyperhive.store.messages import Accepted, NewMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from hyperhive.clock import Clock
    from hyperhive.hive.directory import Directory
    from hyperhive.hive.mailbox import Happened
    from hyperhive.hive.outcomes import Consequences
    from hyperhive.store.store import Store
    from hyperhive.wire import Delivery, OutcomeKind

_log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


class Broker:
    """Messages between agents, the operator and the hive.

    Args:
        store: where they are kept.
        directory: who there is.
        clock: the time.
        tell: called after each change with what happened and the message, in the loop.
        limits: how much is allowed.
        consequences: what follows from the ends of turns, beside what becomes of their messages.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - each of another part
        self,
        store: Store,
        directory: Directory,
        clock: Clock,
        tell: Callable[[Happened, Entry], None],
        limits: Limits | None = None,
        consequences: Consequences | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._tell = tell
        limits = limits or Limits()
        self._boxes: dict[str, Mailbox] = {}
        self._bodies = Bodies(store)
        self._outcomes = Outcomes(store, self._bodies, clock, limits, tell, consequences or NoConsequences())
        self._closed = False
        #: Who may send, and how much.
        self.admission = Admission(directory, limits, self._box)
        #: Called with the name of an agent whose harness ended with messages in its hands.
        self.died: Callable[[str], None] = lambda _name: None

    async def load(self) -> None:
        """Read what was not done when the hive last ended."""
        for row in await self._store.read(messages.unsettled):
            entry = entry_of(row)
            entry.unclaimed = True
            self._box(row.recipient).inbox.add(entry)

    # --- send

    async def send(
        self,
        sender: str,
        to: str,
        body: str,
        *,
        in_reply_to: int | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Accept a message; on return it is on disk.

        Raises:
            HiveError: `body_too_large`, `malformed`, `unknown_recipient`, `recipient_gone`, `not_allowed`,
                `too_many_messages`, `too_many_unread`, `storage_full`, `storage_unavailable`, `shutting_down`.
        """
        check_body(body)
        now = self._clock()
        try:
            recipients = self.admission.admit(sender, to, now)
        except HiveError:
            if idempotency_key is None:
                raise
            before = await self._store.read(messages.accepted_before, sender, idempotency_key)
            if before is None:
                raise
            return before
        new = NewMessage(
            sender=sender,
            recipients=recipients,
            body=body,
            sent_at=now,
            in_reply_to=in_reply_to,
            idempotency_key=idempotency_key,
            broadcast=to == EVERYONE,
            handed_to=frozenset(name for name in recipients if self._box(name).promises()),
        )
        for name in recipients:
            self._box(name).coming += 1
        future = self._store.submit(messages.insert_messages, new, lambda made: self._accepted(new, made))
        future.add_done_callback(lambda done: self._refused(new, done))
        return await future

    def _accepted(self, new: NewMessage, made: Accepted) -> None:
        self._arrived(new)
        if made.fresh:
            self._deliver(new, made)
        else:
            self._uncount(new)

    def _deliver(self, new: NewMessage, made: Accepted) -> None:
        for number, name in zip(made.ids, made.recipients, strict=True):
            entry = Entry(
                id=number,
                sender=new.sender,
                recipient=name,
                sent_at=new.sent_at,
                preview=new.body[: messages.PREVIEW + 1],
                in_reply_to=new.in_reply_to,
                broadcast_id=made.broadcast_id,
                hand_out_written=name in new.handed_to,
            )
            self._tell("accepted", entry)
            if name != OPERATOR:
                self._bodies.keep(number, new.body)
                self._box(name).add(entry)

    def _refused(self, new: NewMessage, done: asyncio.Future[Accepted]) -> None:
        if not done.cancelled() and done.exception() is not None:
            self._arrived(new)
            self._uncount(new)

    def _arrived(self, new: NewMessage) -> None:
        """It is not on its way any more; in the same step in which it is in the inbox, or else it would count twice."""
        for name in new.recipients:
            self._box(name).coming -= 1

    def _uncount(self, new: NewMessage) -> None:
        self.admission.take_back(new.sender, len(new.recipients), new.sent_at)

    async def carry(
        self,
        operation: Callable[[Connection, list[Item]], list[Result]],
        item: Item,
        to: str,
        then: Callable[[Result], tuple[NewMessage, Accepted] | None],
    ) -> Result:
        """Let an operation of the store write a message of the hive's own along with something else, and deliver it.

        Args:
            operation: what writes both, see `Writer.submit`.
            item: what it gets.
            to: whom the message is for.
            then: called in the loop after the commit, also when the caller has gone; says what was written.

        Raises:
            HiveError: `storage_full`, `storage_unavailable`, `shutting_down`.
        """
        box = self._box(to)

        def committed(result: Result) -> None:
            box.coming -= 1
            if (message := then(result)) is not None:
                self._deliver(*message)

        def ended(done: asyncio.Future[Result]) -> None:
            if not done.cancelled() and done.exception() is not None:
                box.coming -= 1

        written = self._store.submit(operation, item, committed)
        box.coming += 1
        written.add_done_callback(ended)
        # Shielded: it is never cancelled, so that it always tells how it ended.
        return await asyncio.shield(written)

    # --- recv

    async def recv(
        self, agent: str, *, wait: float, most: int, holding: Sequence[int], instance: str | None
    ) -> tuple[list[Delivery], int]:
        """Hand out messages, waiting for one up to `wait` seconds.

        What was handed out before and is not in `holding` goes back first: uncounted if the same instance asks (the
        answer was lost on the way), counted as a failed turn if another does (its predecessor died in it).

        Returns:
            The deliveries, and how many messages wait beside them.
        """
        box = self._box(agent)
        # Before anything goes back: what this recv gives back must not go to the one that it takes the place of.
        number = box.begin()
        await self._reclaim(box, holding, instance)
        if not box.is_newest(number):
            return [], len(box.inbox.waiting)
        # At the end of the hive nothing goes out any more: that it did could not be written.
        taken = [] if self._closed else box.take(most, instance)
        if not taken and wait > 0 and not self._closed:
            taken = await box.park(wait, most, instance)
        deliveries = await self._bodies.deliveries(taken)
        await self._until_marked(taken)
        if not box.is_newest(number):
            # A newer one came meanwhile, and has what this one was about to be given.
            return [], len(box.inbox.waiting)
        return deliveries, len(box.inbox.waiting)

    async def _reclaim(self, box: Mailbox, holding: Sequence[int], instance: str | None) -> None:
        now = self._clock()
        for number in holding:
            # The hive restarted under a harness that is at work: what it holds is held again.
            box.inbox.claim(number, now, instance)
        kept = set(holding)
        lost = [entry for number, entry in box.inbox.held.items() if number not in kept and not entry.closing]
        died = [entry for entry in lost if instance is not None and entry.holder not in {None, instance}]
        first = died[0] if died else None
        others = [entry for entry in lost if entry is not first]
        if died:
            self.died(died[0].recipient)
        await self._outcomes.give_back(box, first, others, "the harness ended during the turn")

    def _handed_out(self, taken: list[Entry]) -> None:
        unwritten = [entry for entry in taken if not entry.hand_out_written]
        if unwritten and not self._closed:
            marking = self._store.submit(messages.mark_handed_out, tuple(entry.id for entry in unwritten))
            marking.add_done_callback(_not_marked)
            for entry in unwritten:
                entry.marking = marking
        for entry in taken:
            entry.hand_out_written = False
            self._tell("handed_out", entry)

    @staticmethod
    async def _until_marked(taken: list[Entry]) -> None:
        """Nothing leaves before it is on disk that it was handed out: after a sudden end it comes again with its mark.

        Where that cannot be written it leaves all the same: a full disk is no reason to do nothing.
        """
        for marking in {entry.marking for entry in taken if entry.marking is not None}:
            await asyncio.wait({marking})
        for entry in taken:
            entry.marking = None

    # --- outcome

    async def outcome(self, agent: str, ids: Sequence[int], kind: OutcomeKind, reason: str | None) -> Outcome:
        """End a turn: `ids[0]` woke it, the others joined it. Ids that the agent does not hold are passed over."""
        box, now = self._box(agent), self._clock()
        for number in ids:
            # Handed out before a restart of the hive, and not yet claimed by a recv.
            box.inbox.claim(number, now, None)
        entries = [box.inbox.held[number] for number in dict.fromkeys(ids) if number in box.inbox.held]
        entries = [entry for entry in entries if not entry.closing]
        accepted = [entry.id for entry in entries]
        if kind in {"settled", "cancelled"}:
            await self._outcomes.settle(box, entries, kind, reason)
            return Outcome(accepted, [])
        first = entries[0] if kind == "failed" and accepted[:1] == [ids[0]] else None
        others = [entry for entry in entries if entry is not first]
        return Outcome(accepted, await self._outcomes.give_back(box, first, others, reason or "the turn failed"))

    # --- what the lifecycle and the operator do

    async def harness_ended(self, agent: str, *, counted: bool, reason: str) -> None:
        """The agent's harness is gone: what it held goes back."""
        box = self._box(agent)
        held = [entry for entry in box.inbox.held.values() if not entry.closing]
        first = held[0] if held and counted else None
        if held:
            self.died(agent)
        await self._outcomes.give_back(box, first, [entry for entry in held if entry is not first], reason)

    def readmit(self, entry: Entry) -> None:
        """A message that was a dead letter waits again, in its old place."""
        self._box(entry.recipient).readmit(entry)

    async def acknowledge(self, ids: Sequence[int]) -> list[int]:
        """Settle messages of the operator's inbox; returns those that were there."""
        rows = await self._store.submit(messages.acknowledge, (tuple(ids), self._clock()), self._acknowledged)
        return [row.id for row in rows]

    def _acknowledged(self, rows: Sequence[Any]) -> None:
        for row in rows:
            self._tell("settled", entry_of(row))

    def unread(self, agent: str) -> int:
        """How many messages wait for an agent, beside those it holds."""
        box = self._boxes.get(agent)
        return len(box.inbox.waiting) if box else 0

    def backlog(self, agent: str) -> tuple[int, datetime | None]:
        """How many messages wait for an agent, and since when the oldest does."""
        box = self._boxes.get(agent)
        first = next(iter(box.inbox.waiting.values()), None) if box else None
        return self.unread(agent), first.sent_at if first else None

    def holds(self, agent: str) -> list[int]:
        """Ids of the messages that an agent works on."""
        box = self._boxes.get(agent)
        return sorted(box.inbox.held) if box else []

    def is_waiting(self, agent: str, message: int | None) -> bool:
        """Whether a message waits for its agent, not handed out."""
        box = self._boxes.get(agent)
        return box is not None and message in box.inbox.waiting

    def is_open(self, agent: str, message: int | None) -> bool:
        """Whether an agent has not done with a message: it waits, or is worked on."""
        box = self._boxes.get(agent)
        return box is not None and (message in box.inbox.waiting or message in box.inbox.held)

    def shut(self, agent: str, why: str) -> None:
        """Hand the agent nothing for a reason of one word; what it is sent waits."""
        self._box(agent).shut(why)

    def open(self, agent: str, why: str) -> None:
        """This reason is gone."""
        self._box(agent).open(why)

    def bury(self, agent: str, reason: str) -> None:
        """The agent was purged: what waited for it is dead letters, which the store knows already."""
        box = self._boxes.pop(agent, None)
        if box is None:
            return
        box.close()
        for entry in box.inbox.waiting.values():
            entry.reason = reason
            self._bodies.drop(entry.id)
            self._tell("discarded" if entry.sender in HIVES_OWN else "dead", entry)

    def dismiss(self, agent: str) -> None:
        """Answer an agent's parked recv with nothing, because its socket closes."""
        self._box(agent).dismiss()

    def close(self) -> None:
        """Answer every parked recv with nothing; nothing is parked any more."""
        self._closed = True
        for box in self._boxes.values():
            box.close()

    def _box(self, name: str) -> Mailbox:
        box = self._boxes.get(name)
        if box is None:
            box = self._boxes[name] = Mailbox(self._clock, self._handed_out, self._tell)
        return box


def _not_marked(marking: asyncio.Future[None]) -> None:
    if not marking.cancelled() and (error := marking.exception()) is not None:
        _log.warning("it could not be written that messages were handed out: %s", error)
