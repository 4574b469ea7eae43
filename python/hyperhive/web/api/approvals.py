"""The part of the operator API about approvals: listed, shown whole, decided; and the operator's own requests."""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
from typing import Annotated, Literal

from fastapi import FastAPI, Query
from fastapi.responses import PlainTextResponse

from hyperhive.hive import views
from hyperhive.hive.approval_rules import OPEN, UNDER_WAY
from hyperhive.hive.build_logs import build_log
from hyperhive.hive.hive import Hive
from hyperhive.names import OPERATOR
from hyperhive.shapes import ApprovalRow, ApprovalsAnswer, ApproveRequest, DenyRequest
from hyperhive.store import approvals
from hyperhive.store.tables import ApprovalState
from hyperhive.wire import Id, SpawnRequest, SpawnSpec


async def open_approvals(hive: Hive) -> list[ApprovalRow]:
    """The approvals that are not over, newest first, with the beginning of what is long."""
    rows = await hive.store.read(approvals.page, (*OPEN, *UNDER_WAY))
    return [views.approval_row(row, whole=False) for row in rows]


def add_approvals(app: FastAPI, hive: Hive) -> None:
    """Add the routes about approvals."""

    @app.get("/api/approvals")
    async def listing(
        status: ApprovalState | Literal["open"] | None = None,
        agent: str | None = None,
        limit: Annotated[int, Query(ge=1, le=2000)] = 200,
    ) -> ApprovalsAnswer:
        """Requests that need the operator's yes, newest first; with the beginning of what is long.

        `open` are those that are not over: in one of the states out of which something is still to come.
        """
        wanted = None if status is None else (*OPEN, *UNDER_WAY) if status == "open" else (status,)
        rows = await hive.store.read(approvals.page, wanted, agent=agent, limit=limit)
        return ApprovalsAnswer(approvals=[views.approval_row(row, whole=False) for row in rows])

    @app.get("/api/approvals/{number}")
    async def one(number: Id) -> ApprovalRow:
        """One of them, whole."""
        return views.approval_row(await hive.approvals.find(number))

    @app.get("/api/approvals/{number}/log", response_class=PlainTextResponse)
    async def log(number: Id) -> PlainTextResponse:
        """All that the builder said of a proposal, as text; 1 MiB of it at most."""
        return PlainTextResponse(await build_log(hive, number))

    @app.post("/api/approvals/{number}/approve")
    async def approve(number: Id, body: ApproveRequest) -> ApprovalRow:
        """Say yes, of a commit by the hash that was shown; answered once it is on disk, carried out from then on."""
        row = await hive.approvals.approve(number, OPERATOR, body.commit, body.reason)
        return views.approval_row(row, whole=False)

    @app.post("/api/approvals/{number}/deny")
    async def deny(number: Id, body: DenyRequest | None = None) -> ApprovalRow:
        """Say no; whoever asked is told why."""
        row = await hive.approvals.deny(number, OPERATOR, None if body is None else body.reason)
        return views.approval_row(row, whole=False)

    @app.post("/api/approvals/{number}/cancel")
    async def cancel(number: Id) -> ApprovalRow:
        """Take back what the operator has asked for."""
        return views.approval_row(await hive.approvals.cancel(number, OPERATOR), whole=False)

    @app.post("/api/spawn-requests", status_code=201)
    async def request_spawn(body: SpawnRequest) -> ApprovalRow:
        """Ask for a new agent as the operator, to be decided like any other request."""
        spec = SpawnSpec(description=body.description, model=body.model, prompt=body.prompt)
        row = await hive.approvals.request_spawn(OPERATOR, body.name, spec, body.idempotency_key)
        return views.approval_row(row, whole=False)
