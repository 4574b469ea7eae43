"""What a question and an answer may be, and in which words an agent hears of them. Pure.

What agents wrote is quoted line by line, so that it cannot pose as the hive's own words in a message of the hive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hyperhive.clock import rfc3339
from hyperhive.errors import HiveError
from hyperhive.hive.limits import check_text
from hyperhive.wire import MAX_QUESTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyperhive.wire import AskRequest

#: Characters of its own question that the asker is reminded of.
_REMINDER: Final = 500


def check_question(wanted: AskRequest) -> None:
    """Refuse what is no question that somebody could answer.

    Raises:
        HiveError: `malformed`, `body_too_large`.
    """
    check_text("the question", wanted.text, MAX_QUESTION)
    if not wanted.text.strip():
        raise HiveError("malformed", "text: the question is empty", "Ask something")
    for option in wanted.options:
        check_text("an option", option, MAX_QUESTION)
        if len(option.splitlines()) != 1 or not option.strip():
            raise HiveError("malformed", "options: each is one line that says something", "Put the rest into the text")
    if len(set(wanted.options)) != len(wanted.options):
        raise HiveError("malformed", "options: one of them stands there twice", "Give each once")
    if wanted.default is not None:
        check_text("the default", wanted.default, MAX_QUESTION)
        if wanted.options and wanted.default not in wanted.options:
            what = f"default: {wanted.default[:200]!r} is none of the options"
            raise HiveError("malformed", what, "Take one of the options as the default, or leave it out")
        if not wanted.default.strip():
            raise HiveError("malformed", "default: it is empty", "Leave it out")


def check_answer(row: Any, choices: Sequence[str], text: str) -> str:  # noqa: ANN401 - a row of the store
    """The answer to a question: a line for each choice, then the text.

    Raises:
        HiveError: `malformed`, `body_too_large`.
    """
    check_text("the answer", text, MAX_QUESTION)
    chosen = list(dict.fromkeys(choices))
    for choice in chosen:
        if choice not in row.options:
            hint = f"The options are: {', '.join(row.options)}" if row.options else "It has none: answer with a text"
            raise HiveError("malformed", f"choices: {choice!r} is no option of question {row.id}", hint)
    if len(chosen) > 1 and not row.multi:
        raise HiveError("malformed", f"choices: question {row.id} takes one choice", "Choose one")
    parts = [*chosen, text] if text.strip() else chosen
    if not parts:
        raise HiveError("malformed", "the answer is empty", "Give a choice, a text, or both")
    return "\n".join(parts)


def over(row: Any) -> HiveError:  # noqa: ANN401 - a row of the store
    """The error for whoever comes too late."""
    by = f" by {row.ended_by}" if row.ended_by else ""
    at = f" at {rfc3339(row.ended_at)}" if row.ended_at else ""
    return HiveError("wrong_state", f"question {row.id} was {_DONE[row.status]}{by}{at}", "There is nothing left to do")


def asked_body(row: Any) -> str:  # noqa: ANN401 - a row of the store
    """The message to an agent that is asked something."""
    lines = [f"{row.asker} asks you. This is question {row.id}:", quoted(row.text)]
    if row.options:
        how = "one or several of them" if row.multi else "one of them"
        lines += [f"Answer with {how}, or in words of your own:", quoted("\n".join(row.options))]
    until = f" It can be answered until {rfc3339(row.deadline)}." if row.deadline else ""
    lines.append(f'To answer it: answer(id={row.id}, text="...").{until}')
    return "\n".join(lines)


def end_body(row: Any, why: str | None = None) -> str:  # noqa: ANN401 - a row of the store
    """The message to the asker with the end of its question.

    Args:
        row: the question as it is stored with that end.
        why: the reason of a cancellation, where it is not somebody's wish.
    """
    question = f"your question {row.id} to {row.recipient}"
    if row.status == "answered":
        lines = [f"{question.capitalize()} was answered by {row.ended_by}:", quoted(row.answer)]
    elif row.status == "cancelled":
        lines = [f"[cancelled] {question.capitalize()} was cancelled {why or f'by {row.ended_by}'}."]
    elif row.answer is None:
        lines = [f"[expired] Nobody has answered {question} by {rfc3339(row.deadline)}."]
    else:
        lines = [f"Nobody has answered {question} by {rfc3339(row.deadline)}. Your default holds:", quoted(row.answer)]
    asked = row.text if len(row.text) <= _REMINDER else row.text[:_REMINDER] + " …"
    return "\n".join([*lines, "You had asked:", quoted(asked)])


def quoted(text: str) -> str:
    """What somebody wrote, each line marked."""
    return "\n".join(f"| {line}" for line in text.splitlines())


_DONE: Final = {"answered": "answered", "cancelled": "cancelled", "expired": "not answered in time"}
