"""Reminders and schedules."""

from __future__ import annotations

from pydantic import Field

from hyperhive.clock import Instant
from hyperhive.wire import Answer


class ReminderRow(Answer):
    """A message that an agent sends to itself later; `status` is one of `pending fired cancelled`.

    `message_id` is what it was sent as.
    """

    id: int
    agent: str
    message: str
    made_at: Instant
    at: Instant
    status: str
    ended_at: Instant | None = None
    ended_by: str | None = None
    message_id: int | None = None


class ScheduleRow(Answer):
    """A schedule of the settings; `next_at` is null where it never comes again, or not while its agent is destroyed."""

    agent: str
    name: str
    rule: str
    message: str
    next_at: Instant | None = None
    last_at: Instant | None = None


class RemindersAnswer(Answer):
    """`GET /api/reminders`: reminders newest first, and the declared schedules by agent and name."""

    reminders: list[ReminderRow]
    schedules: list[ScheduleRow] = Field(default_factory=list)
