"""Agents that are no more: listed with what is kept of them, brought back, or wiped.

A purge moves the directories aside before anything else, so that whatever happens in between, no later agent of the
same name finds them: not its login, not its notes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from typing import TYPE_CHECKING

from hyperhive import beneath
from hyperhive.errors import HiveError
from hyperhive.names import MANAGER, nearest, web_port
from hyperhive.shapes import TombstoneRow
from hyperhive.store import agents
from hyperhive.store.agents import Purge, Revival

if TYPE_CHECKING:
    from pathlib import Path

    from hyperhive.hive.hive import Hive
    from hyperhive.hive.layout import Layout
    from hyperhive.hive.roster import Agent

_log = logging.getLogger(__name__)


def find(hive: Hive, name: str) -> Agent:
    """The tombstone of that name.

    Raises:
        HiveError: `unknown_agent`; `wrong_state` where there is such an agent.
    """
    agent = hive.roster.agents.get(name)
    if agent is None:
        near = nearest(name, hive.roster.tombstones())
        hint = f"Did you mean {' or '.join(near)}?" if near else "See: hyperhive tombstones"
        raise HiveError("unknown_agent", f"there is no tombstone {name!r}", hint, nearest=near)
    if not agent.tombstone:
        raise HiveError("wrong_state", f"'{name}' is an agent, and no tombstone", "See: hyperhive list")
    return agent


async def listing(hive: Hive) -> list[TombstoneRow]:
    """All tombstones, by name."""
    found = [agent for _name, agent in sorted(hive.roster.agents.items()) if agent.tombstone]
    return list(await asyncio.gather(*(_row(hive, agent) for agent in found)))


async def _row(hive: Hive, agent: Agent) -> TombstoneRow:
    place = hive.layout.of_agent(agent.name)
    return TombstoneRow(
        name=agent.name,
        since=agent.tombstone_at or hive.clock(),
        origin=agent.origin,
        declared=agent.name in hive.settings.declared,
        has_login=beneath.has_file(place, "claude/.credentials.json"),
        size_bytes=await hive.sizes.of(agent.name, place),
        unread=hive.broker.unread(agent.name),
    )


async def revive(hive: Hive, name: str) -> Agent:
    """Make an agent of a tombstone, with all that was kept; one that is not declared any more is the hive's own now.

    Raises:
        HiveError: `unknown_agent`, `wrong_state`, `port_collision`.
    """
    agent = find(hive, name)
    port = web_port(name)
    taken = [other for other in hive.roster.members() if other != MANAGER and web_port(other) == port]
    if taken:
        what = f"'{name}' and '{taken[0]}' get the same web port {port}, which follows from the name"
        raise HiveError("port_collision", what, f"Destroy '{taken[0]}' first, or leave '{name}' where it is")
    origin = "declared" if name in hive.settings.declared else "spawned"

    def revived(_done: None) -> None:
        agent.origin, agent.tombstone_at = origin, None
        agent.wanted, agent.wanted_since = "running", hive.clock()
        hive.broker.open(name, "paused")
        hive.roster.touch(agent)

    await hive.store.submit(agents.revive, Revival(name, origin), revived)
    await hive.trouble.lift(agent)
    return agent


async def purge(hive: Hive, name: str) -> None:
    """Wipe what was kept of an agent. What waits for it becomes dead letters; its questions are cancelled.

    Raises:
        HiveError: `unknown_agent`, `wrong_state`; `operation_failed`: something of it is still there.
    """
    find(hive, name)
    if hive.runtime.exists(name):
        what = f"there still is a container or a process of '{name}'"
        raise HiveError("wrong_state", what, "hyperhive reconcile, then purge it once more")
    async with hive.repos.alone(name):
        aside = _put_aside(hive, name)
    reason = f"'{name}' was purged"

    def purged(_done: None) -> None:
        # With the commit: a declaration that follows it makes an agent anew, of which nothing is to be lost.
        agent = hive.roster.agents.pop(name)
        hive.broker.bury(name, reason)
        hive.reminders.forget(name)
        hive.schedules.forget(name)
        hive.sizes.forget(name)
        hive.waiting.forget(name)
        hive.trouble.purged(name)
        hive.deployment.forget(name)
        hive.ledger.forget(name)
        hive.budgets.forget(name)
        hive.roster.touch(agent)

    await hive.questions.purged(name)
    await hive.builder.purge(name)
    await hive.store.submit(agents.purge, Purge(name, reason, hive.clock()), purged)
    await hive.approvals.look_again()
    # Its own alone: to remove what another purge is filling fails for both.
    await beneath.wipe(aside)


def _kept(layout: Layout, name: str) -> tuple[Path, ...]:
    return (layout.of_agent(name), *layout.logs(name), layout.applied(name), layout.proposed(name))


def _put_aside(hive: Hive, name: str) -> Path:
    """Move all that is kept of an agent to a new directory, and return that."""
    aside = hive.layout.trash / f"{name}.{secrets.token_hex(8)}"
    try:
        aside.mkdir(mode=0o700, parents=True)
        for number, path in enumerate(_kept(hive.layout, name)):
            if os.path.lexists(path):
                path.rename(aside / str(number))
    except OSError as error:
        what = f"what '{name}' left cannot be put aside: {error}"
        raise HiveError("operation_failed", what, "Correct it, then purge it once more") from error
    return aside


async def empty_old_trash(hive: Hive) -> None:
    """Remove what interrupted purges put aside; at the start of the hive, which goes on whatever happens."""
    try:
        # What is there now: a purge that begins meanwhile sees to its own.
        for aside in list(hive.layout.trash.glob("*")):
            await beneath.wipe(aside)
    except (HiveError, OSError) as error:
        _log.warning("what was purged earlier is still there: %s", error)
