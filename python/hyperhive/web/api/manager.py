"""The part of the agent API that the manager's socket alone serves: it asks for agents, runs others, reads their logs.

What it may do to others it may not do to itself: it would not be there to hear what became of it.
"""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, FastAPI, Query

from hyperhive.errors import HiveError
from hyperhive.hive.hive import Hive
from hyperhive.names import MANAGER, AgentName
from hyperhive.store import approvals
from hyperhive.web.api.caller import manager_alone
from hyperhive.wire import (
    MAX_LOG_LINES,
    ApprovalAnswer,
    ApprovalsAnswer,
    Id,
    LogsAnswer,
    OperationAnswer,
    SpawnRequest,
    SpawnSpec,
)

#: Seconds that the manager waits for an operation: a stop lets a turn end, which may take 68 of them.
_PATIENCE = 90.0
#: Requests that are listed at most.
_MOST = 200

#: Of each route that only the manager's socket has: refused on every other one, before anything is looked at.
ALONE: Final = [Depends(manager_alone)]

Action = Literal["start", "stop", "restart", "rebuild"]
"""What the manager may do to others."""


def add_manager(app: FastAPI, hive: Hive) -> None:
    """Add the routes."""

    @app.post("/v1/spawn-requests", dependencies=ALONE, status_code=201)
    async def request_spawn(body: SpawnRequest) -> ApprovalAnswer:
        """Ask the operator for a new agent; answered once the request is on disk."""
        spec = SpawnSpec(description=body.description, model=body.model, prompt=body.prompt)
        return approval_answer(await hive.approvals.request_spawn(MANAGER, body.name, spec, body.idempotency_key))

    @app.get("/v1/approvals", dependencies=ALONE)
    async def requests(limit: Annotated[int, Query(ge=1, le=_MOST)] = 20) -> ApprovalsAnswer:
        """What the manager has asked the operator for, newest first."""
        rows = await hive.store.read(approvals.page, None, by=MANAGER, limit=limit)
        return ApprovalsAnswer(approvals=[approval_answer(row) for row in rows])

    @app.post("/v1/approvals/{number}/cancel", dependencies=ALONE)
    async def cancel(number: Id) -> ApprovalAnswer:
        """Take back what the manager has asked for."""
        return approval_answer(await hive.approvals.cancel(number, MANAGER))

    @app.post("/v1/agents/{name}/{action}", dependencies=ALONE)
    async def act(name: AgentName, action: Action) -> OperationAnswer:
        """Start, stop, restart or rebuild another agent; answered when it is done, or still goes on after 90 s."""
        refuse_itself(name)
        row = await hive.actions.do(name, action, MANAGER, _PATIENCE)
        return OperationAnswer(**row.model_dump(include=set(OperationAnswer.model_fields)))

    @app.get("/v1/agents/{name}/logs", dependencies=ALONE)
    async def logs(name: AgentName, lines: Annotated[int, Query(ge=1, le=MAX_LOG_LINES)] = 100) -> LogsAnswer:
        """What another agent's harness printed last, oldest first."""
        refuse_itself(name)
        return LogsAnswer(lines=await hive.journals.last(hive.lifecycle.find(name).name, lines))


def approval_answer(row: Any) -> ApprovalAnswer:  # noqa: ANN401 - a row of the store
    """An approval, as whoever has asked for it is told."""
    return ApprovalAnswer(
        id=row.id,
        kind=row.kind,
        agent=row.agent,
        status=row.status,
        expires_at=row.expires_at,
        commit=row.commit_hash,
        reason=row.reason,
    )


def refuse_itself(name: str) -> None:
    """Refuse what the manager would do to itself.

    Raises:
        HiveError: `not_allowed`.
    """
    if name == MANAGER:
        raise HiveError(
            "not_allowed", "the manager cannot do this to itself", "If it has to be, ask the operator for it"
        )
