"""Telling an operator who is not looking: each thing that begins to wait becomes one short text, once.

Two ways, each on its own: an address that gets a POST, a program that gets a line. A way goes through what waits, tells
what it has not told yet, and writes down what it told, so that a restart repeats nothing but the one that was on its
way. While nobody takes the text it tries again, ever more rarely; what comes many at once becomes one text.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.hive.notify_text import text_of
from hyperhive.hive.notify_ways import post, run_command
from hyperhive.hive.told import Told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from hyperhive.hive.hive import Hive
    from hyperhive.hive.notify_text import Text
    from hyperhive.shapes import WaitingItem

    Way = Callable[[Text], Awaitable[None]]

_log = logging.getLogger(__name__)

#: Seconds before something new is told: it may be one of many, or gone at once.
_SETTLE: Final = 1.0
#: Texts in so many seconds, after which what comes is told together; and what comes together if it is more.
_MANY: Final = 5
_WINDOW: Final = 10.0
#: Seconds between two tries: the first, doubled, and the longest.
_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 300.0
#: Seconds that a text on its way gets when the hive ends.
_LAST: Final = 3.0
#: Kinds that are a state of an agent: while it only starts again, the state may be the same one.
_STATES: Final = frozenset({"needs_login", "failed", "unreachable"})


class Notifier:
    """All ways of being told.

    Args:
        hive: what waits there.
        group: owns what goes on in the background.
    """

    def __init__(self, hive: Hive, group: asyncio.TaskGroup) -> None:
        self._hive = hive
        self._group = group
        self._ways = [
            _Way(hive, "notifications.urlFile", "url", self._url),
            _Way(hive, "notifications.command", "command", self._command),
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to tell. What waits from earlier runs is known by now."""
        self._tasks = [self._group.create_task(way.run(), name=f"tell by {way.name}") for way in self._ways]
        self._hive.waiting.listener = self.look
        self.look()

    def look(self, items: list[WaitingItem] | None = None) -> None:
        """What waits, how agents are or the settings may have changed."""
        if self._tasks and any(way.way() for way in self._ways):
            current = self._hive.waiting.items() if items is None else items
            for way in self._ways:
                way.look(current)

    async def close(self) -> None:
        """Tell nothing any more; a text that is on its way gets a moment, so that it is not told again."""
        tasks, self._tasks = self._tasks, []
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST):
                for way in self._ways:
                    await way.free.acquire()
        for task in tasks:
            task.cancel()

    def _url(self) -> Way | None:
        path = self._hive.settings.notifications.url_file
        return None if path is None else lambda text: post(path, text)

    def _command(self) -> Way | None:
        command = self._hive.settings.notifications.command
        return None if not command else lambda text: run_command(command, text)


class _Way:
    """One way of being told, one text at a time.

    Args:
        hive: whose operator is told.
        name: the setting.
        short: for the file that remembers what was told.
        way: how a text is told by the settings in force; None is not at all.
    """

    def __init__(self, hive: Hive, name: str, short: str, way: Callable[[], Way | None]) -> None:
        self.name = name
        self.way = way
        self._hive = hive
        self._told = Told(hive.layout.told(short))
        self._pending: dict[str, WaitingItem] = {}
        #: What is being told at this moment, and has not ended meanwhile.
        self._on_its_way: set[str] = set()
        self._news = asyncio.Event()
        #: When the last texts were told.
        self._recent: deque[float] = deque(maxlen=_MANY)
        self._many = False
        #: Held while a text is on its way and not written down.
        self.free = asyncio.Lock()

    def look(self, items: Iterable[WaitingItem]) -> None:
        """Find out what is new."""
        if self.way() is None:
            return
        waiting = {_key(item): item for item in items}
        kept = {key for key in (*self._told, *self._on_its_way) if key in waiting or self._may_come_back(key)}
        self._told.forget_unless(kept.__contains__)
        # What ends while it is told, and begins anew, is told anew.
        self._on_its_way &= kept
        self._pending = {key: item for key, item in waiting.items() if key not in self._told}
        if self._pending or self._told.changed:
            self._news.set()

    def _may_come_back(self, key: str) -> bool:
        kind, _, name = key.partition("-")
        agent = self._hive.roster.agents.get(name) if kind in _STATES else None
        if agent is None or agent.tombstone:
            return False
        state = self._hive.roster.state_of(agent)[0]
        return state in {"starting", "unreachable"} or (state == "stopped" and agent.wanted != "stopped")

    async def run(self) -> None:
        """Tell what is new, until cancelled."""
        wait = _FIRST_WAIT
        while True:
            await self._write_down()
            if not self._pending:
                self._news.clear()
                await self._news.wait()
                if self._pending:
                    await asyncio.sleep(_SETTLE)
            elif pause := self._pause():
                await asyncio.sleep(pause)
            elif await self._tell_and_write_down():
                wait = _FIRST_WAIT
            else:
                await asyncio.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)

    def _pause(self) -> float:
        """Seconds until the next text may follow: none, or until there were not so many lately."""
        now = time.monotonic()
        while self._recent and now - self._recent[0] >= _WINDOW:
            self._recent.popleft()
        if len(self._recent) < _MANY or self._many:
            return 0
        # What comes in the meantime is one text.
        self._many = True
        return self._recent[0] + _WINDOW - now

    async def _tell_and_write_down(self) -> bool:
        async with self.free:
            told = await self._tell_some()
            await self._write_down()
            return told

    async def _tell_some(self) -> bool:
        way, pending = self.way(), sorted(self._pending.items(), key=lambda entry: entry[1].since)
        if way is None:
            self._pending = {}
            return True
        batch = dict(pending if self._many or len(pending) > _MANY else pending[:1])
        self._on_its_way = set(batch)
        try:
            await way(text_of(self._hive, list(batch.values())))
        except HiveError as error:
            self._say(str(error.message))
            return False
        self._say(None)
        self._many = False
        self._recent.append(time.monotonic())
        self._told.add(self._on_its_way)
        self._pending = {key: item for key, item in self._pending.items() if key not in self._on_its_way}
        return True

    async def _write_down(self) -> None:
        if self._told.changed:
            try:
                await self._told.write()
            except OSError as error:
                _log.warning("%s: what was told could not be written down: %s", self.name, error)

    def _say(self, problem: str | None) -> None:
        prefix = f"{self.name}: nobody takes what waits for you: "
        known = next((warning for warning in self._hive.warnings if warning.startswith(prefix)), None)
        new = None if problem is None else prefix + problem
        if known != new:
            if problem is not None:
                _log.warning("%s%s", prefix, problem)
            self._hive.warn(prefix, problem)


def _key(item: WaitingItem) -> str:
    """What makes it the same thing. Crashes are counted since the first that was not seen; other ids say it all."""
    return f"{item.id}@{item.since.timestamp()}" if item.kind == "crash" else item.id
