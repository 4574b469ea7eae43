"""Noticing containers that ended without being told to: one question to systemd for all of them, every ten seconds.

A lost connection is looked into at once by the hive; this is the backstop. The first look at a container only learns
how it is. One that systemd restarted by itself is not a crash of the hive's making: its harness is there again.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections import defaultdict
    from collections.abc import Awaitable, Callable

    from hyperhive.runtime.container_host import ContainerHost
    from hyperhive.runtime.units import Unit

_log = logging.getLogger(__name__)

#: Restarts by systemd without a run in between that lasted; after these it is a loop.
_LOOP: Final = 2


@dataclass
class Known:
    """What the runtime knows of a container.

    Attributes:
        up: whether it runs.
        invocation: which run; empty where it was not looked at yet.
        restarts: how often systemd had restarted it then.
        root_uid: the host's uid of its root in this run.
        asked_at: when that was asked, in seconds of the monotonic clock.
    """

    up: bool = False
    invocation: str = ""
    restarts: int = 0
    root_uid: int | None = None
    asked_at: float = 0.0


def verdict(known: Known, unit: Unit) -> Literal["same", "new", "restarted", "ended", "wait"]:
    """What became of a container since it was last looked at."""
    if unit.is_up:
        if not known.up or not known.invocation:
            return "new"
        return "same" if unit.invocation == known.invocation else "restarted"
    if not known.up:
        return "same"
    if unit.is_down or unit.restarts >= known.restarts + _LOOP:
        return "ended"
    # On its way down, or up again after a reboot inside: the next look knows.
    return "wait"


class CrashWatch:
    """Looks, and tells.

    Args:
        host: whom to ask.
        known: what is known of each container; changed here where one came up.
        locks: one a container, held while something is done to it.
        crashed: called, with the lock held, for each one that ended.
        seconds: between two looks.
    """

    def __init__(
        self,
        host: ContainerHost,
        known: dict[str, Known],
        locks: defaultdict[str, asyncio.Lock],
        crashed: Callable[[str, Unit], Awaitable[None]],
        seconds: float,
    ) -> None:
        self._host = host
        self._known = known
        self._locks = locks
        self._crashed = crashed
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None
        self._loaded = ""

    def begin(self) -> None:
        """Look from now on; again is nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._go_on(), name="crash watch")

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _go_on(self) -> None:
        blind = False
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self._see_reload()
                await self.look()
                blind = False
            except HiveError as error:
                if not blind:
                    _log.warning("%s; what crashes now is seen later", error)
                blind = True
            except Exception:  # noqa: BLE001 - the watch goes on, whatever one look met
                _log.exception("a look at the containers failed")

    async def look(self) -> None:
        """Look at all once.

        Raises:
            HiveError: `operation_failed`: systemd does not answer.
        """
        units = await self._host.show(list(self._known))
        for name, unit in units.items():
            known = self._known.get(name)
            # Whoever has the lock is doing something to it, and tells its end himself.
            if known is None or self._locks[name].locked() or verdict(known, unit) == "same":
                continue
            async with self._locks[name]:
                await self._settle(name)

    async def _see_reload(self) -> None:
        """Whoever made systemd read its units, a rebuilt configuration above all, opened ports to what runs."""
        loaded = await self._host.loaded()
        if self._known and loaded != self._loaded and await self._host.close_ports():
            self._loaded = loaded

    async def _settle(self, name: str) -> None:
        """Look once more, now that nobody does anything to it."""
        known, unit = self._known.get(name), (await self._host.show([name]))[name]
        if known is None:
            return
        found = verdict(known, unit)
        if found in {"new", "restarted"}:
            if found == "restarted":
                _log.warning("the container of '%s' ended and was restarted by systemd", name)
            self._known[name] = Known(up=True, invocation=unit.invocation, restarts=unit.restarts)
        elif found == "ended":
            await self._crashed(name, unit)
