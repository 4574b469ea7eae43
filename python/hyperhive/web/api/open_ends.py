"""The part of the agent API about reminders and loose ends."""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
from typing import Any

from fastapi import FastAPI

from hyperhive.hive import loose_ends
from hyperhive.hive.hive import Hive
from hyperhive.web.api.caller import Caller
from hyperhive.wire import Id, LooseEndKind, LooseEndsAnswer, Ok, ReminderAnswer, RemindRequest


def add_open_ends(app: FastAPI, hive: Hive) -> None:
    """Add the routes."""

    @app.post("/v1/reminders", status_code=201)
    async def remind(agent: Caller, body: RemindRequest) -> ReminderAnswer:
        """Send the calling agent a message later; answered once it is on disk."""
        return _reminder(await hive.reminders.remember(agent.name, body))

    @app.delete("/v1/reminders/{number}")
    async def forget(agent: Caller, number: Id) -> ReminderAnswer:
        """Cancel a reminder of the calling agent."""
        return _reminder(await hive.reminders.cancel(number, agent.name))

    @app.get("/v1/loose-ends")
    async def open_ends(agent: Caller) -> LooseEndsAnswer:
        """What the calling agent has open."""
        return await loose_ends.of_agent(hive, agent.name)

    @app.delete("/v1/loose-ends/{kind}/{number}")
    async def cancel(agent: Caller, kind: LooseEndKind, number: Id) -> Ok:
        """Cancel something that the calling agent has open."""
        await loose_ends.cancel(hive, agent.name, kind, number)
        return Ok()


def _reminder(row: Any) -> ReminderAnswer:  # noqa: ANN401 - a row of the store
    return ReminderAnswer(id=row.id, at=row.due_at, status=row.status)
