"""The part of the operator API that reaches an agent's Claude: its sign-in, its model, its conversation."""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
from fastapi import FastAPI, Response

from hyperhive.hive.hive import Hive
from hyperhive.shapes import LoginCodeRequest, ModelRequest, OperationRow
from hyperhive.wire import Ok


def add_sessions(app: FastAPI, hive: Hive) -> None:
    """Add those routes. Before the actions, whose route takes every word."""
    _add_login(app, hive)

    def answered(row: OperationRow, response: Response) -> OperationRow:
        response.status_code = 200 if row.ended_at else 202
        return row

    @app.post("/api/agents/{name}/model")
    async def model(name: str, body: ModelRequest, response: Response) -> OperationRow:
        """Choose the model of an agent's next turns, until its settings name another one."""
        return answered(await hive.sessions.model(name, body.model), response)

    @app.post("/api/agents/{name}/compact")
    async def compact(name: str, response: Response) -> OperationRow:
        """Let Claude shorten an agent's conversation; refused while a turn runs."""
        return answered(await hive.sessions.compact(name), response)

    @app.post("/api/agents/{name}/new-session")
    async def new_session(name: str, response: Response) -> OperationRow:
        """Give an agent's conversation up; refused while a turn runs."""
        return answered(await hive.sessions.new_session(name), response)


def _add_login(app: FastAPI, hive: Hive) -> None:
    @app.post("/api/agents/{name}/login/start")
    async def start(name: str) -> Ok:
        """Begin to sign an agent's Claude in; an attempt that is under way is ended. The agent's row gets the link."""
        await hive.sessions.login(name, "start")
        return Ok()

    @app.post("/api/agents/{name}/login/code")
    async def code(name: str, body: LoginCodeRequest) -> Ok:
        """Give the code that the page behind the link has shown."""
        await hive.sessions.login(name, "code", code=body.code)
        return Ok()

    @app.post("/api/agents/{name}/login/cancel")
    async def cancel(name: str) -> Ok:
        """End the attempt."""
        await hive.sessions.login(name, "cancel")
        return Ok()
