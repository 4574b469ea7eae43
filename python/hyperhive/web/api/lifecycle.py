"""The part of the operator API that changes what runs: operations on agents, their queue, and tombstones."""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
import asyncio
from typing import Any

from fastapi import FastAPI, Response

from hyperhive.errors import HiveError
from hyperhive.hive import tombstones
from hyperhive.hive.hive import Hive
from hyperhive.hive.operations import PATIENCE
from hyperhive.names import OPERATOR
from hyperhive.shapes import (
    OperationRow,
    OperationsAnswer,
    PurgeRequest,
    ReconcileAnswer,
    SpawnOrder,
    TombstonesAnswer,
    WaitingAnswer,
)


def _answered(row: OperationRow, response: Response) -> OperationRow:
    response.status_code = 200 if row.ended_at else 202
    return row


def add_lifecycle(app: FastAPI, hive: Hive) -> None:
    """Add the routes that change what runs."""
    _add_tombstones(app, hive)

    @app.post("/api/agents")
    async def spawn(body: SpawnOrder, response: Response) -> OperationRow:
        """Make an agent, on the operator's own decision; 202 where it is not there after 5 s."""
        return _answered(await hive.spawns.spawn(body.name, body, OPERATOR), response)

    @app.post("/api/agents/{name}/{action}")
    async def act(name: str, action: str, response: Response) -> OperationRow:
        """Start, stop, restart, rebuild, pause, resume, destroy, kick or cancel; 202 where it goes on after 5 s."""
        return _answered(await hive.actions.do(name, action), response)

    @app.get("/api/operations")
    async def operations() -> OperationsAnswer:
        """What is queued, what runs and what has ended, newest first."""
        return OperationsAnswer(operations=hive.operations.listing())

    @app.get("/api/operations/{number}")
    async def operation(number: int) -> OperationRow:
        """What became of an operation."""
        return hive.operations.get(number)

    @app.post("/api/reconcile")
    async def reconcile() -> ReconcileAnswer:
        """Bring everything to what is wanted; answered after a few seconds, whether or not all of it is done."""
        started, stopped, work = await hive.lifecycle.reconcile()
        if work:
            await asyncio.wait(work, timeout=PATIENCE)
        return ReconcileAnswer(started=started, stopped=stopped)

    @app.get("/api/waiting")
    async def waiting() -> WaitingAnswer:
        """What waits for the operator, oldest first."""
        return WaitingAnswer(waiting=hive.waiting.items())

    @app.post("/api/waiting/{number}/dismiss")
    async def dismiss(number: str) -> dict[str, Any]:
        """Take something that was only to be seen off the list of what waits."""
        hive.waiting.dismiss(number)
        return {"ok": True}


def _add_tombstones(app: FastAPI, hive: Hive) -> None:
    @app.get("/api/tombstones")
    async def listing() -> TombstonesAnswer:
        """Agents that are no more, and what is kept of each."""
        return TombstonesAnswer(tombstones=await tombstones.listing(hive))

    @app.post("/api/tombstones/{name}/revive")
    async def revive(name: str, response: Response) -> OperationRow:
        """Make an agent of a tombstone again, with its login and its notes."""
        return _answered(await hive.actions.revive(name), response)

    @app.post("/api/tombstones/{name}/purge")
    async def purge(name: str, body: PurgeRequest, response: Response) -> OperationRow:
        """Wipe login, notes and history of a tombstone; nothing brings them back."""
        if body.name != name:
            hint = f"Purging '{name}' asks for its name in the body"
            raise HiveError("malformed", f"the name in the body is {body.name!r}", hint)
        return _answered(await hive.actions.purge(name), response)
