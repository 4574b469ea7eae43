"""docs/turn-loop.md draws the transitions that the code has, and its tables the outcomes, commands and events."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from hyperhive import wire
from hyperhive.harness.compaction import FURTHER, SHARE
from hyperhive.harness.prompts import WRITE_DOWN
from hyperhive.harness.settings import Timings
from hyperhive.harness.transitions import TRANSITIONS

PAGE = (Path(__file__).parents[2] / "docs/turn-loop.md").read_text()


def _drawn() -> set[tuple[str | None, str]]:
    """Arrows of the diagram, without those that end the harness."""
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
    arrows = re.findall(r"^ +(\S+) --> (\S+): .+$", diagram, re.MULTILINE)
    return {(None if before == "[*]" else before, after) for before, after in arrows if after != "[*]"}


def test_the_diagram_is_the_table_of_transitions() -> None:
    assert _drawn() == {(before, after) for before, afters in TRANSITIONS.items() for after in afters}
    assert set(TRANSITIONS) == {None, *get_args(wire.TurnState)}


def test_every_state_can_be_reached_and_left() -> None:
    reached: set[str | None] = {None}
    for _ in TRANSITIONS:
        reached |= {after for before in reached for after in TRANSITIONS[before]}  # type: ignore[index]
    assert reached == set(TRANSITIONS)
    assert all(TRANSITIONS.values())


def test_every_outcome_and_every_event_has_its_row() -> None:
    for outcome in get_args(wire.OutcomeKind):
        assert f"| `{outcome}` |" in PAGE, outcome
    for kind in get_args(wire.EventKind):
        assert re.search(rf"^\| .*`{kind}`.* \|", PAGE, re.MULTILINE), kind


def test_the_numbers_are_those_of_the_code() -> None:
    waits = Timings()
    for seconds in (waits.rate_limit, waits.overloaded, waits.no_claude, waits.login_look, waits.interrupt):
        assert f"{seconds:g} s" in PAGE, seconds
    assert f"{SHARE:.0%}".replace("%", " %") in PAGE
    assert f"{FURTHER:.0%}".replace("%", " %") in PAGE
    assert "notes.md" in WRITE_DOWN
