"""What is said about an approval: a line for the operator, an entry for the audit log. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hyperhive.store.audit import AuditEntry

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

#: Characters of what somebody wrote that a title, or an entry, has.
_TITLE: Final = 120
_AUDITED: Final = 500
#: The words of the audit log for steps that are called otherwise.
_ACTIONS: Final = {
    "cancel": "cancel-approval",
    "expire": "expire",
    "red": "fail",
    "orphan": "fail",
    "undeployable": "fail",
    "broken": "fail",
    "done": "deploy",
}


def title(row: Any) -> str:  # noqa: ANN401 - a row of the store
    """What the operator is asked, in one line."""
    if row.kind == "spawn":
        asked = f"{row.requested_by} asks for a new agent '{row.agent}'"
    else:
        asked = f"{row.requested_by} asks to change '{row.agent}' to commit {row.commit_hash[:12]}"
    return f"{asked}: {row.description[:_TITLE]}" if row.description else asked


def subject(row: Any) -> str:  # noqa: ANN401 - a row of the store
    """What it is about, with the commit that it is bound to."""
    return f"{row.kind} {row.agent}" + (f" {row.commit_hash}" if row.commit_hash else "")


def audited(at: datetime, by: str, step: str) -> Callable[[Any], AuditEntry]:
    """Makes the entry for a step, of the row as it is after it."""

    def entry(row: Any) -> AuditEntry:  # noqa: ANN401 - a row of the store
        why = row.reason if step not in {"request-spawn", "propose"} else row.description
        detail = subject(row) + (f": {why[:_AUDITED]}" if why else "")
        return AuditEntry(at, by, _ACTIONS.get(step, step), f"approval {row.id}", detail)

    return entry


def carried_out(row: Any) -> tuple[str, str]:  # noqa: ANN401 - a row of the store
    """Who decided what is carried out, and on what ground."""
    return row.decided_by, f"approval {row.id}" + (f": {row.reason}" if row.reason else "")
