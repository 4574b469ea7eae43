"""The part of the operator API about reminders and schedules of agents, and what an agent has open."""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
from typing import Annotated

from fastapi import FastAPI, Query

from hyperhive.hive import loose_ends, views
from hyperhive.hive.hive import Hive
from hyperhive.names import OPERATOR
from hyperhive.shapes import ReminderRow, RemindersAnswer
from hyperhive.store import reminders
from hyperhive.store.tables import ReminderState
from hyperhive.wire import Id, LooseEndsAnswer


def add_reminders(app: FastAPI, hive: Hive) -> None:
    """Add the routes."""

    @app.get("/api/reminders")
    async def listing(
        status: ReminderState | None = None,
        agent: str | None = None,
        limit: Annotated[int, Query(ge=1, le=2000)] = 200,
    ) -> RemindersAnswer:
        """Reminders of agents, newest first, and the schedules that the settings declare."""
        rows = await hive.store.read(reminders.page, status, agent, limit)
        declared = [row for row in hive.schedules.rows() if agent in {None, row.agent}]
        return RemindersAnswer(reminders=[views.reminder_row(row) for row in rows], schedules=declared)

    @app.delete("/api/reminders/{number}")
    async def cancel(number: Id) -> ReminderRow:
        """Cancel a reminder of an agent; it is not told."""
        return views.reminder_row(await hive.reminders.cancel(number, OPERATOR))

    @app.get("/api/agents/{name}/loose-ends")
    async def open_ends(name: str) -> LooseEndsAnswer:
        """What an agent has open."""
        return await loose_ends.of_agent(hive, hive.lifecycle.find(name).name)
