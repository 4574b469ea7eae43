"""Rows of the store and entries of the broker, as the operator API shows them."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from hyperhive.shapes import ApprovalRow, AuditRow, EventRow, MessageRow, QuestionRow, ReminderRow
from hyperhive.store.messages import PREVIEW

if TYPE_CHECKING:
    from collections.abc import Collection

    from hyperhive.hive.inbox import Entry
    from hyperhive.hive.mailbox import Happened
    from hyperhive.store.events import StoredEvent

#: Characters of each string of an event that the stream carries; the whole event is in the history.
_STREAMED: Final = 2000
#: Levels of an event's data that are kept.
_DEEPEST: Final = 50

#: Characters of each long text of an approval that lists and the stream carry.
BEGINNING: Final = 8 * 1024

_STATE: Final[dict[str, str]] = {
    "accepted": "waiting",
    "put_back": "waiting",
    "handed_out": "held",
    "settled": "settled",
    "dead": "dead",
    "discarded": "discarded",
}


def message_row(row: Any, held: Collection[int]) -> MessageRow:  # noqa: ANN401 - a row of the store
    """A message with its whole body; one that its agent works on has the state `held`."""
    return MessageRow(
        id=row.id,
        **{"from": row.sender},
        to=row.recipient,
        body=row.body,
        sent_at=row.sent_at,
        state="held" if row.state == "waiting" and row.id in held else row.state,
        deliveries=row.deliveries,
        in_reply_to=row.in_reply_to,
        broadcast_id=row.broadcast_id,
        settled_at=row.settled_at,
        outcome=row.outcome,
        reason=row.reason,
        dead_letter=row.state == "dead",
    )


def message_change(what: Happened, entry: Entry) -> dict[str, Any]:
    """A change of a message for the stream: the body's beginning, `truncated` where it is not all."""
    row = MessageRow(
        id=entry.id,
        **{"from": entry.sender},
        to=entry.recipient,
        body=entry.preview[:PREVIEW],
        sent_at=entry.sent_at,
        state=_STATE[what],
        deliveries=entry.deliveries,
        in_reply_to=entry.in_reply_to,
        broadcast_id=entry.broadcast_id,
        settled_at=entry.settled_at,
        outcome=entry.outcome,
        reason=entry.reason,
        dead_letter=what == "dead",
    )
    return {**row.model_dump(mode="json"), "truncated": len(entry.preview) > PREVIEW}


def event_row(row: Any) -> EventRow:  # noqa: ANN401 - a row of the store
    """An event from the history."""
    return EventRow(seq=row.seq, at=row.at, kind=row.kind, agent=row.agent, turn=row.turn, data=row.data)


def event_change(stored: StoredEvent) -> dict[str, Any]:
    """An event for the stream, long strings cut."""
    event = stored.event
    row = EventRow(
        seq=stored.seq, at=event.at, kind=event.kind, agent=stored.agent, turn=event.turn, data=cut(event.data)
    )
    return row.model_dump(mode="json")


def question_row(row: Any) -> QuestionRow:  # noqa: ANN401 - a row of the store
    """A question as the operator sees it."""
    return QuestionRow(
        id=row.id,
        asker=row.asker,
        to=row.recipient,
        text=row.text,
        options=row.options,
        multi=row.multi,
        asked_at=row.asked_at,
        deadline=row.deadline,
        default=row.fallback,
        status=row.status,
        answer=row.answer,
        answered_by=row.ended_by,
        answered_at=row.ended_at,
    )


def reminder_row(row: Any) -> ReminderRow:  # noqa: ANN401 - a row of the store
    """A reminder as the operator sees it."""
    return ReminderRow(
        id=row.id,
        agent=row.agent,
        message=row.text,
        made_at=row.made_at,
        at=row.due_at,
        status=row.status,
        ended_at=row.ended_at,
        ended_by=row.ended_by,
        message_id=row.message,
    )


def approval_row(row: Any, *, whole: bool = True) -> ApprovalRow:  # noqa: ANN401 - a row of the store
    """An approval as the operator sees it; not whole, it has the beginning of what is long, and says `truncated`."""
    build, spec = dict(row.build or {}), dict(row.spec or {})
    long = {"diff": row.diff, "approved_diff": row.approved_diff, "closure_diff": row.closure_diff}
    texts = (*long.values(), build.get("log"), spec.get("prompt"))
    truncated = not whole and any(text is not None and len(text) > BEGINNING for text in texts)
    if truncated:
        long = {name: text and text[:BEGINNING] for name, text in long.items()}
        # Of a log the end says what went wrong.
        build["log"] = (build.get("log") or "")[-BEGINNING:] or None
        spec["prompt"] = (spec.get("prompt") or "")[:BEGINNING] or None
    return ApprovalRow(
        id=row.id,
        kind=row.kind,
        agent=row.agent,
        status=row.status,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        description=row.description,
        spec=spec if row.spec is not None else None,
        commit=row.commit_hash,
        base=row.base_hash,
        files=row.files or [],
        approved=row.approved_hash,
        truncated=row.truncated or truncated,
        build=build if row.build is not None else None,
        stale=row.stale,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        ended_at=row.ended_at,
        reason=row.reason,
        note=row.note,
        **long,
    )


def audit_row(row: Any) -> AuditRow:  # noqa: ANN401 - a row of the store
    """An entry of the audit log."""
    return AuditRow(id=row.id, at=row.at, actor=row.actor, action=row.action, subject=row.subject, detail=row.detail)


def clean(value: Any, room: int = _DEEPEST) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """JSON that everybody can write and read again, of what Python has read as JSON.

    Half surrogate pairs become question marks, what is no number becomes null, what lies too deep an ellipsis: events
    are an agent's own, and must not keep anybody from reading the list of them.
    """
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, (dict, list)) and not room:
        return "…"
    if isinstance(value, dict):
        return {clean(key): clean(inner, room - 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [clean(inner, room - 1) for inner in value]
    return value


def cut(value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """JSON with every long string cut."""
    if isinstance(value, str):
        return value if len(value) <= _STREAMED else value[:_STREAMED] + "…"
    if isinstance(value, dict):
        return {key: cut(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [cut(inner) for inner in value[:200]]
    return value
