"""What an agent has open: questions both ways, requests that wait for the operator, reminders, unread messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hyperhive.errors import HiveError
from hyperhive.hive.approval_rules import OPEN, UNDER_WAY
from hyperhive.store import approvals, questions, reminders
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
    waits = await hive.store.read(approvals.page, (*OPEN, *UNDER_WAY), by=agent)
    ends += [_approval(row) for row in waits]
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
    elif kind == "approval":
        await hive.approvals.cancel(number, agent)
    else:
        what = f"question {number} is not yours to cancel: you are asked"
        raise HiveError("not_allowed", what, f"Answer it: answer(id={number}, text=…)")


def _question(kind: LooseEndKind, row: Any, who: str) -> LooseEnd:  # noqa: ANN401 - a row of the store
    return LooseEnd(kind=kind, id=row.id, text=_short(row.text), since=row.asked_at, deadline=row.deadline, who=who)


def _approval(row: Any) -> LooseEnd:  # noqa: ANN401 - a row of the store
    what = "a new agent" if row.kind == "spawn" else f"a change, commit {row.commit_hash[:12]}"
    return LooseEnd(
        kind="approval",
        id=row.id,
        text=_short(f"{what}: {row.description}" if row.description else what),
        since=row.requested_at,
        deadline=row.expires_at if row.status in OPEN else None,
        who=row.agent,
        status=row.status,
    )


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " …"
