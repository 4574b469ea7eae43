"""The tools `remind`, `get_loose_ends`, `cancel_loose_end`: what they take, and what Claude reads as their result."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from hyperhive import wire
from hyperhive.clock import rfc3339
from hyperhive.errors import HiveError
from hyperhive.harness.tool import make_tool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hyperhive.harness.hive import HiveClient
    from hyperhive.harness.tool import Patiently

_REMIND: Final[dict[str, Any]] = {
    "message": {"type": "string", "minLength": 1, "description": "what you want to be told then, at most 8 KiB"},
    "delay_seconds": {
        "type": "number",
        "minimum": 1,
        "maximum": wire.MAX_AHEAD,
        "description": "in how many seconds; either this or at",
    },
    "at": {"type": "string", "description": "when, with a zone, for example 2026-11-30T09:00:00+01:00"},
}
_CANCEL: Final[dict[str, Any]] = {
    "kind": {"type": "string", "minLength": 1, "enum": ["question", "approval", "reminder"]},
    "id": {"type": "integer", "minimum": 1, "description": "its number"},
}
_KINDS: Final = {
    "question": "you asked {who}",
    "to_answer": "{who} asks you",
    "approval": "you requested of the operator, for {who}",
    "reminder": "you will be reminded",
}


class OpenEndTools:
    """The tools about what an agent has open.

    Args:
        hive: is called.
        patiently: calls it through a restart.
    """

    def __init__(self, hive: HiveClient, patiently: Patiently) -> None:
        self._hive, self._patiently = hive, patiently

    def tools(self) -> list[Any]:
        """The tools."""
        return [
            make_tool(self._remind, "remind", "Send yourself a message later; it wakes you.", _REMIND),
            make_tool(
                self._list, "get_loose_ends", "Your open questions, requests, reminders and unread messages.", {}
            ),
            make_tool(self._cancel, "cancel_loose_end", "Take back a question, a request or a reminder.", _CANCEL),
        ]

    async def _remind(self, arguments: dict[str, Any]) -> str:
        # One key for all tries of this call.
        request = remind_request(arguments, secrets.token_hex(16))
        made, note = await self._patiently(lambda: self._hive.remind(request))
        return f"Reminder {made.id} comes at {rfc3339(made.at)}, as a message from reminder.{note}"

    async def _list(self, _arguments: dict[str, Any]) -> str:
        answer, note = await self._patiently(self._hive.loose_ends)
        return loose_ends_text(answer, datetime.now(UTC)) + note

    async def _cancel(self, arguments: dict[str, Any]) -> str:
        kind, number = str(arguments["kind"]), int(arguments["id"])
        _, note = await self._patiently(lambda: self._hive.cancel_loose_end(kind, number))
        return f"The {kind} {number} is cancelled.{note}"


def remind_request(arguments: Mapping[str, Any], key: str) -> wire.RemindRequest:
    """What is asked of the hive; it refuses what has no time, or two.

    Raises:
        HiveError: `malformed`: what stands there is no time.
    """
    try:
        return wire.RemindRequest(
            message=arguments["message"],
            delay_seconds=arguments.get("delay_seconds"),
            at=arguments.get("at"),
            idempotency_key=key,
        )
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        hint = f"Write it with date and zone; it is {rfc3339(datetime.now(UTC))}"
        raise HiveError("malformed", what, hint) from None


def loose_ends_text(answer: wire.LooseEndsAnswer, now: datetime) -> str:
    """The result of `get_loose_ends`; what stands in an end is marked line by line."""
    parts = []
    for end in answer.ends:
        what = _KINDS.get(end.kind, "{who}").format(who=end.who or "somebody")
        when = f", {'due' if end.kind == 'reminder' else 'until'} {rfc3339(end.deadline)}" if end.deadline else ""
        state = f", {end.status}" if end.status else ""
        body = "\n".join(f"| {line}" for line in end.text.splitlines())
        parts.append(f"{end.kind} {end.id} ({what} at {rfc3339(end.since)}{when}{state}):\n{body}")
    some = answer.unread == 1
    unread = f"{answer.unread} message{'' if some else 's'} wait{'s' if some else ''} for you (recv)."
    end_line = f"It is {rfc3339(now)}. {unread if answer.unread else 'No message waits.'}"
    return "\n\n".join([*(parts or ["You have nothing open."]), end_line])
