"""A daemon that comes and goes, its operator, and what is measured of both, in time that passes by itself."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import os
import random
import signal
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from warp import warped
from week_swarm import AGENTS, HOUR, Book, Swarm

from hyperhive.client import HiveClient
from hyperhive.config_file import parse_settings
from hyperhive.hive.daemon import Ready, run

#: Those that have a budget.
POOR = AGENTS[:6]
#: States that an agent does not leave by itself.
_HELD = {"paused", "failed", "stopped"}


@dataclass(frozen=True)
class Size:
    """What this process has: sockets and other files open, and megabytes of memory."""

    sockets: int
    files: int
    megabytes: float

    @classmethod
    def now(cls) -> Self:
        """Look, after a collection."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        opened = []
        for link in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                opened.append(str(link.readlink()))
        sockets = sum(1 for name in opened if name.startswith("socket:"))
        return cls(sockets, len(opened) - sockets, round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6))


def _forget() -> None:
    """Let go of what a daemon keeps for as long as its process lives, which here is not its own.

    It exempts what it has made from collections, and FastAPI remembers each function of a route.
    """
    gc.unfreeze()
    for one in gc.get_objects():
        if isinstance(one, functools._lru_cache_wrapper) and str(one.__module__).startswith("fastapi."):
            one.cache_clear()
    gc.collect()


class World:
    """The hive and whoever lives with it.

    Args:
        place: a directory with room for everything.
        seed: of what is left to chance.
        turns: the daily budget of the poor.
        every: how often each agent is woken by its schedule.
    """

    def __init__(self, place: Path, seed: int, *, turns: int, every: str) -> None:
        self.book = Book()
        self.swarm = Swarm(seed, self.book)
        self._place, self._draw = place, random.Random(seed)  # noqa: S311 - no secret
        self._operator = HiveClient(place / "state" / "run" / "host.sock")
        self._daemon: asyncio.Task[None] | None = None
        self._meddled = 0
        agents: dict[str, Any] = {
            name: {"schedules": {"pulse": {"every": every, "message": "Look around."}}} for name in AGENTS
        }
        for name in POOR:
            agents[name]["budget"] = {"turns": turns}
        whole = {
            "version": 1,
            "stateDir": str(place / "state"),
            "dashboard": {"port": 0},
            "timeZone": "Europe/Berlin",
            "manager": {"enable": False},
            "defaults": {"environment": {"ANTHROPIC_API_KEY": "made-up"}},
            "agents": agents,
        }
        self._settings = json.dumps(whole)

    # --- the daemon

    async def __aenter__(self) -> Self:
        await self._operator.__aenter__()
        await self.up()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._operator.__aexit__(*error)
        await self.swarm.end_all()
        await self.down()
        # Connections that were closed last are gone only then.
        await asyncio.sleep(1)

    async def up(self) -> None:
        """Start the daemon."""
        ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self._daemon = asyncio.create_task(
            run(parse_settings(self._settings), runtime=self.swarm, on_ready=ready.set_result)
        )
        await asyncio.wait({self._daemon, ready}, return_when=asyncio.FIRST_COMPLETED)
        if self._daemon.done():
            await self._daemon

    async def down(self) -> None:
        """End the daemon; the harnesses go on."""
        assert self._daemon is not None
        os.kill(os.getpid(), signal.SIGTERM)
        await self._daemon
        _forget()

    # --- what goes on

    async def live(self, hours: float, every: float) -> None:
        """Let the operator write every so many seconds on average, and things go wrong, for so many hours."""
        loop = warped()
        end = loop.time() + hours * HOUR
        next_fault, next_stop = loop.time() + HOUR / 4, loop.time() + 1.7 * HOUR
        while loop.time() < end:
            await asyncio.sleep(self._draw.expovariate(1 / every))
            await self._send(self._draw.choice(AGENTS))
            if loop.time() > next_fault and await self._meddle():
                next_fault = loop.time() + self._draw.uniform(HOUR / 6, HOUR / 2)
            if loop.time() > next_stop and self.swarm.at_work(done=True):
                next_stop = loop.time() + self._draw.uniform(2 * HOUR, 9 * HOUR)
                await self._restart()

    async def _restart(self) -> None:
        """The daemon is away for a while, and one that was at work dies meanwhile."""
        self.book.faults["daemon restarted"] += 1
        await self.down()
        if at_work := self.swarm.at_work(done=True):
            self.book.faults["killed meanwhile"] += 1
            self.swarm.kill(at_work[0])
        await asyncio.sleep(self._draw.choice([1, 30, 600]))
        await self.up()

    async def _send(self, to: str) -> None:
        label = self.book.label("operator")
        await self.book.taken(label, to, lambda body: self._operator.send(to, body, idempotency_key=label))

    async def _meddle(self) -> bool:
        """Disturb an agent in the middle of its turn; false if there is none."""
        kinds = ("killed", "killed early", "paused", "killed early", "restarted", "cancelled")
        kind = kinds[self._meddled % len(kinds)]
        at_work = self.swarm.at_work(done=kind != "killed early")
        if not at_work:
            return False
        name = at_work[0]
        self._meddled += 1
        self.book.faults[kind] += 1
        if kind.startswith("killed"):
            self.swarm.kill(name)
        elif kind == "paused":
            await self._operator.pause(name)
            await asyncio.sleep(self._draw.uniform(60, HOUR / 3))
            await self._operator.resume(name)
        elif kind == "restarted":
            await self._operator.restart(name)
        else:
            await self._operator.cancel(name)
        return True

    async def drain(self, hours: int) -> list[Any]:
        """Everybody is written to once more, the operator lifts every hold and allows everything: what is not done."""
        self.swarm.silent = True
        for name in AGENTS:
            await self._send(name)
        for _ in range(hours):
            for name in POOR:
                await self._operator.set_budget(name, turns=10_000)
            held = [row for row in await self._operator.agents() if row.state in _HELD]
            for row in held:
                await (self._operator.resume if row.state == "paused" else self._operator.start)(row.name)
            await asyncio.sleep(HOUR)
            if not held and not self.undone():
                return []
        return [*self.undone(), *((row.name, row.state) for row in await self._operator.agents())]

    # --- what is seen of it

    def undone(self) -> list[Any]:
        """How many messages wait, or are worked on, and for whom."""
        return self.query(
            "SELECT recipient, count(*) FROM messages WHERE state = 'waiting' AND recipient LIKE 'a%'"
            " AND body LIKE '#%' GROUP BY recipient"
        )

    def query(self, statement: str) -> list[Any]:
        """Read the database by nobody's code but sqlite's."""
        with contextlib.closing(sqlite3.connect(self._place / "state" / "hive.sqlite")) as connection:
            return connection.execute(statement).fetchall()
