"""Decides what the model answers to a request: which rule, from which step on, up to where.

Where a turn stands comes from the request (`conversation.py`). Kept here is only what no request can tell: how often a
rule and a fault have had their turn, and which rule the running turn of a session has taken.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from hyperhive.names import EVERYONE
from hyperhive.testing.scripted_model.place import Place, Track
from hyperhive.testing.scripted_model.scenario import Rule, Scenario, Script
from hyperhive.testing.scripted_model.steps import AnyStep, Drop, Error, Fault, Hang, Stop, Text, Tool
from hyperhive.testing.scripted_model.template import values_of

if TYPE_CHECKING:
    from hyperhive.testing.scripted_model.conversation import Turn

#: What the model says when its script says nothing more: an empty response would make claude ask again.
END_OF_SCRIPT: Final = "Done."
#: Sessions whose running turn is remembered.
_SESSIONS: Final = 4096


class Who(NamedTuple):
    """Whose turn it is. A subagent shares the session of its agent."""

    agent: str
    session: str = ""
    subagent: str = ""


@dataclass(frozen=True)
class Part:
    """One step of an answer and where it stands; None for what is in no script."""

    step: AnyStep
    place: Place | None = None


@dataclass(frozen=True)
class Answer:
    """One response: its steps in order, what fills their templates, and the fault that cuts it off, if any."""

    path: str
    parts: tuple[Part, ...]
    values: dict[str, str] = field(default_factory=dict)
    stop_reason: str = "end_turn"
    fault: Error | Hang | Drop | None = None


@dataclass
class _Running:
    """The turn that a session is in."""

    turn: Turn
    track: Track | None
    values: dict[str, str]
    answered: bool = False
    compacted: bool = False


class Player:
    """Plays one scenario for all agents."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._matched: Counter[tuple[str, Track]] = Counter()
        self._failed: Counter[tuple[str, Place]] = Counter()
        self._running: dict[Who, _Running] = {}

    def answer(self, who: Who, turn: Turn) -> Answer:
        """The next response of `who`; counts what has a limited number of times."""
        running = self._resume(who, turn)
        start = 0
        if turn.anchor and self._steps(who.agent, turn.anchor.track) is not None:
            running.track, start = turn.anchor.track, turn.anchor.step + 1
        values = {"agent": who.agent, "prompt": running.turn.prompt or "", "tool_result": turn.tool_result or ""}
        if running.track is None:
            path, answer = "no rule", Answer("", ())
        else:
            path = _path(self._owner(who.agent, running.track), running.track)
            steps = self._steps(who.agent, running.track) or []
            answer = self._cut(who.agent, running.track, steps, _skip_stops(steps, start, turn.stops))
        running.answered = answer.fault is None
        parts = answer.parts
        if answer.stop_reason == "end_turn" and not answer.fault and not any(_says(part.step) for part in parts):
            parts = (*parts, Part(Text(text=END_OF_SCRIPT)))
        return Answer(path, parts, values | running.values, answer.stop_reason, answer.fault)

    def compacted(self, who: Who) -> None:
        """`who` has its conversation summarised: the next request may be the same turn in another guise."""
        if who in self._running:
            self._running[who].compacted = True

    def _resume(self, who: Who, turn: Turn) -> _Running:
        """The running turn of `who`, begun anew where `turn` is another one."""
        running = self._running.get(who)
        if running is None or not _same_turn(running, turn):
            begins = not (turn.answers or turn.again or turn.prompt is None)
            track, values = self._choose(who.agent, turn.prompt or "", count=begins)
            running = _Running(turn, track, values)
            self._running.pop(who, None)
            if len(self._running) >= _SESSIONS:
                del self._running[next(iter(self._running))]
            self._running[who] = running
        running.compacted = False
        return running

    def _choose(self, agent: str, prompt: str, *, count: bool) -> tuple[Track | None, dict[str, str]]:
        """The track that answers `prompt`, and the groups of its match."""
        for scope in ("own", "any"):
            script = self._script(agent, scope)
            for index, rule in enumerate(script.rules):
                track = Track(scope, index)
                match = re.search(rule.when or "", prompt)
                if match and (rule.times is None or self._matched[agent, track] < rule.times):
                    self._matched[agent, track] += count
                    return track, values_of(match)
            if script.otherwise:
                return Track(scope, None), {"0": prompt}
        return None, {}

    def _cut(self, agent: str, track: Track, steps: list[AnyStep], start: int) -> Answer:
        """The steps of one response from `start` on: up to a tool call, a stop, a fault that is due, or the end."""
        parts: list[Part] = []
        for index, step in enumerate(steps[start:], start):
            place = Place(track, index)
            if isinstance(step, Fault):
                if self._due(agent, place, step, last=index == len(steps) - 1):
                    return Answer("", tuple(parts), fault=step)
                continue
            if isinstance(step, Stop):
                return Answer("", tuple(parts), stop_reason=step.stop)
            parts.append(Part(step, place))
            if isinstance(step, Tool) and not _goes_on(step, steps[index + 1 : index + 2]):
                return Answer("", tuple(parts), stop_reason="tool_use")
        return Answer("", tuple(parts))

    def _due(self, agent: str, place: Place, fault: Fault, *, last: bool) -> bool:
        """Whether `fault` happens now; if so it is counted."""
        times = fault.times or (None if last else 1)
        due = times is None or self._failed[agent, place] < times
        self._failed[agent, place] += due
        return due

    def _owner(self, agent: str, track: Track) -> str:
        return agent if track.scope == "own" else EVERYONE

    def _script(self, agent: str, scope: str) -> Script:
        own = scope == "own" and agent != EVERYONE
        return self._scenario.agents.get(agent if own else EVERYONE if scope == "any" else "", Script())

    def _steps(self, agent: str, track: Track) -> list[AnyStep] | None:
        """The steps of `track`, or None if the scenario has no such track (any more)."""
        script = self._script(agent, track.scope)
        if track.rule is None:
            return script.otherwise
        rules: list[Rule] = script.rules[track.rule : track.rule + 1]
        return rules[0].steps if rules else None


def _same_turn(running: _Running, turn: Turn) -> bool:
    """Whether `turn` is the running one: its retry, its continuation, or the same prompt after a compaction."""
    if turn.prompt is None:
        return True
    unanswered = bool(turn.answers) or not running.answered
    if turn.prompt == running.turn.prompt and (turn.again or (running.compacted and unanswered)):
        return True
    return unanswered and turn.identity == running.turn.identity


def _skip_stops(steps: list[AnyStep], start: int, stops: int) -> int:
    """The step behind the next `stops` steps that end a response."""
    for index in range(start, len(steps)):
        if not stops:
            return start
        if isinstance(steps[index], Stop):
            stops -= 1
            start = index + 1
    return start if not stops else len(steps)


def _goes_on(tool: Tool, following: list[AnyStep]) -> bool:
    return tool.parallel and any(isinstance(step, Tool) and step.parallel for step in following)


def _says(step: AnyStep) -> bool:
    return isinstance(step, Text | Tool)


def _path(owner: str, track: Track) -> str:
    """Where the track stands in the scenario, written as in its error messages."""
    return f"agents.{owner}." + ("otherwise" if track.rule is None else f"rules[{track.rule}]")
