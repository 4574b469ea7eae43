"""The commands about questions, and the library's methods, against a stand-in operator API."""

from __future__ import annotations

import io
from typing import Any

import pytest
from operator_stand_in import AT, StandIn, question, served

from hyperhive.cli import main
from hyperhive.client import HiveClient
from hyperhive.errors import HiveError


def _sent(hive: StandIn) -> Any:  # noqa: ANN401 - JSON
    return hive.requests[-1][1]


def test_a_listing_shows_what_can_be_answered(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/questions"] = {
        "questions": [
            question(5, "And how?\x1b[31m", options=["a", "b"], multi=True, to="bob"),
            question(4, "Which?\nNow?", options=["red", "blue"], deadline=AT, default="red"),
        ]
    }
    assert main(["questions"]) == 0
    out, err = capsys.readouterr()
    lines = [line.strip() for line in out.splitlines()]
    assert "alice → operator  question 4  until " in lines[0]
    assert lines[1:6] == ["Which?", "Now?", "( ) red", "( ) blue", "or else: red"]
    assert lines[6].endswith("alice → bob  question 5")
    assert lines[7:] == ["And how?", "[ ] a", "[ ] b"]
    assert "hyperhive answer ID" in err


def test_what_has_ended_says_how(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/questions"] = {
        "questions": [
            question(3, status="expired", deadline=AT, default="red", answer="red"),
            question(2, status="cancelled", answeredBy="alice"),
            question(1, status="answered", answeredBy="operator", answer="red\nbut later"),
        ]
    }
    assert main(["questions", "--all"]) == 0
    out, err = capsys.readouterr()
    lines = [line.strip() for line in out.splitlines()]
    assert lines[2:5] == ["answered by operator:", "red", "but later"]
    assert lines[7] == "cancelled by alice"
    assert lines[10:] == ["expired:", "red"]
    assert err == "", "there is nothing to answer"


@pytest.mark.parametrize(("words", "said"), [([], "No question is open."), (["--all"], "Nobody has asked anything.")])
def test_no_questions(hive: StandIn, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    hive.answers["GET /api/questions"] = {"questions": []}
    assert main(["questions", *words]) == 0
    assert capsys.readouterr().err.strip() == said


def test_an_answer_is_a_text_or_choices_or_both(hive: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["answer", "4", "neither"]) == 0
    assert _sent(hive) == {"choices": [], "text": "neither"}
    assert main(["answer", "4", "--choice", "a", "--choice", "b"]) == 0
    assert _sent(hive) == {"choices": ["a", "b"], "text": ""}
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("grün\n".encode())))
    assert main(["answer", "4", "-", "--choice", "a"]) == 0
    assert _sent(hive) == {"choices": ["a"], "text": "grün"}
    asked = len(hive.requests)
    assert main(["answer", "4"]) == 2
    assert len(hive.requests) == asked


def test_whoever_comes_second_is_refused(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["POST /api/questions/4/answer"] = HiveError("wrong_state", "question 4 was answered by bob")
    assert main(["answer", "4", "x"]) == 4
    assert "answered by bob" in capsys.readouterr().err
    hive.answers["POST /api/questions/4/cancel"] = HiveError("unknown_question", "there is no question 4")
    assert main(["cancel-question", "4"]) == 2


async def test_the_library_has_the_same() -> None:
    stand_in = StandIn()
    async with served(stand_in) as path, HiveClient(path) as client:
        (row,) = await client.questions(status="open", limit=5)
        assert (row.id, row.asker, row.status, row.default) == (4, "alice", "open", None)
        assert (await client.answer(4, "yes", choices=["a"])).answered_by == "operator"
        assert _sent(stand_in) == {"choices": ["a"], "text": "yes"}
        assert (await client.cancel_question(4)).status == "cancelled"
        assert (await client.state()).questions == [], "an older hive does not say"
