"""The part of the agent API that the manager's socket alone serves: it asks for agents, runs others, reads their logs.

What it may do to others it may not do to itself: it would not be there to hear what became of it.
"""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
from typing import Annotated, Final, Literal

from fastapi import Depends, FastAPI, Query

from hyperhive.errors import HiveError
from hyperhive.hive.hive import Hive
from hyperhive.names import MANAGER, AgentName
from hyperhive.web.api.caller import manager_alone
from hyperhive.wire import MAX_LOG_LINES, LogsAnswer, OperationAnswer

#: Seconds that the manager waits for an operation: a stop lets a turn end, which may take 68 of them.
_PATIENCE = 90.0

#: Of each route that only the manager's socket has: refused on every other one, before anything is looked at.
ALONE: Final = [Depends(manager_alone)]

Action = Literal["start", "stop", "restart", "rebuild"]
"""What the manager may do to others."""


def add_manager(app: FastAPI, hive: Hive) -> None:
    """Add the routes."""

    @app.post("/v1/agents/{name}/{action}", dependencies=ALONE)
    async def act(name: AgentName, action: Action) -> OperationAnswer:
        """Start, stop, restart or rebuild another agent; answered when it is done, or still goes on after 90 s."""
        _refuse_itself(name)
        row = await hive.actions.do(name, action, MANAGER, _PATIENCE)
        return OperationAnswer(**row.model_dump(include=set(OperationAnswer.model_fields)))

    @app.get("/v1/agents/{name}/logs", dependencies=ALONE)
    async def logs(name: AgentName, lines: Annotated[int, Query(ge=1, le=MAX_LOG_LINES)] = 100) -> LogsAnswer:
        """What another agent's harness printed last, oldest first."""
        _refuse_itself(name)
        return LogsAnswer(lines=await hive.journals.last(hive.lifecycle.find(name).name, lines))


def _refuse_itself(name: str) -> None:
    if name == MANAGER:
        raise HiveError(
            "not_allowed", "the manager cannot do this to itself", "If it has to be, ask the operator for it"
        )
