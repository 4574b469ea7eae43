"""A broker of its own on a real store, with a clock that is moved: what the tests of the broker and the store share."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import shutil
import sqlite3
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import event

from hyperhive import wire
from hyperhive.errors import HiveError
from hyperhive.hive.broker import Broker
from hyperhive.hive.dead_letters import DeadLetters
from hyperhive.hive.first_commit import make_template, template_name
from hyperhive.store import messages
from hyperhive.store.engine import sqlite_url
from hyperhive.store.migrate import migrate
from hyperhive.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Sequence

    from hyperhive.hive.inbox import Entry
    from hyperhive.hive.limits import Limits
    from hyperhive.hive.mailbox import Happened

#: Seconds after which something that should come is given up.
DEADLINE = 60.0
AGENTS: dict[str, dict[str, Any]] = {"alice": {}, "bob": {}, "carol": {}, "dave": {"allowedRecipients": ["alice"]}}


@functools.cache
def migrated() -> Path:
    """An empty database with the schema of today; made once, to be copied."""
    place = Path(tempfile.mkdtemp(prefix="hh-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    made = place / "empty.sqlite"
    migrate(sqlite_url(made))
    return made


@functools.cache
def _template() -> Path:
    """The repository that an agent's configuration begins with; made once, as a hive would."""
    made = migrated().with_name(template_name())
    made.mkdir()
    with ThreadPoolExecutor(1) as thread:  # a loop of its own: whoever asks may be in one
        thread.submit(asyncio.run, make_template(made)).result()
    return made


def lay_out(place: Path) -> None:
    """Make a state directory as one that was there before, but for what agents did in it.

    To make the database and the template of repositories anew for each test would take longer than the tests.
    """
    state = place / "state"
    if (state / "hive.sqlite").exists():
        return
    state.mkdir(mode=0o700, exist_ok=True)
    shutil.copytree(_template(), state / "applied" / template_name())
    shutil.copy(migrated(), state / "hive.sqlite")


async def refused(work: Awaitable[Any]) -> HiveError:
    """The error with which something is refused."""
    try:
        done = await work
    except HiveError as error:
        return error
    msg = f"it was not refused: {done}"
    raise AssertionError(msg)


class FakeClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Members:
    """A directory of agents that the test can change."""

    live: set[str] = field(default_factory=lambda: set(AGENTS))
    dead: set[str] = field(default_factory=set)
    allowed: dict[str, list[str]] = field(default_factory=lambda: {"dave": ["alice"]})

    def members(self) -> Collection[str]:
        return self.live

    def tombstones(self) -> Collection[str]:
        return self.dead

    def allowed_recipients(self, sender: str) -> Collection[str] | None:
        return self.allowed.get(sender)


class BrokerBed:
    """A broker of its own, on a real store, with a clock that the test moves. Is a `BrokerRig`."""

    def __init__(self, directory: Path, limits: Limits | None = None, clock: Any = None) -> None:  # noqa: ANN401
        self.clock = clock or FakeClock()
        self.directory = Members()
        self.told: list[tuple[Happened, int]] = []
        self._limits = limits
        self._place = directory
        self._runs = 0
        self._statements = 0

    @property
    def database(self) -> Path:
        return self._place / f"hive-{self._runs}.sqlite"

    async def open(self) -> Self:
        if not self.database.exists():
            shutil.copy(migrated(), self.database)
        self.store = await Store.open(sqlite_url(self.database))
        for engine in (self.store._engine, self.store._readers_engine):
            event.listen(engine, "before_cursor_execute", self._counted)
        tell = self._tell
        self.broker = Broker(self.store, self.directory, self.clock, tell, self._limits)
        self.letters = DeadLetters(self.store, self.broker, self.clock, tell, self.directory)
        await self.broker.load()
        return self

    async def close(self) -> None:
        self.broker.close()
        await self.store.close()

    def _tell(self, what: Happened, entry: Entry) -> None:
        self.told.append((what, entry.id))

    def _counted(self, *_arguments: object) -> None:
        self._statements += 1

    # --- BrokerRig

    async def send(
        self, sender: str, to: str, body: str = "hello", *, reply_to: int | None = None, key: str | None = None
    ) -> wire.SendAnswer:
        made = await self.broker.send(sender, to, body, in_reply_to=reply_to, idempotency_key=key)
        return wire.SendAnswer(id=made.ids[0], broadcast_id=made.broadcast_id, recipients=list(made.recipients))

    async def recv(
        self, agent: str, *, wait: float = 0, most: int = 1, holding: Sequence[int] = (), instance: str | None = "first"
    ) -> wire.RecvAnswer:
        deliveries, unread = await self.broker.recv(agent, wait=wait, most=most, holding=holding, instance=instance)
        return wire.RecvAnswer(deliveries=deliveries, unread=unread)

    async def outcome(
        self, agent: str, ids: Sequence[int], kind: wire.OutcomeKind, reason: str | None = None
    ) -> wire.OutcomeAnswer:
        done = await self.broker.outcome(agent, ids, kind, reason)
        return wire.OutcomeAnswer(accepted=done.accepted, dead_letters=done.dead)

    async def parked(self, agent: str) -> None:
        async with asyncio.timeout(DEADLINE):
            while (box := self.broker._boxes.get(agent)) is None or box.waiter is None:  # noqa: ASYNC110
                await asyncio.sleep(0)  # one step of the loop

    async def restart(self, *, kill: bool) -> None:
        if not kill:
            await self.close()
            await self.open()
            return
        old, broker = self.database, self.broker
        store = self.store
        self._runs += 1
        # What is committed at this instant, and nothing that the old one writes afterwards.
        with (
            contextlib.closing(sqlite3.connect(old)) as before,
            contextlib.closing(sqlite3.connect(self.database)) as now,
        ):
            before.backup(now)
        broker.close()
        await store.close()
        await self.open()

    async def destroy(self, agent: str) -> None:
        self.directory.live.discard(agent)
        self.directory.dead.add(agent)

    async def revive(self, agent: str) -> None:
        self.directory.dead.discard(agent)
        self.directory.live.add(agent)

    async def inbox(self) -> list[int]:
        wanted = messages.Filter(recipient="operator", state="waiting", limit=2000)
        return sorted(row.id for row in await self.store.read(messages.page, wanted))

    async def acknowledge(self, ids: Sequence[int]) -> list[int]:
        return await self.broker.acknowledge(ids)

    async def dead_letters(self) -> list[int]:
        return sorted(row.id for row in await self.store.read(messages.page, messages.Filter(state="dead")))

    async def requeue(self, message: int) -> None:
        await self.letters.requeue(message)

    async def discard(self, message: int) -> None:
        await self.letters.discard(message)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def statements(self) -> int:
        return self._statements
