"""Every transition that an approval can make, in one table; who may make it, and what it refuses. Pure.

`docs/approvals.md` draws the table, and a test compares the two. The store makes a transition only out of the states
that stand here (`sources`), in one statement, so that of two operators who decide at once one is told that the other
was first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from hyperhive.clock import rfc3339
from hyperhive.errors import HiveError
from hyperhive.names import OPERATOR
from hyperhive.store.tables import ApprovalKind, ApprovalState

Step = Literal[
    "built", "red", "moved", "approve", "deny", "cancel", "expire", "orphan", "deploy", "undeployable", "done", "broken"
]
Who = Literal["hive", "operator", "requester"]


@dataclass(frozen=True, slots=True)
class Transition:
    """One way from one state to another."""

    step: Step
    source: ApprovalState
    target: ApprovalState
    who: Who
    kinds: frozenset[ApprovalKind]


_ALL: Final = frozenset[ApprovalKind](get_args(ApprovalKind))
_APPLY: Final = frozenset[ApprovalKind]({"apply"})

TRANSITIONS: Final = (
    # the commit was built, or there is nothing to build it with; it is shown, and the operator is asked
    Transition("built", "building", "pending", "hive", _APPLY),
    # it does not build; nobody is asked
    Transition("red", "building", "failed", "hive", _APPLY),
    # something else was deployed for its agent, so what was shown is not what would change: compare and build anew
    Transition("moved", "pending", "building", "hive", _APPLY),
    Transition("moved", "building", "building", "hive", _APPLY),
    Transition("approve", "pending", "approved", "operator", _ALL),
    Transition("deny", "pending", "denied", "operator", _ALL),
    Transition("deny", "building", "denied", "operator", _APPLY),
    Transition("cancel", "pending", "cancelled", "requester", _ALL),
    Transition("cancel", "building", "cancelled", "requester", _APPLY),
    # `expires_at` has passed
    Transition("expire", "pending", "expired", "hive", _ALL),
    Transition("expire", "building", "expired", "hive", _APPLY),
    # the state directory of its agent is gone
    Transition("orphan", "pending", "failed", "hive", _APPLY),
    Transition("orphan", "building", "failed", "hive", _APPLY),
    # what was approved is begun, or cannot even be begun
    Transition("deploy", "approved", "deploying", "hive", _ALL),
    Transition("undeployable", "approved", "failed", "hive", _ALL),
    # it works, or it does not and what was there before runs again
    Transition("done", "deploying", "deployed", "hive", _ALL),
    Transition("broken", "deploying", "failed", "hive", _ALL),
)

#: States in which nobody has decided yet.
OPEN: Final[tuple[ApprovalState, ...]] = ("building", "pending")
#: States in which the operator has said yes and it is not over.
UNDER_WAY: Final[tuple[ApprovalState, ...]] = ("approved", "deploying")
#: States that nothing leads out of.
ENDS: Final[tuple[ApprovalState, ...]] = tuple(
    state for state in get_args(ApprovalState) if all(t.source != state for t in TRANSITIONS)
)
#: What one of an agent whose state directory is gone says.
ORPHAN: Final = "agent state dir missing"
#: Where an approval begins.
FIRST: Final[dict[ApprovalKind, ApprovalState]] = {"spawn": "pending", "apply": "building"}


def sources(step: Step) -> tuple[ApprovalState, ...]:
    """The states that a step leads out of, for one kind of approvals or the other."""
    return tuple(dict.fromkeys(t.source for t in TRANSITIONS if t.step == step))


def target(step: Step) -> ApprovalState:
    """The one state that a step leads to."""
    (only,) = {t.target for t in TRANSITIONS if t.step == step}
    return only


def allowed(step: Step, kind: str, status: str) -> bool:
    """Whether an approval of this kind in this state can take the step."""
    return any(t.step == step and t.source == status and kind in t.kinds for t in TRANSITIONS)


def check(step: Step, row: Any, by: str) -> None:  # noqa: ANN401 - a row of the store
    """Refuse a step that this approval cannot take, or that is not for `by` to take.

    Raises:
        HiveError: `not_allowed`, `wrong_state`.
    """
    who = {t.who for t in TRANSITIONS if t.step == step}
    if "operator" in who and by != OPERATOR:
        raise HiveError("not_allowed", f"'{by}' cannot decide about approval {row.id}", "The operator decides")
    if "requester" in who and by != row.requested_by:
        raise HiveError("not_allowed", f"'{by}' has not asked for approval {row.id}", "Cancel what you have asked for")
    if not allowed(step, row.kind, row.status):
        raise too_late(row, step)


def check_shown(row: Any, commit: str | None) -> None:  # noqa: ANN401 - a row of the store
    """Refuse the approval of something else than what was shown.

    Raises:
        HiveError: `malformed` where the commit that was shown is not named, `wrong_state` where it is another one.
    """
    if row.commit_hash is None:
        if commit is not None:
            raise HiveError("malformed", f"commit: approval {row.id} is about no commit", "Leave it out")
    elif commit is None:
        hint = "Give the commit that you were shown"
        raise HiveError("malformed", f"commit: approval {row.id} is bound to a commit", hint)
    elif commit != row.commit_hash:
        what = f"approval {row.id} is about commit {row.commit_hash}, and you were shown another one"
        raise HiveError("wrong_state", what, f"Look at it once more: hyperhive approvals {row.id}")


def too_late(row: Any, step: Step | None = None) -> HiveError:  # noqa: ANN401 - a row of the store
    """The error for whoever asks for a step that the approval's state does not allow: it says who was first."""
    status = str(row.status)
    if status == "building" and step == "approve":
        what = "is being built, what it changes is not known yet"
        return HiveError("wrong_state", f"approval {row.id} {what}", "Wait until it waits for you")
    if status in OPEN:
        what = f"approval {row.id} is {status}, and is built anew since it was shown"
        return HiveError("wrong_state", what, "Look at what it changes now")
    by = f" by {row.decided_by}" if row.decided_by else ""
    at = f" at {rfc3339(moment)}" if (moment := row.decided_at or row.ended_at) else ""
    said = _SAID.get(status, f"was {status}")
    if status == "failed" and row.decided_by:
        said = "has failed after it was approved"
    return HiveError("wrong_state", f"approval {row.id} {said}{by}{at}", "There is nothing left to decide")


_SAID: Final = {
    "approved": "was approved",
    "deploying": "was approved",
    "deployed": "was approved",
    "expired": "has expired",
    "failed": "has failed",
}
