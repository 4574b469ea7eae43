"""Making the agents of the settings known: new ones, those that left, those that came back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyperhive.config import AgentSettings
from hyperhive.hive.roster import Agent
from hyperhive.store import agents
from hyperhive.store.agents import Declaration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from hyperhive.hive.hive import Hive


async def declare(hive: Hive) -> None:
    """Bring store and roster to what the settings in force declare; starts and stops nothing."""
    now = hive.clock()
    wanted = {name: "running" if own.auto_start else "stopped" for name, own in hive.settings.declared.items()}
    # With the commit: whatever is written of an agent after it is newer than what it found.
    await hive.store.submit(agents.declare, Declaration(wanted, now), lambda rows: _take(hive, rows, now))
    await hive.schedules.declare(hive.settings)


def agent_of(row: Any, now: datetime) -> Agent:  # noqa: ANN401 - a row of the store
    """An agent that the hive did not know so far, with the settings that it was spawned with, if it was."""
    own = AgentSettings(model=row.model, prompt=row.prompt)
    return Agent(
        row.name,
        row.origin,
        row.wanted,
        own,
        description=row.description,
        logged_in=row.logged_in,
        account=row.account,
        fact_since=now,
        wanted_since=now,
    )


def _take(hive: Hive, rows: Sequence[Any], now: datetime) -> None:
    declared = hive.settings.declared
    for row in rows:
        agent = hive.roster.agents.get(row.name)
        if agent is None:
            agent = hive.roster.agents[row.name] = agent_of(row, now)
        agent.settings = declared.get(row.name) or AgentSettings(model=row.model, prompt=row.prompt)
        model = agent.settings.model or hive.settings.defaults.model
        if model != agent.declared_model:
            agent.model, agent.declared_model = None, model
        agent.tombstone_at, agent.origin = row.tombstone_at, row.origin
        if agent.wanted == "paused":
            hive.broker.shut(row.name, "paused")
        hive.roster.touch(agent)
