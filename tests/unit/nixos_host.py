"""A NixOS host in memory: takes the place of the programs that the container runtime runs, and records each call.

It behaves as the real ones were measured to, the unpleasant parts first: exit codes are leftovers, a failed create
leaves its conf behind, destroying nothing succeeds, a unit in auto-restart comes back after its files are gone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hyperhive.runtime.base import AgentPlan, Owner
from hyperhive.runtime.command import Done
from hyperhive.runtime.container import Container
from hyperhive.runtime.container_files import ContainerPaths
from hyperhive.runtime.container_host import ContainerHost
from hyperhive.runtime.nixos_container import NixosContainerRuntime
from hyperhive.runtime.units import Unit, agent_of, unit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: What nixos-container exits with: Perl's last errno.
LEFTOVER = 25
FIRST_UID = 1_000_000_000


@dataclass
class NixosHost:
    """The host. `calls` has every command, without the options of `systemctl show` and journalctl.

    Attributes:
        failing: commands, by their first words, that fail with what is said here.
        on: called before a command, by its first words.
    """

    directory: Path
    calls: list[str] = field(default_factory=list)
    units: dict[str, Unit] = field(default_factory=dict)
    failing: dict[str, Done] = field(default_factory=dict)
    on: dict[str, Callable[[], object]] = field(default_factory=dict)
    console: str = ""
    root_map: str = f"         0 {FIRST_UID}      65536\n"
    runs: int = 0
    #: When systemd read its units last, and how often ports were closed again since.
    loaded: int = 1
    closed: int = 0

    def __post_init__(self) -> None:
        self.paths = ContainerPaths(*(self.directory / name for name in ("confs", "roots", "units", "gcroots")))
        for path in (self.paths.confs, self.paths.roots, self.paths.drop_ins):
            path.mkdir()
        (self.directory / "proc" / "77").mkdir(parents=True)
        self.system = self.store("system")

    def store(self, name: str) -> Path:
        """A store path that is there."""
        path = self.directory / "store" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def runtime(self, **more: Any) -> NixosContainerRuntime:  # noqa: ANN401 - passed on
        own = Owner(self.directory.stat().st_uid, self.directory.stat().st_gid, -1)
        # The tests look when they want to.
        more = {"watch_seconds": 3600, "owner": own, **more}
        return NixosContainerRuntime(self.paths, ContainerHost(self, self.directory / "proc"), **more)

    def plan(self, name: str = "alice", **container: Any) -> AgentPlan:  # noqa: ANN401 - passed on
        own = self.directory / "state" / "agents" / name
        return AgentPlan(
            name=name,
            claude=own / "claude",
            state=own / "state",
            shared=self.directory / "state" / "shared",
            socket_dir=self.directory / "run" / "agents" / name,
            log=self.directory / "state" / "logs" / f"{name}.log",
            container=Container(**{"system": self.system, **container}),
        )

    def conf(self, name: str = "alice") -> Path:
        return self.paths.confs / f"h-{name}.conf"

    def drop_in(self, name: str = "alice") -> Path:
        return self.paths.drop_ins / f"{unit(name)}.d" / "50-hyperhive.conf"

    def root(self, name: str = "alice") -> Path:
        return self.paths.roots / f"h-{name}"

    def set(self, name: str, **changes: Any) -> None:  # noqa: ANN401 - fields of Unit
        """Something happened to a container."""
        self.units[name] = replace(self.units.get(name, Unit()), **changes)

    def taken(self) -> list[str]:
        """The calls since the last time, without mere questions."""
        calls, self.calls = self.calls, []
        return [call for call in calls if not call.startswith(("systemctl show", "journalctl", "systemd-run"))]

    # --- the programs

    async def __call__(self, *command: str, seconds: float) -> Done:
        assert seconds > 0
        words = " ".join(word for word in command if not word.startswith("--property="))
        self.calls.append(words)
        await asyncio.sleep(0)
        for front, act in list(self.on.items()):
            if words.startswith(front):
                act()
        for front, done in list(self.failing.items()):
            if words.startswith(front):
                if front.startswith("nixos-container create"):
                    self.conf(command[2][2:]).write_text("PRIVATE_NETWORK=1\n")
                return done
        action = getattr(self, f"_{command[0].replace('-', '_')}")
        done = action(*command[1:])
        assert isinstance(done, Done)
        return done

    def _nixos_container(self, action: str, machine: str, *rest: str) -> Done:
        name = machine.removeprefix("h-")
        if len(machine) > 11:
            return Done(LEFTOVER, err=f"nixos-container: container name '{machine}' is too long")
        if action == "create":
            if self.conf(name).exists():
                return Done(LEFTOVER, err=f"nixos-container: container '{machine}' already exists")
            assert rest[0] == "--system-path"
            network = "HOST_ADDRESS=10.233.1.1\nLOCAL_ADDRESS=10.233.1.2"
            self.conf(name).write_text(f"PRIVATE_NETWORK=1\n{network}\nHOST_BRIDGE=\nHOST_PORT=\nAUTO_START=0\n")
        elif action == "destroy":
            self.conf(name).unlink(missing_ok=True)
            if self.root(name).exists() and not (self.root(name) / "busy").exists():
                self.root(name).rmdir()
        return Done(0)

    def _systemctl(self, action: str, *rest: str) -> Done:
        if action == "daemon-reload":
            self.loaded += 1
            self.closed = 0
            return Done(0)
        if rest[-1] == "--value":
            return Done(0, f"{self.loaded}\n")
        if action == "show":
            return self._show(list(rest[2:]))
        name = agent_of(rest[0])
        assert name is not None
        now = self.units.get(name, Unit())
        if action == "start":
            return self._start(name, now)
        if action == "stop":
            if now.is_up:
                self.set(name, active="inactive", sub="dead", code=0)
            elif now.is_broken:
                self.set(name, active="failed", sub="failed")
        elif action == "reset-failed" and now.active == "failed":
            self.set(name, active="inactive", sub="dead", result="success", restarts=0)
        return Done(0)

    def _start(self, name: str, now: Unit) -> Done:
        if now.is_broken:
            return Done(1, err="Failed to register machine: Machine already exists")
        if not self.conf(name).exists():
            return Done(1, err="no conf")
        if not now.is_up:
            self.runs += 1
            self.root(name).mkdir(exist_ok=True)
            (self.directory / "proc" / "77" / "uid_map").write_text(self.root_map)
            self.set(name, active="active", sub="running", invocation=f"run{self.runs}", code=0)
        return Done(0)

    def _show(self, names: list[str]) -> Done:
        if names == ["container@h-*.service"]:
            names = [unit(name) for name in self.units]
        blocks = []
        for name in names:
            it = self.units.get(agent_of(name) or "", Unit())
            blocks.append(
                f"Id={name}\nLoadState={it.load}\nActiveState={it.active}\nSubState={it.sub}\nResult={it.result}\n"
                f"NRestarts={it.restarts}\nInvocationID={it.invocation}\n"
                f"ExecMainCode={1 if it.code >= 0 else 2}\nExecMainStatus={abs(it.code)}\n"
            )
        return Done(0, "\n".join(blocks))

    def _systemd_run(self, *rest: str) -> Done:
        assert "--slice=machine.slice" in rest
        self.closed += 1
        return Done(0)

    def _machinectl(self, *rest: str) -> Done:
        name = rest[-1].removeprefix("h-")
        up = self.units.get(name, Unit()).is_up
        return Done(0, "77\n") if up else Done(1, err=f'Could not get path to machine: No machine "h-{name}" known')

    def _journalctl(self, *_rest: str) -> Done:
        return Done(0, self.console)
