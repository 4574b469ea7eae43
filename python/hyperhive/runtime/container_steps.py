"""What is done to one container, step by step: described, brought up, switched to another system, halted, mended.

Between files and programs on one side and `nixos_container` on the other, which decides what is done, one thing at a
time for each container, and remembers what came of it. Nothing is remembered here but how often was mended.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hyperhive.errors import HiveError
from hyperhive.runtime.container_conf import conf_text, container_of
from hyperhive.runtime.container_files import check_sources

if TYPE_CHECKING:
    from hyperhive.runtime.base import AgentPlan
    from hyperhive.runtime.container_files import ContainerFiles
    from hyperhive.runtime.container_host import ContainerHost
    from hyperhive.runtime.repairs import Repairs
    from hyperhive.runtime.units import Unit

_log = logging.getLogger(__name__)


class ContainerSteps:
    """The steps, for any container.

    Args:
        files: what describes containers.
        host: the host's programs.
        repairs: how often a broken one is mended.
    """

    def __init__(self, files: ContainerFiles, host: ContainerHost, repairs: Repairs) -> None:
        self._files = files
        self._host = host
        self._repairs = repairs

    async def look(self, name: str) -> Unit:
        """How it is now."""
        return (await self._host.show([name]))[name]

    def check(self, plan: AgentPlan) -> None:
        """Look for what would keep it from starting; from here on the store keeps its system.

        Raises:
            HiveError: `bad_config`.
        """
        conf_text(plan)
        check_sources(plan)
        self._files.begin(plan)

    async def describe(self, plan: AgentPlan) -> None:
        """Make the container if there is none, and rewrite all that says what it is."""
        self.check(plan)
        system = container_of(plan).system
        if system is not None and not self._files.exists(plan.name):
            await self._host.create(plan.name, system)
        self._files.write_conf(plan)
        await self.limit(plan)

    async def limit(self, plan: AgentPlan) -> None:
        """Rewrite limits and walls; systemd applies them to what runs."""
        if self._files.write_drop_in(plan):
            await self._host.daemon_reload()

    async def bring_up(self, plan: AgentPlan) -> Unit:
        """Start it.

        Raises:
            HiveError: `operation_failed` with the journal's last lines; it does not run then, and does not try again.
        """
        # Forgets the count of starts, too: an operator who restarts often is no loop.
        await self._host.reset(plan.name)
        done = await self._host.start(plan.name)
        unit = await self.look(plan.name)
        if done.ok and unit.is_up:
            self._files.finish(plan)
            return unit
        said = await self._host.console(plan.name)
        # It would try again by itself, unseen.
        await self._host.stop(plan.name)
        if unit.load == "not-found":
            msg, hint = "there is no container@.service on this host", "Set boot.enableContainers = true"
            raise HiveError("operation_failed", msg, hint)
        why = "; ".join(said[-3:] or done.tail(3)) or f"systemctl ended with {done.code}"
        msg = f"the container of '{plan.name}' does not start: {why}"
        hint = f"See: journalctl -u container@h-{plan.name}"
        raise HiveError("operation_failed", msg, hint, tail=list(said))

    async def halt(self, name: str, *, always: bool = False) -> Unit:
        """End it and every try to restart it; how it is then.

        Args:
            name: the agent.
            always: also where it seems to be down.
        """
        unit = await self.look(name)
        if unit.is_down and not unit.is_broken and not always:
            return unit
        await self._host.stop(name)
        after = await self.look(name)
        if after.is_broken or always:
            await self._host.reset(name)
        return after

    async def mend(self, name: str, unit: Unit) -> None:
        """Bring a unit that systemd gave up on, or is going to, to where a start works again.

        Raises:
            HiveError: `operation_failed`: it was mended too often.
        """
        if not (unit.is_broken or self._repairs.awaits(name)):
            return
        if not self._repairs.allow(name):
            said = "; ".join(await self._host.console(name, 3))
            msg = f"the container of '{name}' failed again after {self._repairs.most} repairs: {said}"
            raise HiveError("operation_failed", msg, f"See: journalctl -u container@h-{name}; then start it again")
        # A killed nspawn leaves its machine registered until the unit was really stopped.
        await self._host.stop(name)

    async def switch(self, plan: AgentPlan) -> bool:
        """Change what runs to the plan's system without a restart; false where that is not enough."""
        self._files.begin(plan)
        self._files.write_conf(plan)
        done = await self._host.switch(plan.name)
        if done.ok:
            self._files.finish(plan)
        else:
            said = "; ".join(done.tail(3))
            _log.warning("'%s' is restarted, its new system cannot be switched to: %s", plan.name, said)
        return done.ok

    async def remove(self, name: str) -> None:
        """Remove the container, whatever state it is in.

        Raises:
            HiveError: `operation_failed`: something of it is still there.
        """
        if self._files.exists(name) or self._files.root(name).exists():
            await self._host.destroy(name)
        if self._files.remove(name):
            await self._host.daemon_reload()
        # nixos-container says that all went well also where the root was busy.
        left = [path for path in (self._files.conf(name), self._files.root(name)) if path.exists()]
        if left:
            msg = f"of the container of '{name}' there still is {' and '.join(map(str, left))}"
            raise HiveError("operation_failed", msg, "See what uses it (findmnt, lsof), then destroy it once more")
