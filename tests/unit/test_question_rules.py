"""What a question and an answer may be, and the words in which agents hear of them."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError

from hyperhive.errors import HiveError
from hyperhive.hive.question_rules import asked_body, check_answer, check_question, end_body, over
from hyperhive.wire import MAX_QUESTION, AnswerRequest, AskRequest

_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def question(**more: Any) -> Any:  # noqa: ANN401 - a row
    given_ = {
        "id": 7, "asker": "alice", "recipient": "bob", "text": "Which?", "options": [], "multi": False,
        "deadline": None, "status": "open", "answer": None, "ended_by": None, "ended_at": None,
    }  # fmt: skip
    return SimpleNamespace(**(given_ | more))


def code(work: Any, *arguments: Any) -> str:  # noqa: ANN401
    with pytest.raises(HiveError) as caught:
        work(*arguments)
    return caught.value.code


@pytest.mark.parametrize(
    "asked",
    [
        {"text": " \n"},
        {"text": "a\0b"},
        {"text": "\ud800"},
        {"text": "x", "options": ["two\nlines"]},
        {"text": "x", "options": [" "]},
        {"text": "x", "options": ["\ud800"]},
        {"text": "x", "options": ["a", "a"]},
        {"text": "x", "options": ["a", "b"], "default": "c"},
        {"text": "x", "default": " "},
    ],
)
def test_what_nobody_could_answer_is_malformed(asked: dict[str, Any]) -> None:
    whole = {"to": "operator", "options": [], "default": None} | asked
    assert code(check_question, AskRequest.model_construct(**whole)) == "malformed"


@pytest.mark.parametrize("field", ["text", "default"])
def test_a_question_and_its_default_have_eight_kibibytes(field: str) -> None:
    check_question(AskRequest.model_validate({"text": "x", field: "ü" * (MAX_QUESTION // 2)}))
    assert code(check_question, AskRequest.model_validate({"text": "x", field: "x" * (MAX_QUESTION + 1)})) == (
        "body_too_large"
    )


@pytest.mark.parametrize(
    "asked",
    [
        {"options": ["x"] * 11},
        {"options": ["x" * 201]},
        {"options": [""]},
        {"ttlSeconds": 0.9},
        {"ttlSeconds": 7 * 86400 + 1},
        {"ttlSeconds": "NaN"},
        {"urgent": True},
        {"idempotencyKey": ""},
    ],
)
def test_limits_of_the_fields(asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AskRequest.model_validate({"text": "x", **asked})
    with pytest.raises(ValidationError):
        AnswerRequest.model_validate({"text": "x", "by": "operator"})


def test_a_default_is_free_where_there_are_no_options() -> None:
    check_question(AskRequest(text="x", default="whatever\nyou like"))
    check_question(AskRequest(text="x", options=["a", "b"], default="b"))


def test_an_answer_is_of_the_options_or_in_other_words() -> None:
    one, several = question(options=["a", "b", "c"]), question(options=["a", "b", "c"], multi=True)
    assert check_answer(one, ["b"], "") == "b"
    assert check_answer(one, ["b", "b"], " ") == "b"
    assert check_answer(one, [], "neither") == "neither"
    assert check_answer(one, ["a"], "but later") == "a\nbut later"
    assert check_answer(several, ["c", "a"], "") == "c\na"
    for row, choices, text in ((one, ["a", "b"], ""), (one, ["d"], ""), (question(), ["a"], ""), (one, [], " \n")):
        assert code(check_answer, row, choices, text) == "malformed"
    assert code(check_answer, one, [], "x" * (MAX_QUESTION + 1)) == "body_too_large"


def test_the_one_who_is_asked_reads_what_and_how() -> None:
    text = asked_body(question(options=["red", "blue"], deadline=_AT))
    assert text.splitlines() == [
        "alice asks you. This is question 7:",
        "| Which?",
        "Answer with one of them, or in words of your own:",
        "| red",
        "| blue",
        'To answer it: answer(id=7, text="..."). It can be answered until 2026-01-02T03:04:05.000Z.',
    ]
    assert "one or several" in asked_body(question(options=["red", "blue"], multi=True))
    assert "until" not in asked_body(question())


def test_each_end_names_the_question() -> None:
    ended = {"ended_at": _AT, "ended_by": "operator", "deadline": _AT}
    texts = {
        "answered": end_body(question(status="answered", answer="red\nor so", **ended)),
        "cancelled": end_body(question(status="cancelled", **ended)),
        "purged": end_body(question(status="cancelled", **ended), "because 'bob' was purged"),
        "expired": end_body(question(status="expired", **ended)),
        "default": end_body(question(status="expired", answer="blue", **ended)),
    }
    for text in texts.values():
        assert "our question 7 to bob" in text
        assert text.endswith("You had asked:\n| Which?")
    assert texts["answered"].startswith("Your question 7 to bob was answered by operator:\n| red\n| or so\n")
    assert texts["cancelled"].startswith("[cancelled] Your question 7 to bob was cancelled by operator.")
    assert "because 'bob' was purged." in texts["purged"]
    assert texts["expired"].startswith("[expired] ")
    assert "Your default holds:\n| blue\n" in texts["default"]
    assert "[expired]" not in texts["default"]


@given(some.text(max_size=200), some.text(min_size=1, max_size=200))
def test_nobodys_words_can_pose_as_the_hives(asked: str, answered: str) -> None:
    row = question(text=asked, answer=answered, status="answered", ended_by="bob")
    own = [line for line in end_body(row).splitlines() if not line.startswith("| ")]
    assert [line for line in own if line] == ["Your question 7 to bob was answered by bob:", "You had asked:"]
    own = [line for line in asked_body(row).splitlines() if not line.startswith("| ")]
    assert [line for line in own if line] == [
        "alice asks you. This is question 7:", 'To answer it: answer(id=7, text="...").',
    ]  # fmt: skip


def test_a_long_question_is_not_repeated_whole() -> None:
    text = end_body(question(text="x" * 9000, status="cancelled", ended_by="alice"))
    assert len(text) < 1000


def test_whoever_comes_too_late_is_told_who_was_first() -> None:
    error = over(question(status="answered", ended_by="bob", ended_at=_AT))
    assert (error.code, error.message) == (
        "wrong_state", "question 7 was answered by bob at 2026-01-02T03:04:05.000Z",
    )  # fmt: skip
    assert "not answered in time" in over(question(status="expired", ended_at=_AT)).message
