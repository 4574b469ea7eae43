"""Every command that is given to nixos-container, systemd, machined and the journal; nothing else runs them.

Each method is one step with its time limit and its error; what the steps mean together stands in `nixos_container`.
Exit codes of nixos-container are leftovers: only none and some are told apart.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.runtime.command import follow_program, run_program
from hyperhive.runtime.units import PREFIX, PROPERTIES, Unit, machine, parse_units, unit

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection

    from hyperhive.runtime.command import Done, Follower, Runner

_log = logging.getLogger(__name__)

_PROGRAMS: Final = ("nixos-container", "systemctl", "systemd-run", "machinectl", "journalctl")
#: Seconds. The unit's own limits are a minute for a start and 90 s for a stop; ours come after them.
_ASK: Final = 20
_START: Final = 120
_STOP: Final = 150
_MAKE: Final = 300
_SWITCH: Final = 600
#: Where the units of containers are.
_SLICE: Final = "machine.slice"
#: A host's own users are mapped to themselves from 0 on: then root inside would be root outside.
_HOST_ROOT: Final = 0


def check_host() -> None:
    """See whether containers can be run here at all.

    Raises:
        HiveError: `runtime_unavailable`, saying why.
    """
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    why = f"there is no program '{missing[0]}'" if missing else "the hive is not root" if os.geteuid() else ""
    if why:
        msg = f"the runtime 'nixos-container' does not work here: {why}"
        hint = "It is for the hyperhive.service of a NixOS host; elsewhere set runtime to 'auto'"
        raise HiveError("runtime_unavailable", msg, hint)


class ContainerHost:
    """The programs of one NixOS host.

    Args:
        run: runs them.
        proc: where processes are looked at.
        follow: runs one that goes on.
    """

    def __init__(
        self, run: Runner = run_program, proc: Path = Path("/proc"), follow: Follower = follow_program
    ) -> None:
        self._run = run
        self._follow = follow
        self._proc = proc
        self._reloading = asyncio.Lock()
        self._asked = 0
        self._reloaded = 0

    # --- nixos-container

    async def create(self, name: str, system: Path) -> None:
        """Make a container.

        Raises:
            HiveError: `operation_failed`; nothing of it is left.
        """
        done = await self._run("nixos-container", "create", machine(name), "--system-path", str(system), seconds=_MAKE)
        if not done.ok:
            # It may leave its conf behind, and every later try would say that the container exists.
            await self._run("nixos-container", "destroy", machine(name), seconds=_MAKE)
            raise _failed(name, "cannot be made", done)

    async def destroy(self, name: str) -> None:
        """Remove a container that does not run. Its unit has to be stopped and reset before."""
        done = await self._run("nixos-container", "destroy", machine(name), seconds=_MAKE)
        if not done.ok:
            raise _failed(name, "cannot be removed", done)

    # --- systemd

    async def show(self, names: Collection[str]) -> dict[str, Unit]:
        """The units of `names`, in one call; those that systemd does not know are down."""
        if not names:
            return {}
        found = await self._show([unit(name) for name in names])
        return {name: found.get(name, Unit()) for name in names}

    async def show_all(self) -> dict[str, Unit]:
        """The units of all containers that systemd has in memory."""
        return await self._show([f"container@{PREFIX}*.service"])

    async def _show(self, units: list[str]) -> dict[str, Unit]:
        done = await self._run("systemctl", "show", f"--property={','.join(PROPERTIES)}", "--", *units, seconds=_ASK)
        if not done.ok:
            raise _trouble("systemd does not say how the containers are", done)
        return parse_units(done.out)

    async def start(self, name: str) -> Done:
        """Start; the answer is for the caller, who knows what to tidy up."""
        return await self._run("systemctl", "start", unit(name), seconds=_START)

    async def stop(self, name: str) -> None:
        """Stop, and end a loop of restarts."""
        done = await self._run("systemctl", "stop", unit(name), seconds=_STOP)
        if not done.ok:
            raise _failed(name, "does not stop", done)

    async def reset(self, name: str) -> None:
        """Forget failures and the count of starts; that there are none is no failure."""
        await self._run("systemctl", "reset-failed", unit(name), seconds=_ASK)

    async def switch(self, name: str) -> Done:
        """Change the running container to the system in its conf."""
        return await self._run("systemctl", "reload", unit(name), seconds=_SWITCH)

    async def daemon_reload(self) -> None:
        """Let systemd read drop-ins. Many at once are one: it takes long, and stops everything else in systemd."""
        self._asked += 1
        mine = self._asked
        async with self._reloading:
            if self._reloaded >= mine:
                return
            covered = self._asked
            done = await self._run("systemctl", "daemon-reload", seconds=_START)
            if not done.ok:
                raise _trouble("systemd does not read its units anew", done)
            self._reloaded = covered
            await self.close_ports()

    async def loaded(self) -> str:
        """When systemd read its units last; another word each time, and empty where it does not say."""
        done = await self._run("systemctl", "show", "--property=UnitsLoadTimestampMonotonic", "--value", seconds=_ASK)
        return done.out.strip() if done.ok else ""

    async def close_ports(self) -> bool:
        """Have systemd enforce `SocketBindDeny` again, which it forgets for what runs whenever it reads its units.

        It looks at all units of a slice again when one begins in it, so one that does nothing is enough for all.
        Returns whether one began.
        """
        done = await self._run("systemd-run", "--quiet", "--collect", f"--slice={_SLICE}", "--", "true", seconds=_ASK)
        if not done.ok:
            _log.warning("ports of the hive may be open to containers: %s", "; ".join(done.tail(1)))
        return done.ok

    # --- the users of a container

    async def root_uid(self, name: str) -> int | None:
        """Which uid of the host is root in the running container; None where that cannot be said now.

        Raises:
            HiveError: `operation_failed`: it is root here, too.
        """
        done = await self._run("machinectl", "show", "--property=Leader", "--value", "--", machine(name), seconds=_ASK)
        leader = done.out.strip()
        if not done.ok or not leader.isdigit():
            return None
        try:
            id_map = (self._proc / leader / "uid_map").read_text(encoding="ascii")
        except OSError:
            return None
        ranges = [[int(field) for field in line.split()] for line in id_map.splitlines()]
        outer = [outside for inside, outside, _ in ranges if inside == 0]
        if outer == [_HOST_ROOT]:
            msg = f"the container of '{name}' runs without users of its own: its root is this host's"
            raise HiveError("operation_failed", msg, f"hyperhive rebuild {name}")
        return outer[0] if outer else None

    # --- the journal

    async def console(self, name: str, lines: int = 20) -> tuple[str, ...]:
        """The last lines of a container's unit: what nspawn said, and what the container said while it booted."""
        # Not --unit: that adds what systemd says of the unit, and those would be the last lines of every failure.
        who = f"_SYSTEMD_UNIT={unit(name)}"
        done = await self._run("journalctl", *_journal(lines), "--output=cat", who, seconds=_ASK)
        return tuple(line for line in done.out.splitlines() if line.strip())[-lines:] if done.ok else ()

    async def journal(self, name: str, lines: int) -> tuple[str, ...]:
        """The last lines of the harness in a running container; else those of the unit."""
        done = await self._run("journalctl", *_journal(lines), *_harness(name), seconds=_ASK)
        return tuple(done.out.splitlines()[-lines:]) if done.ok else await self.console(name, lines)

    async def follow_journal(self, name: str, lines: int) -> AsyncGenerator[list[str], None]:
        """The same, then whatever comes, until the container ends; of one that is down, what is there."""
        command = ("journalctl", *_journal(lines), *_harness(name), "--follow")
        said = False
        async with aclosing(self._follow(*command)) as chunks:
            async for fresh in chunks:
                said = True
                yield fresh
        if not said:
            yield list(await self.console(name, lines))


def _journal(lines: int) -> tuple[str, ...]:
    return ("--no-pager", "--quiet", f"--lines={lines}")


def _harness(name: str) -> tuple[str, ...]:
    return (f"--machine={machine(name)}", "--unit=hyperhive-harness.service", "--output=short-iso")


def _failed(name: str, what: str, done: Done) -> HiveError:
    return _trouble(f"the container of '{name}' {what}", done)


def _trouble(what: str, done: Done) -> HiveError:
    said = "; ".join(done.tail()) or f"it ended with {done.code}"
    return HiveError("operation_failed", f"{what}: {said}", "See the journal: journalctl -u hyperhive")
