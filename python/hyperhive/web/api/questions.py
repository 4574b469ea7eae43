"""The part of the operator API about questions: all of them are listed, any that is open is answered or cancelled."""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
from typing import Annotated

from fastapi import FastAPI, Query

from hyperhive.hive import views
from hyperhive.hive.hive import Hive
from hyperhive.names import OPERATOR
from hyperhive.shapes import QuestionRow, QuestionsAnswer
from hyperhive.store import questions
from hyperhive.store.tables import QuestionState
from hyperhive.wire import AnswerRequest, Id


async def open_questions(hive: Hive, asker: str | None = None) -> list[QuestionRow]:
    """The questions that are open (of one asker), newest first."""
    return [views.question_row(row) for row in await hive.store.read(questions.page, "open", asker)]


def add_questions(app: FastAPI, hive: Hive) -> None:
    """Add the routes about questions."""

    @app.get("/api/questions")
    async def listing(
        status: QuestionState | None = None, limit: Annotated[int, Query(ge=1, le=2000)] = 200
    ) -> QuestionsAnswer:
        """Questions of agents, newest first."""
        rows = await hive.store.read(questions.page, status, limit=limit)
        return QuestionsAnswer(questions=[views.question_row(row) for row in rows])

    @app.post("/api/questions/{number}/answer")
    async def answer(number: Id, body: AnswerRequest) -> QuestionRow:
        """Answer a question, whoever was asked; answered once the message to its asker is on disk."""
        return views.question_row(await hive.questions.answer(number, OPERATOR, body.choices, body.text))

    @app.post("/api/questions/{number}/cancel")
    async def cancel(number: Id) -> QuestionRow:
        """Cancel a question; its asker is told."""
        return views.question_row(await hive.questions.cancel(number, OPERATOR))
