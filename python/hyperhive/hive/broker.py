"""The broker: accepts messages, hands them out, and hears what became of them.

What flows through: `send` puts a message on disk and only then into its recipient's inbox; `recv` hands out and parks;
`outcome` ends a turn's messages. The promises are numbered in `hyperhive.testing.contracts.broker` and explained in
`docs/delivery.md`. Memory is the store's picture of what is not done, changed only after the commit, in callbacks that
run whether or not the caller is still there.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from hyperhive.errors import HiveError
from hyperhive.hive.bodies import Bodies
from hyperhive.hive.directory import resolve_recipients
from hyperhive.hive.inbox import Entry, Inbox
from hyperhive.hive.limits import Limits, SenderWindow
from hyperhive.names import EVERYONE, OPERATOR, SYSTEM
from hyperhive.store import messages
from hyperhive.store.messages import Accepted, Change, NewMessage
from hyperhive.wire import MAX_BODY, Delivery, OutcomeKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hyperhive.clock import Clock
    from hyperhive.hive.directory import Directory
    from hyperhive.store.store import Store

Happened = Literal["accepted", "handed_out", "put_back", "settled", "dead", "discarded"]


@dataclass(slots=True)
class _Mailbox:
    """An inbox with whoever waits at it."""

    inbox: Inbox = field(default_factory=Inbox)
    waiter: asyncio.Future[list[Entry]] | None = None
    #: How many messages the waiter takes, and for which instance.
    most: int = 1
    holder: str | None = None
    #: Messages on their way to the disk.
    coming: int = 0
    alarm: asyncio.TimerHandle | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an outcome did: the messages it was about, and those that became dead letters."""

    accepted: list[int]
    dead: list[int]


class Broker:
    """Messages between agents, the operator and the hive.

    Args:
        store: where they are kept.
        directory: who there is.
        clock: the time.
        tell: called after each change with what happened and the message, in the loop.
        limits: how much is allowed.
    """

    def __init__(
        self,
        store: Store,
        directory: Directory,
        clock: Clock,
        tell: Callable[[Happened, Entry], None],
        limits: Limits | None = None,
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._tell = tell
        self._limits = limits or Limits()
        self._boxes: dict[str, _Mailbox] = {}
        self._windows: dict[str, SenderWindow] = {}
        self._bodies = Bodies(store)
        self._closed = False

    async def load(self) -> None:
        """Read what was not done when the hive last ended."""
        for row in await self._store.read(messages.unsettled):
            self._box(row.recipient).inbox.add(entry_of(row))

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
        _check_body(body)
        recipients = resolve_recipients(self._directory, sender, to)
        now = self._clock()
        if not recipients:
            raise HiveError("unknown_recipient", "there is nobody else to write to", "Wait until there are more agents")
        self._check_room(recipients)
        if sender not in {OPERATOR, SYSTEM}:
            window = self._windows.setdefault(sender, SenderWindow())
            window.admit(sender, len(recipients), self._limits.sends_a_minute, now)
        new = NewMessage(
            sender=sender,
            recipients=recipients,
            body=body,
            sent_at=now,
            in_reply_to=in_reply_to,
            idempotency_key=idempotency_key,
            broadcast=to == EVERYONE,
            handed_to=frozenset(name for name in recipients if self._promise(name)),
        )
        for name in recipients:
            self._box(name).coming += 1
        future = self._store.submit(messages.insert_messages, new, lambda made: self._accepted(new, made))
        future.add_done_callback(lambda _done: self._arrived(new))
        return await future

    def _check_room(self, recipients: tuple[str, ...]) -> None:
        for name in recipients:
            box = self._box(name)
            if name != OPERATOR and len(box.inbox) + box.coming >= self._limits.unread:
                raise HiveError(
                    "too_many_unread",
                    f"{self._limits.unread} messages wait for '{name}' already",
                    "Wait until it has worked some of them off",
                    retry_after=30,
                )

    def _promise(self, name: str) -> bool:
        """Whether a message that is written now will be handed out at once: its hand-out is then written with it."""
        box = self._box(name)
        return box.waiter is not None and not box.waiter.done() and not box.inbox.waiting and not box.coming

    def _accepted(self, new: NewMessage, made: Accepted) -> None:
        if not made.fresh:
            return
        for number, name in zip(made.ids, made.recipients, strict=True):
            entry = Entry(
                id=number,
                sender=new.sender,
                recipient=name,
                sent_at=new.sent_at,
                preview=new.body[: messages.PREVIEW],
                in_reply_to=new.in_reply_to,
                broadcast_id=made.broadcast_id,
                hand_out_written=name in new.handed_to,
            )
            self._tell("accepted", entry)
            if name != OPERATOR:
                self._bodies.keep(number, new.body)
                self._box(name).inbox.add(entry)
                self._offer(name)

    def _arrived(self, new: NewMessage) -> None:
        for name in new.recipients:
            self._box(name).coming -= 1

    # --- recv

    async def recv(
        self, agent: str, *, wait: float, most: int, holding: Iterable[int], instance: str | None
    ) -> tuple[list[Delivery], int]:
        """Hand out messages, waiting for one up to `wait` seconds.

        What was handed out before and is not in `holding` goes back first: uncounted if the same instance asks (the
        answer was lost on the way), counted as a failed turn if another does (its predecessor died in it).

        Returns:
            The deliveries, and how many messages wait beside them.
        """
        box = self._box(agent)
        await self._reclaim(agent, set(holding), instance)
        self._dismiss(box)
        taken = self._take(agent, most, instance)
        if not taken and wait > 0 and not self._closed:
            taken = await self._park(agent, wait, most, instance)
        bodies = await self._bodies.of([entry.id for entry in taken])
        unread = len(box.inbox.waiting)
        return [_delivery(entry, bodies[entry.id]) for entry in taken], unread

    async def _reclaim(self, agent: str, holding: set[int], instance: str | None) -> None:
        inbox = self._box(agent).inbox
        for number in holding & inbox.waiting.keys():
            # The hive restarted under a harness that is at work: what it holds is held again.
            entry = inbox.waiting.pop(number)
            entry.holder = instance
            inbox.held[number] = entry
        lost = [entry for number, entry in inbox.held.items() if number not in holding and not entry.closing]
        died = [
            entry for entry in lost if entry.holder is not None and instance is not None and entry.holder != instance
        ]
        self._put_back(agent, [entry for entry in lost if entry not in died])
        if died:
            await self._fail(agent, died, "the harness ended during the turn")

    def _take(self, agent: str, most: int, instance: str | None) -> list[Entry]:
        taken = self._box(agent).inbox.take(most, self._clock(), instance)
        unwritten = tuple(entry.id for entry in taken if not entry.hand_out_written)
        if unwritten:
            self._store.note(messages.mark_handed_out, unwritten)
        for entry in taken:
            entry.hand_out_written = False
            self._tell("handed_out", entry)
        return taken

    async def _park(self, agent: str, wait: float, most: int, instance: str | None) -> list[Entry]:
        box = self._box(agent)
        waiter: asyncio.Future[list[Entry]] = asyncio.get_running_loop().create_future()
        box.waiter, box.most, box.holder = waiter, most, instance
        self._set_alarm(agent)
        try:
            async with asyncio.timeout(wait):
                return await waiter
        except TimeoutError:
            return waiter.result() if waiter.done() and not waiter.cancelled() else []
        finally:
            if box.waiter is waiter:
                box.waiter = None

    def _dismiss(self, box: _Mailbox) -> None:
        """The newest recv of an agent counts; an older one is answered with nothing."""
        if box.waiter is not None and not box.waiter.done():
            box.waiter.set_result([])
        box.waiter = None

    def _offer(self, agent: str) -> None:
        box = self._box(agent)
        if box.waiter is None or box.waiter.done():
            return
        taken = self._take(agent, box.most, box.holder)
        if taken:
            box.waiter.set_result(taken)
            box.waiter = None
        else:
            self._set_alarm(agent)

    def _set_alarm(self, agent: str) -> None:
        """Wake the waiter when the first message that backs off is due."""
        box = self._box(agent)
        if box.alarm is not None:
            box.alarm.cancel()
            box.alarm = None
        now = self._clock()
        due = box.inbox.next_due(now)
        if due is not None:
            loop = asyncio.get_running_loop()
            box.alarm = loop.call_later((due - now).total_seconds() + 0.001, self._offer, agent)

    # --- outcome

    async def outcome(self, agent: str, ids: Sequence[int], kind: OutcomeKind, reason: str | None) -> Outcome:
        """End a turn: `ids[0]` woke it, the others joined it. Ids that the agent does not hold are passed over."""
        inbox = self._box(agent).inbox
        for number in ids:
            if number in inbox.waiting and inbox.waiting[number].deliveries:
                # Handed out before a restart of the hive, and not yet claimed by a recv.
                inbox.held[number] = inbox.waiting.pop(number)
        entries = [inbox.held[number] for number in dict.fromkeys(ids) if number in inbox.held]
        entries = [entry for entry in entries if not entry.closing]
        accepted = [entry.id for entry in entries]
        if kind in {"settled", "cancelled"}:
            await self._settle(agent, entries, kind, reason)
            return Outcome(accepted, [])
        first = [entry for entry in entries if entry.id == ids[0]] if kind == "failed" else []
        self._put_back(agent, [entry for entry in entries if entry not in first])
        return Outcome(accepted, await self._fail(agent, first, reason or "the turn failed"))

    async def _settle(self, agent: str, entries: list[Entry], kind: str, reason: str | None) -> None:
        if not entries:
            return
        now = self._clock()
        changes = tuple(Change(entry.id, "settled", now, outcome=kind, reason=reason) for entry in entries)

        def done(_result: None) -> None:
            for entry in entries:
                self._forget(agent, entry)
                self._tell("settled", entry)

        await self._change(changes, entries, done)

    async def _fail(self, agent: str, entries: list[Entry], reason: str) -> list[int]:
        """Count a failed turn for each entry; returns the ids that became dead letters."""
        if not entries:
            return []
        now, limits = self._clock(), self._limits
        dead = [entry for entry in entries if entry.failures + 1 >= limits.attempts]
        again = {
            entry.id: now + timedelta(seconds=limits.back_off * 2**entry.failures)
            for entry in entries
            if entry not in dead
        }
        changes = tuple(
            Change(
                entry.id,
                "waiting" if entry.id in again else "dead",
                now,
                reason=reason,
                failures=entry.failures + 1,
                not_before=again.get(entry.id),
            )
            for entry in entries
        )

        def done(_result: None) -> None:
            for entry in entries:
                entry.failures += 1
                entry.not_before = again.get(entry.id)
                if entry in dead:
                    self._forget(agent, entry)
                    self._tell("dead", entry)
            self._put_back(agent, [entry for entry in entries if entry not in dead])

        await self._change(changes, entries, done)
        return [entry.id for entry in dead]

    async def _change(self, changes: tuple[Change, ...], entries: list[Entry], done: Callable[[Any], None]) -> None:
        for entry in entries:
            entry.closing = True
        try:
            await asyncio.shield(self._store.submit(messages.change_messages, changes, done))
        except HiveError:
            for entry in entries:
                entry.closing = False
            raise

    def _put_back(self, agent: str, entries: list[Entry]) -> None:
        if entries:
            self._box(agent).inbox.put_back(entries)
            for entry in entries:
                self._tell("put_back", entry)
            self._offer(agent)

    def _forget(self, agent: str, entry: Entry) -> None:
        self._box(agent).inbox.forget(entry.id)
        self._bodies.drop(entry.id)
        self._offer(agent)

    # --- what the lifecycle and the operator do

    async def harness_ended(self, agent: str, *, counted: bool, reason: str) -> None:
        """The agent's harness is gone: what it held goes back."""
        held = [entry for entry in self._box(agent).inbox.held.values() if not entry.closing]
        if counted:
            await self._fail(agent, held[:1], reason)
            held = held[1:]
        self._put_back(agent, held)

    def readmit(self, entry: Entry) -> None:
        """A message that was a dead letter waits again, in its old place."""
        box = self._box(entry.recipient)
        box.inbox.add(entry)
        box.inbox.put_back(())
        self._tell("put_back", entry)
        self._offer(entry.recipient)

    async def acknowledge(self, ids: Sequence[int]) -> list[int]:
        """Settle messages of the operator's inbox; returns those that were there."""
        rows = await self._store.submit(messages.acknowledge, (tuple(ids), self._clock()))
        for row in rows:
            self._tell("settled", entry_of(row))
        return [row.id for row in rows]

    def unread(self, agent: str) -> int:
        """How many messages wait for an agent, beside those it holds."""
        box = self._boxes.get(agent)
        return len(box.inbox.waiting) if box else 0

    def holds(self, agent: str) -> list[int]:
        """Ids of the messages that an agent works on."""
        box = self._boxes.get(agent)
        return sorted(box.inbox.held) if box else []

    def is_waiting(self, agent: str, message: int | None) -> bool:
        """Whether a message waits for its agent, not handed out."""
        box = self._boxes.get(agent)
        return box is not None and message in box.inbox.waiting

    def dismiss(self, agent: str) -> None:
        """Answer an agent's parked recv with nothing, because its socket closes."""
        self._dismiss(self._box(agent))

    def close(self) -> None:
        """Answer every parked recv with nothing; nothing is parked any more."""
        self._closed = True
        for box in self._boxes.values():
            with suppress(asyncio.InvalidStateError):
                self._dismiss(box)
            if box.alarm is not None:
                box.alarm.cancel()

    def _box(self, name: str) -> _Mailbox:
        box = self._boxes.get(name)
        if box is None:
            box = self._boxes[name] = _Mailbox()
        return box


def _check_body(body: str) -> None:
    try:
        size = len(body.encode())
    except UnicodeEncodeError:
        raise HiveError("malformed", "the body is no text: it holds half a surrogate pair", "Send UTF-8 text") from None
    if "\0" in body:
        raise HiveError("malformed", "the body holds a NUL character", "Write binary data to a file under /shared")
    if size > MAX_BODY:
        raise HiveError(
            "body_too_large",
            f"the body has {size:,} bytes; {MAX_BODY:,} are allowed",
            "Write it to a file under /shared and send its path",
        )


def entry_of(row: Any) -> Entry:  # noqa: ANN401 - a row of the store
    """The broker's picture of a stored message."""
    return Entry(
        id=row.id,
        sender=row.sender,
        recipient=row.recipient,
        sent_at=row.sent_at,
        preview=row.preview,
        in_reply_to=row.in_reply_to,
        broadcast_id=row.broadcast_id,
        deliveries=row.deliveries,
        failures=row.failures,
        not_before=row.not_before,
    )


def _delivery(entry: Entry, body: str) -> Delivery:
    return Delivery(
        id=entry.id,
        **{"from": entry.sender},
        body=body,
        sent_at=entry.sent_at,
        in_reply_to=entry.in_reply_to,
        broadcast_id=entry.broadcast_id,
        redelivered=entry.deliveries > 1,
    )
