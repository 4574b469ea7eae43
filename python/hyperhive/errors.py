"""The one error that people and programs are shown.

Whatever refuses something raises `HiveError`: a stable code for programs, a sentence that says what is wrong, and a
hint that says what to do next. The web layer turns it into `{"error": {…}}` and an HTTP status, the CLI into two lines
and an exit code, the harness into the text of a tool result. Nothing else is invented on the way.
"""

from __future__ import annotations

from typing import Any, Final

#: Every code there is, with the HTTP status it travels under. `docs/errors.md` explains each.
STATUS: Final[dict[str, int]] = {
    "agent_not_running": 409,
    "agent_running": 409,
    "bad_config": 422,
    "bad_name": 422,
    "bad_proposal": 422,
    "bad_token": 401,
    "body_too_large": 413,
    "claude_not_found": 500,
    "forbidden_host": 403,
    "hive_running": 409,
    "internal": 500,
    "malformed": 422,
    "method_not_allowed": 405,
    "name_taken": 409,
    "no_daemon": 503,
    "not_allowed": 403,
    "not_found": 404,
    "not_mutable": 409,
    "operation_failed": 500,
    "path_too_long": 422,
    "peer_refused": 403,
    "port_collision": 409,
    "port_taken": 503,
    "recipient_gone": 410,
    "reserved_name": 422,
    "runtime_unavailable": 503,
    "sandbox_unreadable": 422,
    "shutting_down": 503,
    "storage_full": 507,
    "storage_unavailable": 503,
    "too_many_agents": 409,
    "too_many_approvals": 429,
    "too_many_failures": 429,
    "too_many_messages": 429,
    "too_many_questions": 429,
    "too_many_reminders": 429,
    "too_many_unread": 429,
    "unknown_agent": 404,
    "unknown_approval": 404,
    "unknown_message": 404,
    "unknown_question": 404,
    "unknown_recipient": 404,
    "unknown_reminder": 404,
    "wrong_state": 409,
}


class HiveError(Exception):
    """Something was refused or failed, said so that a person can act on it.

    Args:
        code: a key of `STATUS`; stable, programs branch on it.
        message: what is wrong, as a sentence without a final stop.
        hint: what to do next; may be empty where nothing can be done.
        data: more for programs, for example `retry_after` in seconds.
    """

    def __init__(self, code: str, message: str, hint: str = "", **data: Any) -> None:  # noqa: ANN401 - JSON values
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.data = data

    @property
    def status(self) -> int:
        """The HTTP status that this error travels under."""
        return STATUS.get(self.code, 500)

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message

    def to_json(self) -> dict[str, Any]:
        """The error as the API answers it."""
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint, **self.data}}

    @classmethod
    def from_json(cls, status: int, answer: object) -> HiveError:
        """Rebuild an error from an API answer, whatever it holds."""
        inner = answer.get("error") if isinstance(answer, dict) else None
        if not isinstance(inner, dict):
            return cls("internal", f"the hive answered with status {status}", "See the daemon's log")
        rest = {key: value for key, value in inner.items() if key not in {"code", "message", "hint"}}
        return cls(str(inner.get("code")), str(inner.get("message")), str(inner.get("hint") or ""), **rest)
