"""Agents in containers of NixOS: each a systemd-nspawn machine with users of its own, run by systemd, not by the hive.

The runtime decides what is done to a container (`container_steps`), one thing at a time for each, knows which of them
run, and tells when one ended without being told to (`container_watch`). The containers go on when the hive ends;
`start` takes over what runs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.names import check_agent_name
from hyperhive.runtime.base import UNKNOWN_UID, Exit, Owner, Runtime, nobody_listens
from hyperhive.runtime.container_files import ContainerFiles, ContainerPaths
from hyperhive.runtime.container_host import ContainerHost
from hyperhive.runtime.container_steps import ContainerSteps
from hyperhive.runtime.container_watch import CrashWatch, Known
from hyperhive.runtime.directories import make_directories
from hyperhive.runtime.repairs import Repairs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from hyperhive.runtime.base import AgentPlan, Change
    from hyperhive.runtime.units import Unit

_log = logging.getLogger(__name__)

#: Root, inside and outside: what the container's root makes is root's on the host, by the idmap of the binds.
_OWNER: Final = Owner(0, 0, UNKNOWN_UID)
#: Seconds between two looks at the users of a container that somebody else connects from.
_DOUBT: Final = 1.0


class NixosContainerRuntime(Runtime):
    """Runs each harness in a container of its own.

    Args:
        paths: where things are on the host.
        host: the host's programs.
        owner: who owns the agents' directories; other than root only in tests.
        watch_seconds: between two looks at all containers.
        repairs: how often a broken container is mended.
    """

    name = "nixos-container"
    survives_daemon = True
    starts_at_once = max(2, os.cpu_count() or 1)
    warnings: tuple[str, ...] = (
        "agents share the host's network: they reach every port on localhost and every abstract socket",
    )

    def __init__(
        self,
        paths: ContainerPaths | None = None,
        host: ContainerHost | None = None,
        owner: Owner = _OWNER,
        watch_seconds: float = 10.0,
        repairs: Repairs | None = None,
    ) -> None:
        self.on_exit: Callable[[Exit], None] = nobody_listens
        self.on_output: Callable[[str], None] = nobody_listens
        self._host = host or ContainerHost()
        self._files = ContainerFiles(paths or ContainerPaths())
        self._repairs = repairs or Repairs()
        self._steps = ContainerSteps(self._files, self._host, self._repairs)
        self._owner = owner
        self._known: dict[str, Known] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._watch = CrashWatch(self._host, self._known, self._locks, self._crashed, watch_seconds)
        self._closed = False

    def owner(self, name: str) -> Owner:  # noqa: ARG002 - the same for all
        """Root; with which uid it connects is known once it runs."""
        return self._owner

    async def is_peer(self, name: str, uid: int) -> bool:
        """Whether `uid` is root in the container as it runs now.

        Raises:
            HiveError: `operation_failed`: the container has no users of its own.
        """
        known = self._known.setdefault(name, Known())
        now = time.monotonic()
        if known.root_uid is None or (known.root_uid != uid and now >= known.asked_at + _DOUBT):
            # Not known yet, as while it boots; or systemd restarted it, and its users are others.
            known.asked_at = now
            known.root_uid = await self._host.root_uid(name)
        return known.root_uid == uid

    # --- what runs

    def running(self) -> frozenset[str]:
        """Agents whose container was up when it was last looked at."""
        return frozenset(name for name, known in self._known.items() if known.up)

    async def found(self) -> frozenset[str]:
        """Agents whose container is up, whoever started it."""
        for name, unit in (await self._host.show_all()).items():
            if unit.is_up and _is_name(name):
                self._note(name, unit)
        self._watch.begin()
        return self.running()

    async def look(self) -> frozenset[str]:
        """Agents whose container is up, asked now."""
        await self._watch.look()
        return self.running()

    async def journal(self, name: str, lines: int) -> tuple[str, ...]:
        """The last lines of the harness, or of the container where it is not up."""
        return await self._host.journal(name, lines)

    def follow_journal(self, name: str, lines: int) -> AsyncGenerator[list[str], None]:
        """The same, and on from there until the container ends."""
        return self._host.follow_journal(name, lines)

    # --- operations

    async def prepare(self, plan: AgentPlan) -> None:
        """Make the directories of `plan` with their owner and modes."""
        # All of it is root's, inside and outside; a group and set-group-ID, which the unit forbids, change nothing.
        make_directories(plan, self._owner, privileged=False, parents=0o700)

    async def start(self, plan: AgentPlan) -> None:
        """Make, describe and start the container; one that runs is taken over as it is.

        Raises:
            HiveError: `bad_config` for what nspawn would fail on, `operation_failed` with the journal's last lines,
                `shutting_down` after `close`.
        """
        async with self._locks[plan.name]:
            if self._closed:
                msg = f"'{plan.name}' cannot be started: the hive is shutting down"
                raise HiveError("shutting_down", msg, "Start it when the hive is up again")
            self._watch.begin()
            unit = await self._steps.look(plan.name)
            if unit.is_up:
                self._note(plan.name, unit)
                return
            self._ended(plan.name, unit, expected=False)
            await self.prepare(plan)
            await self._steps.mend(plan.name, unit)
            await self._bring_up(plan)

    async def stop(self, name: str) -> None:
        """Stop the container and end every try to restart it.

        Raises:
            HiveError: `operation_failed`: it does not stop.
        """
        async with self._locks[name]:
            await self._halt(name)

    async def restart(self, plan: AgentPlan) -> None:
        """Stop, describe anew, start."""
        await self.stop(plan.name)
        await self.start(plan)

    def change(self, plan: AgentPlan) -> Change:
        """What `deploy` would do to the container."""
        return self._files.change(plan)

    async def deploy(self, plan: AgentPlan) -> Change:
        """Bring the container to `plan`; tells what it took. One that does not run is only described."""
        async with self._locks[plan.name]:
            change = self.change(plan)
            if not (await self._steps.look(plan.name)).is_up:
                await self._steps.describe(plan)
                return change
            if change == "restart" or (change == "reload" and not await self._steps.switch(plan)):
                # Looked at before anything is stopped: what cannot start leaves the old one running.
                self._steps.check(plan)
                await self._halt(plan.name)
                await self._bring_up(plan)
                return "restart"
            await self._steps.limit(plan)
            return change

    def exists(self, name: str) -> bool:
        """Whether there is a container of that name, running or not."""
        conf = self._files.conf(name)
        # One of configuration.nix is none of the hive's, whatever it is called.
        return not conf.is_symlink() and (conf.exists() or self._files.root(name).exists())

    async def destroy(self, name: str) -> None:
        """Remove the container, whatever state it is in; the agent's directories stay.

        Raises:
            HiveError: `operation_failed`: something of it is still there.
        """
        async with self._locks[name]:
            # Also where it seems down: one that waits for its next try would come back without a conf.
            await self._halt(name, always=True)
            await self._steps.remove(name)
            self._known.pop(name, None)

    async def close(self) -> None:
        """Stop watching. The containers go on."""
        self._closed = True
        await self._watch.close()

    # --- with the agent's lock

    async def _bring_up(self, plan: AgentPlan) -> None:
        await self._steps.describe(plan)
        # The watch takes over what comes up although nobody waits for it any more.
        self._known.setdefault(plan.name, Known())
        self._note(plan.name, await self._steps.bring_up(plan))

    async def _halt(self, name: str, *, always: bool = False) -> None:
        self._ended(name, await self._steps.halt(name, always=always), expected=True)

    async def _crashed(self, name: str, unit: Unit) -> None:
        """The watch saw a container that ended by itself."""
        if unit.is_broken or not unit.is_down:
            self._repairs.count_next(name)
        self._ended(name, unit, expected=False, tail=await self._host.console(name))

    def _note(self, name: str, unit: Unit) -> None:
        before = self._known.get(name, Known())
        uid = before.root_uid if before.invocation in {"", unit.invocation} else None
        self._known[name] = Known(True, unit.invocation, unit.restarts, uid)  # noqa: FBT003 - `up`

    def _ended(self, name: str, unit: Unit, *, expected: bool, tail: tuple[str, ...] = ()) -> None:
        if not self._known.get(name, Known()).up:
            return
        self._known[name] = Known()
        try:
            self.on_exit(Exit(name, unit.code, expected, tail))
        except Exception:  # noqa: BLE001 - a listener's fault must not end the runtime
            _log.exception("the report of the end of '%s' failed", name)


def _is_name(name: str) -> bool:
    try:
        return check_agent_name(name) == name
    except ValueError:
        return False
