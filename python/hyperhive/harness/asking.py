"""The words of the tools `ask`, `ask_operator` and `answer`: what they take, and what Claude reads as their result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hyperhive import wire
from hyperhive.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What `ask_operator` takes: all but the recipient.
ASK_OPERATOR: Final[dict[str, Any]] = {
    "question": {"type": "string", "minLength": 1, "description": "at most 8 KiB; say all that is needed to answer it"},
    "options": {
        "type": "array",
        "maxItems": wire.MAX_OPTIONS,
        "items": {"type": "string", "minLength": 1, "maxLength": wire.MAX_OPTION},
        "description": "answers that you propose, one line each; other words may come back",
    },
    "multi": {"type": "boolean", "description": "true: several options may be chosen"},
    "ttl_seconds": {
        "type": "number",
        "minimum": 1,
        "maximum": wire.MAX_TTL,
        "description": "when it expires, at most 7 days; if absent, it stays open",
    },
    "default": {
        "type": "string",
        "description": "the answer that holds if nobody has answered within ttl_seconds; one of the options, if any",
    },
}
ASK: Final[dict[str, Any]] = {
    **ASK_OPERATOR,
    "to": {"type": "string", "maxLength": 64, "description": "an agent's name; operator if absent"},
}
ANSWER: Final[dict[str, Any]] = {
    "id": {"type": "integer", "minimum": 1, "description": "the number of the question"},
    "text": {"type": "string", "minLength": 1, "description": "your answer, at most 8 KiB"},
}


def ask_request(arguments: Mapping[str, Any], key: str) -> wire.AskRequest:
    """What is asked of the hive.

    Args:
        arguments: of the tool; they follow its schema.
        key: the same for every try of one call.
    """
    given = {
        name: arguments[name] for name in ("to", "options", "multi", "ttl_seconds", "default") if name in arguments
    }
    return wire.AskRequest(text=arguments["question"], idempotency_key=key, **given)


def asked_text(asked: wire.QuestionAnswer, request: wire.AskRequest) -> str:
    """The result of `ask`."""
    until = ""
    if asked.deadline is not None:
        holds = "your default holds" if request.default is not None else "it expires, and you are told"
        until = f" At {rfc3339(asked.deadline)} {holds}."
    elif request.default is not None:
        until = " It does not expire without ttl_seconds, so the default is of no use."
    return (
        f"Asked {asked.to} as question {asked.id}.{until} The answer comes as a message that names the question: "
        "do not wait for it, go on with something else or end your turn."
    )
