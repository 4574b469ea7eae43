"""The state machine of approvals: what leads where, who may do it, and that there is no other way."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hyperhive.errors import HiveError
from hyperhive.hive.approval_rules import (
    ENDS,
    FIRST,
    OPEN,
    TRANSITIONS,
    UNDER_WAY,
    Step,
    allowed,
    check,
    check_shown,
    sources,
    target,
    too_late,
)
from hyperhive.store.tables import ApprovalKind, ApprovalState

_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_HASH = "a" * 40
_STATES = get_args(ApprovalState)
_STEPS = get_args(Step)
_KINDS = get_args(ApprovalKind)


def approval(**more: Any) -> Any:  # noqa: ANN401 - a row
    given_ = {
        "id": 7, "kind": "apply", "agent": "alice", "status": "pending", "requested_by": "manager",
        "commit_hash": _HASH, "decided_by": None, "decided_at": None, "ended_at": None,
    }  # fmt: skip
    return SimpleNamespace(**(given_ | more))


def code(work: Any, *arguments: Any) -> str:  # noqa: ANN401
    with pytest.raises(HiveError) as caught:
        work(*arguments)
    return caught.value.code


def test_every_state_belongs_to_one_stage() -> None:
    assert sorted([*OPEN, *UNDER_WAY, *ENDS]) == sorted(_STATES)


def test_a_step_is_written_once_for_each_state_and_leads_to_one() -> None:
    assert len({(t.step, t.source) for t in TRANSITIONS}) == len(TRANSITIONS)
    assert {step: target(step) for step in _STEPS}.keys() == set(_STEPS)
    for step in _STEPS:
        assert sources(step)
        assert len({t.who for t in TRANSITIONS if t.step == step}) == 1


@pytest.mark.parametrize("kind", _KINDS)
def test_every_state_of_a_kind_leads_to_an_end(kind: ApprovalKind) -> None:
    reached, todo = set(), [FIRST[kind]]
    while todo:
        state = todo.pop()
        if state not in reached:
            reached.add(state)
            todo += [t.target for t in TRANSITIONS if t.source == state and kind in t.kinds]
    assert set(ENDS) <= reached
    for state in reached - set(ENDS):
        assert any(t.source == state and t.target != state and kind in t.kinds for t in TRANSITIONS)
    assert ("building" in reached) == (kind == "apply")


@given(kind=some.sampled_from(_KINDS), steps=some.lists(some.sampled_from(_STEPS), max_size=30))
def test_whatever_is_tried_nothing_is_deployed_that_the_operator_did_not_approve(
    kind: ApprovalKind, steps: list[Step]
) -> None:
    status, taken = FIRST[kind], list[Step]()
    for step in steps:
        if allowed(step, kind, status):
            status = target(step)
            taken.append(step)
        elif status in ENDS:
            assert not any(allowed(other, kind, status) for other in _STEPS)
    if status in {*UNDER_WAY, "deployed"}:
        assert taken.count("approve") == 1
        # What was approved is what was built last: nothing is built after the decision.
        assert not {"built", "red", "moved"} & set(taken[taken.index("approve") :])
        if kind == "apply":
            assert taken[taken.index("approve") - 1] == "built"


@given(
    step=some.sampled_from(_STEPS),
    kind=some.sampled_from(_KINDS),
    status=some.sampled_from(_STATES),
    by=some.sampled_from(["operator", "manager", "alice"]),
)
def test_only_the_operator_decides_and_only_who_asked_cancels(
    step: Step, kind: ApprovalKind, status: ApprovalState, by: str
) -> None:
    row = approval(kind=kind, status=status)
    may = {"approve": by == "operator", "deny": by == "operator", "cancel": by == "manager"}.get(step, True)
    if not may:
        assert code(check, step, row, by) == "not_allowed"
    elif not allowed(step, kind, status):
        assert code(check, step, row, by) == "wrong_state"
    else:
        check(step, row, by)


def test_a_commit_is_approved_only_by_its_whole_hash() -> None:
    check_shown(approval(), _HASH)
    check_shown(approval(commit_hash=None), None)
    assert code(check_shown, approval(), None) == "malformed"
    assert code(check_shown, approval(), "b" * 40) == "wrong_state"
    assert code(check_shown, approval(), _HASH[:12]) == "wrong_state"
    assert code(check_shown, approval(commit_hash=None), _HASH) == "malformed"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"status": "approved"}, "approval 7 was approved by operator at 2026-01-02T03:04:05.000Z"),
        ({"status": "deployed"}, "approval 7 was approved by operator at 2026-01-02T03:04:05.000Z"),
        ({"status": "denied"}, "approval 7 was denied by operator at 2026-01-02T03:04:05.000Z"),
        ({"status": "failed"}, "approval 7 has failed after it was approved by operator at 2026-01-02T03:04:05.000Z"),
        (
            {"status": "expired", "decided_by": None, "decided_at": None, "ended_at": _AT},
            "approval 7 has expired at 2026-01-02T03:04:05.000Z",
        ),
        (
            {"status": "failed", "decided_by": None, "decided_at": None, "ended_at": _AT},
            "approval 7 has failed at 2026-01-02T03:04:05.000Z",
        ),
        ({"status": "building"}, "approval 7 is being built, what it changes is not known yet"),
    ],
)
def test_whoever_comes_too_late_is_told_who_was_first(row: dict[str, Any], said: str) -> None:
    error = too_late(approval(**({"decided_by": "operator", "decided_at": _AT} | row)), "approve")
    assert (error.code, error.message) == ("wrong_state", said)


def test_the_documentation_draws_just_the_transitions_that_there_are() -> None:
    text = (Path(__file__).parents[2] / "docs" / "approvals.md").read_text(encoding="utf-8")
    drawn = re.search(r"```mermaid\nstateDiagram-v2\n(.*?)```", text, re.DOTALL)
    assert drawn
    lines = re.findall(r"^    (\S+) --> (\S+?)(?:: (\S+))?$", drawn[1], re.MULTILINE)
    assert len(lines) == len(drawn[1].splitlines())
    between = [(source, end, step) for source, end, step in lines if "[*]" not in {source, end}]
    assert sorted(between) == sorted((t.source, t.target, t.step) for t in TRANSITIONS)
    assert {step: end for source, end, step in lines if source == "[*]"} == FIRST
    assert sorted(source for source, end, _ in lines if end == "[*]") == sorted(ENDS)
    for step in _STEPS:
        assert f"`{step}`" in text, "each is explained"
