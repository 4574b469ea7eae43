"""Who calls on an agent's socket: known from the socket's gate, never from what the caller says."""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from hyperhive.errors import HiveError
from hyperhive.hive.roster import Agent

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
