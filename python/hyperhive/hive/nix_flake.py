"""The flake that the hive builds agents' systems from: its text, and its files in the state directory.

    flake.nix                the inputs: the sources that the host was built with, as store paths
    base/<agent>/            a copy of `agents.<agent>.configFile`, where there is one
    agents/<agent>/          the tree that was deployed last; `agent.nix` is its entry
    proposals/<approval>/    trees that were built and are not decided

An operator can build from it by hand, offline: `nix build path:/var/lib/hyperhive/flake#nixosConfigurations.alice…`.
What is built for an approval is a copy of one agent's part (`lay_out`) where the builder's user can read it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from hyperhive.config import Builder as Sources

_STORE_PATH: Final = re.compile(r"/nix/store/[0-9a-z]{32}-[0-9A-Za-z+._?=-]+")
#: Its inputs are locked in memory, by what the store knows of them: evaluation needs no network.
TEMPLATE: Final = """\
# Written by hyperhive. The agents' systems as they are deployed: each is harness-base, the operator's configFile, and
# on top what the manager proposed and the operator approved.
{
  inputs = {
    nixpkgs.url = "path:@nixpkgs@";
    nixpkgs-unstable.url = "path:@nixpkgsUnstable@";
    hyperhive = {
      url = "path:@hyperhive@";
      inputs.nixpkgs.follows = "nixpkgs";
      inputs.nixpkgs-unstable.follows = "nixpkgs-unstable";
    };
  };

  outputs =
    { hyperhive, ... }:
    {
      nixosConfigurations = builtins.mapAttrs (
        name: _:
        hyperhive.lib.agentSystem {
          hostPlatform = "@system@";
          modules =
            (if builtins.pathExists (./base + "/${name}") then [ (./base + "/${name}") ] else [ ])
            ++ [ (./agents + "/${name}/agent.nix") ];
        }
      ) (builtins.readDir ./agents);
    };
}
"""


def flake_text(sources: Sources, template: str = TEMPLATE) -> str:
    """The flake's text.

    Raises:
        HiveError: `bad_config`: a source is no path in the store.
    """
    values = {
        "nixpkgs": sources.nixpkgs,
        "nixpkgsUnstable": sources.nixpkgs_unstable or sources.nixpkgs,
        "hyperhive": sources.hyperhive,
    }
    text = template.replace("@system@", f"{platform.machine()}-linux")
    for key, path in values.items():
        if f"@{key}@" in text:
            if path is None or not _STORE_PATH.fullmatch(str(path)):
                msg = f"builder.{key}: '{path}' is no path in the Nix store, so nothing can be built"
                raise HiveError("bad_config", msg, "The NixOS module writes it; build the configuration anew")
            text = text.replace(f"@{key}@", str(path))
    return text


def is_store_path(text: str) -> bool:
    """Whether this is a path of the store itself, with nothing below it."""
    return _STORE_PATH.fullmatch(text) is not None


@dataclass(frozen=True)
class Flake:
    """The flake of one hive.

    Attributes:
        root: where it lies.
        text: gives the text of `flake.nix` by the settings in force.
        base: gives an agent's configFile by the settings in force.
    """

    root: Path
    text: Callable[[], str]
    base: Callable[[str], Path | None]

    def word(self, agent: str) -> str:
        """A word for all that an agent's system is built with beside its own tree."""
        return hashlib.sha256(f"{self.text()}\0{self.base(agent)}".encode()).hexdigest()[:32]

    def propose(self, approval_id: int, source: Path) -> Path:
        """Keep a copy of a tree, until it is decided."""
        place = self.root / "proposals" / str(approval_id)
        _replace(place, source)
        return place

    def lay_out(self, agent: str, tree: Path, into: Path) -> None:
        """Write the part of the flake that one agent's system is built from; everybody who can enter can read it."""
        for directory in (into, into / "agents", into / "base"):
            directory.mkdir()
            directory.chmod(0o755)
        (into / "flake.nix").write_text(self.text(), encoding="utf-8")
        (into / "flake.nix").chmod(0o644)
        _copy(tree, into / "agents" / agent)
        if (base := self.base(agent)) is not None:
            _copy_base(base, into / "base" / agent)

    def deploy(self, agent: str, approval_id: int) -> None:
        """What was proposed is what runs. Idempotent."""
        place, proposal = self.root / "agents" / agent, self.root / "proposals" / str(approval_id)
        if proposal.is_dir():
            _replace(place, proposal)
            shutil.rmtree(proposal)
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.root / "flake.nix").write_text(self.text(), encoding="utf-8")
        base = self.base(agent)
        shutil.rmtree(self.root / "base" / agent, ignore_errors=True)
        if base is not None:
            _copy_base(base, self.root / "base" / agent)

    def deployed(self, agent: str) -> Path | None:
        """The tree that was deployed last."""
        place = self.root / "agents" / agent
        return place if place.is_dir() else None

    def drop(self, approval_id: int) -> None:
        """What was proposed is not wanted any more. Idempotent."""
        shutil.rmtree(self.root / "proposals" / str(approval_id), ignore_errors=True)

    def sweep(self, wanted: Collection[int]) -> None:
        """Drop every proposal that is not wanted."""
        for place in (self.root / "proposals").glob("*"):
            if place.name not in {str(number) for number in wanted}:
                shutil.rmtree(place, ignore_errors=True)

    def purge(self, agent: str) -> None:
        """Drop what was deployed for an agent."""
        for part in ("agents", "base"):
            shutil.rmtree(self.root / part / agent, ignore_errors=True)


def _replace(place: Path, source: Path) -> None:
    fresh = place.with_name(f"{place.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    _copy(source, fresh)
    shutil.rmtree(place, ignore_errors=True)
    fresh.rename(place)


def _copy(source: Path, into: Path) -> None:
    """Copy regular files and directories; an agent wrote them, and anything else is refused.

    Raises:
        HiveError: `bad_proposal`, naming what it is.
    """
    into.mkdir(parents=True)
    into.chmod(0o755)
    for entry in sorted(os.scandir(source), key=lambda found: found.name):
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            _copy(Path(entry.path), into / entry.name)
        elif stat.S_ISREG(status.st_mode):
            shutil.copyfile(entry.path, into / entry.name, follow_symlinks=False)
            (into / entry.name).chmod(0o755 if status.st_mode & stat.S_IXUSR else 0o644)
        else:
            msg = f"'{entry.name}' is neither a file nor a directory"
            raise HiveError("bad_proposal", msg, "Take it out of the commit")


def _copy_base(base: Path, into: Path) -> None:
    """Copy the operator's module, a file or a directory with a default.nix."""
    into.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    shutil.rmtree(into, ignore_errors=True)
    if base.is_dir():
        shutil.copytree(base, into, symlinks=True)
    else:
        into.mkdir(mode=0o755)
        shutil.copyfile(base, into / "default.nix")
    for path in (into, *into.rglob("*")):
        if not path.is_symlink():
            # From the store they come without the right to be written, or removed again.
            path.chmod(0o755 if path.is_dir() else 0o644)
