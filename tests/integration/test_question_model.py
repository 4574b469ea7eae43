"""Questions beside a model of them: asked, answered, cancelled, expired, and restarted under, in whatever order."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drawn import drawn
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from test_questions import QuestionBed

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Coroutine

_AGENTS = ("alice", "bob", "carol")
_WHO = st.sampled_from([*_AGENTS, "operator"])
_OPTIONS = ["red", "blue"]


@dataclass
class Asked:
    """What the model knows of a question."""

    asker: str
    to: str
    options: bool
    multi: bool
    deadline: datetime | None
    default: str | None
    status: str = "open"
    answer: str | None = None
    by: str | None = None
    why: str | None = None


class QuestionModel(RuleBasedStateMachine):
    """The questions of a hive beside a model of them."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.place = Path(tempfile.mkdtemp(prefix="hh-"))
        self.bed = QuestionBed(self.place)
        self.asked: dict[int, Asked] = {}
        self.keys: dict[tuple[str, str], int] = {}
        self._run(self.bed.open())

    def teardown(self) -> None:
        self._run(self.bed.close())
        self.runner.close()
        shutil.rmtree(self.place)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401
        return self.runner.run(work)

    def _try(self, work: Coroutine[Any, Any, Any]) -> str:
        try:
            self._run(work)
        except HiveError as error:
            return error.code
        return "done"

    # --- what is done

    @rule(
        asker=st.sampled_from(_AGENTS),
        to=st.sampled_from(["bob", "carol", "operator"]),
        ttl=st.sampled_from([None, 5, 60, 7 * 86400]),
        options=st.booleans(),
        multi=st.booleans(),
        default=st.booleans(),
        key=st.sampled_from([None, None, "k"]),
    )
    def ask(  # noqa: PLR0913, PLR0917 - hypothesis draws them
        self,
        asker: str,
        to: str,
        ttl: int | None,
        options: bool,  # noqa: FBT001
        multi: bool,  # noqa: FBT001
        default: bool,  # noqa: FBT001
        key: str | None,
    ) -> None:
        more: dict[str, Any] = {"ttl_seconds": ttl, "options": _OPTIONS if options else [], "multi": multi}
        more |= {"default": "red" if default else None, "idempotency_key": key}
        if asker == to:
            repeats = key is not None and (asker, key) in self.keys
            assert self._try(self.bed.ask(asker, to, **more)) == ("done" if repeats else "not_allowed")
            return
        row = self._run(self.bed.ask(asker, to, **more))
        if key is not None and (asker, key) in self.keys:
            assert row.id == self.keys[asker, key]
            return
        assert row.id == len(self.asked) + 1
        deadline = None if ttl is None else self.bed.clock() + timedelta(seconds=ttl)
        self.asked[row.id] = Asked(asker, to, options, multi, deadline, more["default"])
        if key is not None:
            self.keys[asker, key] = row.id

    @precondition(lambda self: self.asked)
    @rule(
        data=st.data(), by=_WHO, choices=st.lists(st.sampled_from([*_OPTIONS, "green"]), max_size=2), text=st.booleans()
    )
    def answer(self, data: st.DataObject, by: str, choices: list[str], text: bool) -> None:  # noqa: FBT001
        number = data.draw(st.sampled_from(sorted(self.asked)))
        question, words = self.asked[number], "in words" if text else ""
        got = self._try(self.bed.questions.answer(number, by, choices, words))
        chosen = list(dict.fromkeys(choices))
        lines = [*chosen, words] if words else chosen
        allowed = set(_OPTIONS) if question.options else set()
        if by not in {"operator", question.to}:
            assert got == "not_allowed"
        elif not set(chosen) <= allowed or (len(chosen) > 1 and not question.multi) or not lines:
            assert got == "malformed"
        elif question.status != "open":
            again = (question.status, question.by, question.answer) == ("answered", by, "\n".join(lines))
            assert got == ("done" if again and by != "operator" else "wrong_state")
        else:
            assert got == "done"
            question.status, question.by, question.answer = "answered", by, "\n".join(lines)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), by=_WHO)
    def cancel(self, data: st.DataObject, by: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.asked)))
        question = self.asked[number]
        got = self._try(self.bed.questions.cancel(number, by))
        if by not in {"operator", question.asker}:
            assert got == "not_allowed"
        elif question.status != "open":
            again = (question.status, question.by) == ("cancelled", by) and by != "operator" and not question.why
            assert got == ("done" if again else "wrong_state")
        else:
            assert got == "done"
            question.status, question.by = "cancelled", by

    @rule(name=st.sampled_from(["bob", "carol"]))
    def who_is_asked_is_destroyed(self, name: str) -> None:
        self._run(self.bed.questions.gone({name}))
        for question in self.asked.values():
            if question.status == "open" and question.to == name:
                question.status, question.by, question.why = "cancelled", "operator", f"'{name}' was destroyed"

    @rule(seconds=st.sampled_from([1, 5, 60, 7 * 86400]), restart=st.sampled_from([None, "kill", "stop"]))
    def time_passes(self, seconds: int, restart: str | None) -> None:
        """Also while the hive is down: then what is due is settled at its start."""
        if restart is None:
            self._run(self.bed.pass_by(seconds))
        else:
            self.bed.questions.deadlines.close()
            self.bed.clock.advance(seconds)
            self._run(self.bed.restart(kill=restart == "kill"))
        for question in self.asked.values():
            if question.status == "open" and question.deadline is not None and question.deadline <= self.bed.clock():
                question.status, question.by, question.answer = "expired", None, question.default

    # --- what holds at all times

    @invariant()
    def each_has_one_end_and_its_asker_one_word_of_it(self) -> None:
        ends: dict[str, list[str]] = {name: [] for name in _AGENTS}
        for number, question in self.asked.items():
            row = self._run(self.bed.get(number))
            found = (row.asker, row.recipient, row.status, row.answer, row.ended_by)
            assert found == (question.asker, question.to, question.status, question.answer, question.by), number
            if question.status != "open":
                ends[question.asker].append(f"uestion {number} to {question.to}")
        for name, wanted in ends.items():
            words = [word for word in self._run(self.bed.stored(name)) if "asks you. This is question" not in word]
            assert len(words) == len(wanted)
            for one in wanted:
                assert sum(one + " " in word.split("\n")[0] for word in words) == 1, one


TestQuestionModel = QuestionModel.TestCase
TestQuestionModel.settings = drawn(
    20,
    stateful_step_count=25,
    # A failure is shown as it was found: to shorten it would take minutes.
    phases=[phase for phase in Phase if phase is not Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
