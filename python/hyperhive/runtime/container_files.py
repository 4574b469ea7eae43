"""The files of a container on the host that the hive writes: its conf, its unit's drop-in, its roots in the store.

They are also the record of what was deployed. A system is rooted before it is used, and stays so until the next one
runs: as long as `h-NAME.next` is there, a deploy was begun and has not ended.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyperhive.errors import HiveError
from hyperhive.runtime.container_conf import conf_text, container_of, drop_in_text, without_system
from hyperhive.runtime.units import machine, unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hyperhive.runtime.base import AgentPlan, Change


@dataclass(frozen=True)
class ContainerPaths:
    """Where things are on a NixOS host.

    Attributes:
        confs: environment files of `container@.service`.
        roots: file systems of containers.
        drop_ins: units made at run time; gone after a reboot, and written anew by the next start.
        gc_roots: the hive's own directory. Not the profile, which is bound writable into the container.
    """

    confs: Path = Path("/etc/nixos-containers")
    roots: Path = Path("/var/lib/nixos-containers")
    drop_ins: Path = Path("/run/systemd/system")
    gc_roots: Path = Path("/nix/var/nix/gcroots/hyperhive")


class ContainerFiles:
    """Reads and writes the files of containers; every write is complete or not there."""

    def __init__(self, paths: ContainerPaths) -> None:
        self._paths = paths

    def conf(self, name: str) -> Path:
        """The conf: there is a container where it is."""
        return self._paths.confs / f"{machine(name)}.conf"

    def drop_in(self, name: str) -> Path:
        """The drop-in of the unit."""
        return self._paths.drop_ins / f"{unit(name)}.d" / "50-hyperhive.conf"

    def root(self, name: str) -> Path:
        """The container's file system."""
        return self._paths.roots / machine(name)

    def exists(self, name: str) -> bool:
        """Whether there is such a container.

        Raises:
            HiveError: `wrong_state`: it is one of configuration.nix, not of the hive.
        """
        conf = self.conf(name)
        if conf.is_symlink():
            msg = f"a container '{machine(name)}' is declared in configuration.nix (containers.{machine(name)})"
            raise HiveError("wrong_state", msg, "Rename it, or the agent")
        return conf.exists()

    def change(self, plan: AgentPlan) -> Change:
        """What it would take to deploy `plan` into the container as it was written last."""
        found, wanted = _read(self.conf(plan.name)), conf_text(plan)
        if found is None or without_system(found) != without_system(wanted):
            return "restart"
        if found != wanted or self._next_root(plan.name).is_symlink():
            return "reload"
        return "none" if _read(self.drop_in(plan.name)) == drop_in_text(plan) else "limits"

    def write_conf(self, plan: AgentPlan) -> None:
        """Rewrite the conf."""
        with _explained(self.conf(plan.name)):
            _write(self.conf(plan.name), conf_text(plan))

    def write_drop_in(self, plan: AgentPlan) -> bool:
        """Write the drop-in; whether systemd has to read it."""
        path, text = self.drop_in(plan.name), drop_in_text(plan)
        if _read(path) == text:
            return False
        with _explained(path):
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.parent.chmod(0o755)
            _write(path, text)
        return True

    def begin(self, plan: AgentPlan) -> None:
        """Keep the garbage collector from the system that is going to run.

        Raises:
            HiveError: `bad_config`: it is not there.
        """
        system = container_of(plan).system
        link = self._next_root(plan.name)
        with _explained(link):
            self._paths.gc_roots.mkdir(mode=0o755, parents=True, exist_ok=True)
            _link(link, system)
        # Looked at once it is rooted: before, it could go in between.
        if system is None or not system.exists():
            link.unlink(missing_ok=True)
            msg = f"the system of '{plan.name}' is not in the store: {system}"
            raise HiveError("bad_config", msg, "Build the configuration anew, then: hyperhive reconcile")

    def finish(self, plan: AgentPlan) -> None:
        """The system runs: the one before may be collected."""
        link = self._next_root(plan.name)
        with _explained(link):
            if link.is_symlink():
                link.replace(self._paths.gc_roots / machine(plan.name))

    def remove(self, name: str) -> bool:
        """Remove what the hive wrote beside the conf; whether systemd has to know."""
        drop_ins = self.drop_in(name).parent
        had = drop_ins.exists()
        shutil.rmtree(drop_ins, ignore_errors=True)
        for link in (self._next_root(name), self._paths.gc_roots / machine(name)):
            link.unlink(missing_ok=True)
        return had

    def _next_root(self, name: str) -> Path:
        return self._paths.gc_roots / f"{machine(name)}.next"


def check_sources(plan: AgentPlan) -> None:
    """Look at what nspawn would fail on: a missing directory ends its start with "Failed to stat".

    Raises:
        HiveError: `bad_config`, naming setting and path.
    """
    for variable, source in plan.credentials.items():
        where = f"agents.{plan.name}.credentials.{variable}"
        try:
            with source.open("rb") as file:
                file.read(1)
        except OSError as error:
            msg = f"{where}: the file '{source}' cannot be read: {error.strerror}"
            refusal = HiveError("bad_config", msg, "Put the secret there, or correct the path", variable=variable)
            raise refusal from error
    for bind in container_of(plan).binds:
        if not bind.source.exists():
            msg = f"agents.{plan.name}.bindMounts.\"{bind.place}\": there is no '{bind.source}' on this host"
            raise HiveError("bad_config", msg, "Make the directory, or take the setting away")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HiveError("operation_failed", f"'{path}' cannot be written: {error.strerror}", "Look at it") from error


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _write(path: Path, text: str) -> None:
    # The name does not end in .conf: nixos-container and systemd take every file that does.
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o644)
    fresh.replace(path)


def _link(link: Path, target: Path | None) -> None:
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.fspath(target or ""))
    fresh.replace(link)
