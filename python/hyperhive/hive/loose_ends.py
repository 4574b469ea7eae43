"""What an agent has open: questions both ways, requests that wait for the operator, reminders, unread messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hyperhive.errors import HiveError
from hyperhive.store import questions, reminders
from hyperhive.wire import LooseEnd, LooseEndsAnswer

if TYPE_CHECKING:
    from hyperhive.hive.hive import Hive
    from hyperhive.wire import LooseEndKind

#: Characters of each that are listed.
_SHOWN: Final = 500
#: Of what an agent is asked, at most so many are listed.
_LISTED: Final = 100


async def of_agent(hive: Hive, agent: str) -> LooseEndsAnswer:
    """Everything that an agent has open, oldest first."""
    asked = await hive.store.read(questions.page, "open", agent)
    to_answer = await hive.store.read(questions.page, "open", limit=_LISTED, recipient=agent)
    pending = await hive.store.read(reminders.page, "pending", agent)
    ends = [_question("question", row, row.recipient) for row in asked]
    ends += [_question("to_answer", row, row.asker) for row in to_answer]
    ends += [
        LooseEnd(kind="reminder", id=row.id, text=_short(row.text), since=row.made_at, deadline=row.due_at)
        for row in pending
    ]
    ends.sort(key=lambda end: (end.since, end.id))
    return LooseEndsAnswer(ends=ends, unread=hive.broker.unread(agent))


async def cancel(hive: Hive, agent: str, kind: LooseEndKind, number: int) -> None:
    """Cancel something that an agent has open.

    Raises:
        HiveError: `not_allowed`, and as cancelling that kind does.
    """
    if kind == "question":
        await hive.questions.cancel(number, agent)
    elif kind == "reminder":
        await hive.reminders.cancel(number, agent)
    else:
        what = f"question {number} is not yours to cancel: you are asked"
        raise HiveError("not_allowed", what, f"Answer it: answer(id={number}, text=…)")


def _question(kind: LooseEndKind, row: Any, who: str) -> LooseEnd:  # noqa: ANN401 - a row of the store
    return LooseEnd(kind=kind, id=row.id, text=_short(row.text), since=row.asked_at, deadline=row.deadline, who=who)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " …"
