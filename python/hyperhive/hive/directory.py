"""Who there is to write to, as the broker needs to know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hyperhive.errors import HiveError
from hyperhive.names import EVERYONE, MANAGER, OPERATOR, SYSTEM, nearest

if TYPE_CHECKING:
    from collections.abc import Collection


class Directory(Protocol):
    """Answers who exists and who may write to whom."""

    def members(self) -> Collection[str]:
        """Names of the agents that are no tombstones."""
        ...

    def tombstones(self) -> Collection[str]:
        """Names of agents that were."""
        ...

    def allowed_recipients(self, sender: str) -> Collection[str] | None:
        """Whom `sender` may write to; None is everybody."""
        ...


def resolve_recipients(directory: Directory, sender: str, to: str) -> tuple[str, ...]:
    """The recipients that `to` means.

    Raises:
        HiveError: `unknown_recipient` with the nearest names, `recipient_gone`, `not_allowed`.
    """
    members = directory.members()
    allowed = None if sender in {OPERATOR, SYSTEM} else directory.allowed_recipients(sender)
    if to == EVERYONE:
        everybody = sorted(name for name in members if name != sender)
        return tuple(name for name in everybody if allowed is None or EVERYONE in allowed or name in allowed)
    if to != OPERATOR and to not in members:
        raise _nobody(directory, to)
    if allowed is not None and to != OPERATOR and to not in allowed:
        names = ", ".join(sorted({*allowed, OPERATOR}))
        raise HiveError("not_allowed", f"'{sender}' may not write to '{to}'", f"It may write to: {names}")
    return (to,)


def _nobody(directory: Directory, to: str) -> HiveError:
    if to in directory.tombstones():
        return HiveError(
            "recipient_gone",
            f"the agent '{to}' was destroyed",
            "What it was sent before waits for a revive; new messages are refused",
        )
    known = sorted({*directory.members(), OPERATOR, EVERYONE})
    near = nearest(to, known)
    hint = f"Did you mean {' or '.join(repr(name) for name in near)}?" if near else f"There are: {', '.join(known)}"
    note = " (this hive has no manager)" if to == MANAGER else ""
    return HiveError("unknown_recipient", f"there is no agent '{to}'{note}", hint, nearest=near)
