"""Questions."""

from __future__ import annotations

from pydantic import Field

from hyperhive.clock import Instant
from hyperhive.wire import Answer


class QuestionRow(Answer):
    """A question of an agent to the operator or to another agent; `status` is one of `open answered cancelled expired`.

    `answer` has a line for each choice, then the text; of one that expired it is the default, if one was declared.
    `answered_by` and `answered_at` are of whatever end it had: who answered or cancelled it, nobody where it expired.
    """

    id: int
    asker: str
    to: str
    text: str
    options: list[str] = Field(default_factory=list)
    multi: bool = False
    asked_at: Instant
    deadline: Instant | None = None
    default: str | None = None
    status: str
    answer: str | None = None
    answered_by: str | None = None
    answered_at: Instant | None = None


class QuestionsAnswer(Answer):
    """`GET /api/questions`, newest first."""

    questions: list[QuestionRow]
