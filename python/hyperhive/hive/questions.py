"""Questions of agents to the operator and to each other: asked, answered, cancelled, expired; nothing blocks.

Each end is one write of the store that a question takes only once, together with the message that carries it to the
asker. In memory are only the deadlines: one timer waits for the next of them. What is asked is told to the agent that
is asked by a message, to the operator by the list of what waits.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from hyperhive.errors import HiveError
from hyperhive.hive.deadlines import Deadlines
from hyperhive.hive.question_rules import asked_body, check_answer, check_question, end_body, over
from hyperhive.names import OPERATOR, SYSTEM
from hyperhive.store import questions
from hyperhive.store.audit import AuditEntry
from hyperhive.store.messages import NewMessage
from hyperhive.store.questions import MOST_OPEN, End, NewQuestion, Written

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    from hyperhive.clock import Clock
    from hyperhive.hive.broker import Broker
    from hyperhive.store.messages import Accepted
    from hyperhive.store.store import Store
    from hyperhive.wire import AskRequest

#: Characters of an answer that the audit log keeps.
_AUDITED: Final = 200


class Questions:
    """The questions of a hive.

    Args:
        store: where they are kept.
        broker: says who may ask whom, and delivers.
        clock: the time.
        tell: called with the row of a question after each change.
    """

    def __init__(self, store: Store, broker: Broker, clock: Clock, tell: Callable[[Any], None]) -> None:
        self._store = store
        self._broker = broker
        self._clock = clock
        self._tell = tell
        #: Of open questions, by number and asker.
        self.deadlines = Deadlines[tuple[int, str]](clock, self._expire)

    async def load(self) -> None:
        """Take up what is open, and settle what expired while the hive was down. After the broker has loaded."""
        for row in reversed(await self._store.read(questions.page, "open")):
            self._changed(row)
        self.deadlines.look()
        await self.deadlines.idle()

    def close(self) -> None:
        """Let nothing expire any more; what is due is settled at the next start."""
        self.deadlines.close()

    # --- asking

    async def ask(self, asker: str, wanted: AskRequest) -> Any:  # noqa: ANN401 - a row of the store
        """Ask; on return the question is on disk, and so is the message to the agent that is asked.

        Raises:
            HiveError: `malformed`, `body_too_large`, `too_many_questions`, and as for any message to the one asked.
        """
        check_question(wanted)
        now = self._clock()
        try:
            self._admit(asker, wanted.to, now)
        except HiveError:
            if wanted.idempotency_key is None:
                raise
            known = await self._store.read(questions.asked_before, asker, wanted.idempotency_key)
            if known is None:
                raise
            return known
        written = await self._write_new(_new(asker, wanted, now))
        if written.row is None:
            what = f"'{asker}' has {MOST_OPEN} open questions already"
            raise HiveError("too_many_questions", what, "Wait for an answer, or cancel one of them")
        return written.row

    def _admit(self, asker: str, to: str, now: datetime) -> None:
        if to == asker:
            raise HiveError("not_allowed", f"'{asker}' cannot ask itself", "Ask somebody else, or the operator")
        if to == "*":
            raise HiveError("not_allowed", "a question goes to one recipient", "Ask one of them, or send a message")
        self._broker.admission.admit(asker, to, now)

    async def _write_new(self, new: NewQuestion) -> Written:
        if new.tell is None:
            return await asyncio.shield(self._store.submit(questions.ask, new, self._noted))
        return await self._broker.carry(questions.ask, new, new.recipient, self._written)

    # --- ending

    async def answer(self, number: int, by: str, choices: Sequence[str], text: str) -> Any:  # noqa: ANN401 - a row
        """Answer a question that was asked of `by`, or any of them as the operator.

        An agent may say the same once more, which changes nothing: it may not have heard that it was taken.

        Raises:
            HiveError: `unknown_question`, `not_allowed`, `malformed`, `body_too_large`, `wrong_state`.
        """
        row = await self._find(number)
        if by not in {OPERATOR, row.recipient}:
            raise HiveError("not_allowed", f"question {number} was not asked of '{by}'", "Answer what you are asked")
        return await self._decide(row, "answered", by, check_answer(row, choices, text))

    async def cancel(self, number: int, by: str) -> Any:  # noqa: ANN401 - a row of the store
        """Cancel a question that `by` asked, or any of them as the operator.

        Raises:
            HiveError: `unknown_question`, `not_allowed`, `wrong_state`.
        """
        row = await self._find(number)
        if by not in {OPERATOR, row.asker}:
            raise HiveError("not_allowed", f"question {number} is not of '{by}'", "Cancel what you have asked")
        return await self._decide(row, "cancelled", by, None)

    async def purged(self, name: str) -> None:
        """An agent is about to be forgotten: its open questions are cancelled, and so are those asked of it.

        Raises:
            HiveError: `storage_full`, `storage_unavailable`.
        """
        for row in await self._store.read(questions.page, "open"):
            if row.asker == name:
                end = End(row.id, "cancelled", self._clock(), OPERATOR)
                await asyncio.shield(self._store.submit(questions.end, end, self._noted))
            elif row.recipient == name:
                await self._end(row.asker, "cancelled", row.id, OPERATOR, why=f"because '{name}' was purged")

    async def gone(self, names: Collection[str]) -> None:
        """These agents are tombstones: nobody answers for them, so whoever asked one of them hears that.

        What they asked themselves stays open: an answer waits for them, as every message does.

        Raises:
            HiveError: `storage_full`, `storage_unavailable`.
        """
        for row in await self._store.read(questions.page, "open"):
            if row.recipient in names:
                why = f"because '{row.recipient}' was destroyed"
                await self._end(row.asker, "cancelled", row.id, OPERATOR, why=why)

    async def _find(self, number: int) -> Any:  # noqa: ANN401 - a row of the store
        row = await self._store.read(questions.get, number)
        if row is None:
            raise HiveError("unknown_question", f"there is no question {number}", "See: hyperhive questions --all")
        return row

    async def _decide(self, row: Any, status: str, by: str, answer: str | None) -> Any:  # noqa: ANN401 - rows
        done = await self._end(row.asker, status, row.id, by, answer)
        now = done.row
        again = by != OPERATOR and now is not None and (now.status, now.ended_by, now.answer) == (status, by, answer)
        if not done.fresh and not again:
            raise over(now)
        return now

    async def _end(  # noqa: PLR0913, PLR0917 - what makes up an end
        self, asker: str, status: str, number: int, by: str | None = None, answer: str | None = None,
        why: str | None = None,
    ) -> Written:  # fmt: skip
        now = self._clock()

        def tell(row: Any) -> NewMessage:  # noqa: ANN401 - a row of the store
            return NewMessage(SYSTEM, (asker,), end_body(row, why), now)

        audit = None
        if by == OPERATOR and why is None:
            action = "answer" if status == "answered" else "cancel-question"
            audit = AuditEntry(now, OPERATOR, action, f"question {number}", answer and answer[:_AUDITED])
        end = End(number, status, now, by, answer, tell, audit)
        return await self._broker.carry(questions.end, end, asker, self._written)

    async def _expire(self, due: tuple[int, str]) -> None:
        number, asker = due
        await self._end(asker, "expired", number)

    # --- what was written

    def _written(self, done: Written) -> tuple[NewMessage, Accepted] | None:
        if done.fresh:
            self._changed(done.row)
            self.deadlines.look()
        return done.message

    def _noted(self, done: Written) -> None:
        self._written(done)

    def _changed(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        if row.status == "open" and row.deadline is not None:
            self.deadlines.set((row.id, row.asker), row.deadline)
        else:
            self.deadlines.drop((row.id, row.asker))
        self._tell(row)


def _new(asker: str, wanted: AskRequest, now: datetime) -> NewQuestion:
    def tell(row: Any) -> NewMessage:  # noqa: ANN401 - a row of the store
        return NewMessage(SYSTEM, (wanted.to,), asked_body(row), now)

    return NewQuestion(
        asker=asker,
        recipient=wanted.to,
        text=wanted.text,
        asked_at=now,
        options=tuple(wanted.options),
        multi=wanted.multi,
        deadline=None if wanted.ttl_seconds is None else now + timedelta(seconds=wanted.ttl_seconds),
        fallback=wanted.default,
        idempotency_key=wanted.idempotency_key,
        tell=None if wanted.to == OPERATOR else tell,
    )
