"""Which TurnState may follow which: all that `docs/turn-loop.md` draws, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hyperhive.wire import TurnState

TRANSITIONS: Final[Mapping[TurnState | None, frozenset[TurnState]]] = {
    # the harness starts
    None: frozenset({"needs_login", "idle"}),
    # a login is there
    "needs_login": frozenset({"idle"}),
    # a message; the operator's compaction; the login was taken away
    "idle": frozenset({"thinking", "compacting", "needs_login"}),
    # the end; Claude or the harness shortens the conversation; a limit; a login that is refused or gone
    "thinking": frozenset({"idle", "compacting", "rate_limited", "needs_login"}),
    # the turn goes on; the end; a limit; a login that is gone
    "compacting": frozenset({"thinking", "idle", "rate_limited", "needs_login"}),
    # the time has come, or another login; none is left
    "rate_limited": frozenset({"idle", "needs_login"}),
}


def is_drawn(before: TurnState | None, after: TurnState) -> bool:
    """Whether `after` may follow `before`; staying is no transition."""
    return before == after or after in TRANSITIONS[before]
