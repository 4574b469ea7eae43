"""Messages and events."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hyperhive.clock import Instant
from hyperhive.wire import Answer, Id, Request


class MessageRow(Answer):
    """A message.

    `state` is one of `waiting held settled dead discarded`, `deliveries` counts hand-outs. The stream carries the
    beginning of a long body and says `truncated`; the listings have the whole.
    """

    id: int
    from_: str = Field(alias="from")
    to: str
    body: str
    sent_at: Instant
    state: str
    deliveries: int = 0
    in_reply_to: int | None = None
    broadcast_id: int | None = None
    settled_at: Instant | None = None
    outcome: str | None = None
    reason: str | None = None
    dead_letter: bool = False
    truncated: bool = False


class EventRow(Answer):
    """Something that happened in a turn of an agent; `kind` is a `wire.EventKind`."""

    seq: int
    at: Instant
    kind: str
    agent: str
    turn: int | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class MessagesAnswer(Answer):
    """`GET /api/messages`, `/api/inbox` and `/api/dead-letters`, newest first."""

    messages: list[MessageRow]


class EventsAnswer(Answer):
    """`GET /api/agents/{n}/events`, newest first."""

    events: list[EventRow]


class Sent(Answer):
    """`POST /api/messages`: it is on disk. `id` is the first one's where a broadcast made several."""

    id: int
    broadcast_id: int | None = None
    recipients: list[str]


class AckRequest(Request):
    """`POST /api/inbox/ack`."""

    ids: list[Id] = Field(min_length=1, max_length=10_000)


class AckAnswer(Answer):
    """Those of the ids that were in the inbox and are done now."""

    acked: list[int]
