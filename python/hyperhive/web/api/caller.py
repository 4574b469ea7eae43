"""Who calls on an agent's socket: known from the socket's gate, never from what the caller says."""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from hyperhive.errors import HiveError
from hyperhive.hive.roster import Agent
from hyperhive.names import MANAGER

if TYPE_CHECKING:
    from hyperhive.hive.hive import Hive


async def calling_agent(request: Request) -> Agent:
    """The agent whose socket this is.

    Raises:
        HiveError: `unknown_agent`: it is none any more.
    """
    hive: Hive = request.app.state.hive
    agent = hive.roster.agents.get(request.scope["agent"])
    if agent is None:
        raise HiveError("unknown_agent", "this hive does not know you any more", "It is being stopped")
    pid = request.scope["state"]["peer"][0]
    if agent.pid != pid:
        agent.pid = pid
        hive.roster.touch(agent)
    return agent


Caller = Annotated[Agent, Depends(calling_agent)]
"""The calling agent, as a parameter of a route."""


async def manager_alone(agent: Caller) -> Agent:
    """The manager, whose socket this is.

    Raises:
        HiveError: `not_allowed`: it is another agent's.
    """
    if agent.name != MANAGER:
        what = f"'{agent.name}' is not the manager, and only the manager may ask for this"
        raise HiveError("not_allowed", what, "Write to the manager, or to the operator")
    return agent
