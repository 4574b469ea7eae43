"""How long agents in containers are away when the daemon is restarted: as systemd and the operator's stream tell it.

The tier and the benchmark measure the same thing with this.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Collection

    from nspawn_swarm import Swarm

    from hyperhive.client import HiveClient

#: Seconds between two tries to reach a daemon that is not there yet.
_LOOK: Final = 0.01
#: Microseconds.
_SECOND: Final = 1_000_000


@dataclass(frozen=True)
class Restart:
    """One restart of the daemon.

    Attributes:
        took: seconds from the command, or the last of them, until systemd said that the unit is active.
        connected: seconds from that instant until an agent had connected and was idle; negative where it was before.
    """

    took: float
    connected: dict[str, float]

    @property
    def last(self) -> float:
        """Seconds until all were there; 0 where they were before the daemon was ready."""
        return max(0.0, *self.connected.values())


async def restart(swarm: Swarm, names: Collection[str], patience: float, away: float = 0) -> Restart:
    """Restart the daemon and wait until agents with nothing to do have connected again.

    Args:
        swarm: where.
        names: the agents that are waited for.
        patience: seconds until they must be there.
        away: seconds without a daemon, for a stop and a start; 0 is one restart.

    Raises:
        TimeoutError: some are not there in time.
    """
    async with swarm.client() as client:
        epoch = (await client.state()).epoch
    if away:
        await swarm.host.run("systemctl", "stop", "hyperhive.service")
        await asyncio.sleep(away)
    began = time.monotonic()
    async with asyncio.timeout(patience), asyncio.TaskGroup() as group:
        seen = group.create_task(connected(swarm, names, not_epoch=epoch))
        await swarm.host.run("systemctl", "restart", "hyperhive.service")
    shown = ("--property=ActiveEnterTimestampMonotonic", "--value")
    # The clock of systemd's instants is that of time.monotonic().
    ready = int(await swarm.host.run("systemctl", "show", "hyperhive.service", *shown)) / _SECOND
    return Restart(ready - began, {name: at - ready for name, at in seen.result().items()})


async def connected(swarm: Swarm, names: Collection[str], *, not_epoch: str = "") -> dict[str, float]:
    """When each agent was seen to be idle by a hive of another epoch, in seconds of the monotonic clock."""
    seen: dict[str, float] = {}
    async with swarm.client() as client:
        while not seen.keys() >= set(names):
            try:
                await _follow(client, names, not_epoch, seen)
            except HiveError:
                # Between two daemons; or it is there and does not answer yet.
                await asyncio.sleep(_LOOK)
    return seen


async def _follow(client: HiveClient, names: Collection[str], not_epoch: str, seen: dict[str, float]) -> None:
    state = await client.state()
    if state.epoch == not_epoch:
        await asyncio.sleep(_LOOK)
        return

    def note(name: str, how: str, problem: str | None) -> None:
        assert how != "failed" or name not in names, f"{name}: {problem}"
        if how == "idle" and name in names:
            seen.setdefault(name, time.monotonic())

    for row in state.agents:
        note(row.name, row.state, row.problem)
    if seen.keys() >= set(names):
        return
    async for change in client.stream(state.seq, state.epoch):
        if change.type == "resync":
            return
        if change.type == "agent":
            note(change.data["name"], change.data.get("state", ""), change.data.get("problem"))
        if seen.keys() >= set(names):
            return
