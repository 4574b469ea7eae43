"""A builder on the real Nix, whose systems are trivial derivations: they build in a moment, without any of nixpkgs."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperhive.hive.confined import Bounds, User
from hyperhive.hive.nix_builder import BuildBounds, NixBuilder
from hyperhive.hive.nix_flake import Flake
from hyperhive.hive.nix_roots import Roots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hyperhive.hive.builder import BuildResult

#: Of each agent, whatever its agent.nix is.
TEMPLATE: Final = """\
{
  outputs = _: {
    nixosConfigurations = builtins.mapAttrs (name: _: {
      config.system.build.toplevel = import (./agents + "/${name}/agent.nix");
    }) (builtins.readDir ./agents);
  };
}
"""
PLATFORM: Final = f"{platform.machine()}-linux"
ROOTS: Final = Path("/nix/var/nix/gcroots")
#: Somebody whom the store's daemon does not trust.
NOBODY: Final = User(65534, 65534)
#: Small is what does not depend on the machine; the times only end what hangs.
_SMALL: Final = BuildBounds(
    evaluation=Bounds(seconds=200, memory_bytes=1024**3, output_bytes=1024**2), build_seconds=200, closure_bytes=1024**2
)
#: In every derivation: those of another run at the same time are others, whatever it keeps and deletes.
_RUN: Final = str(os.getpid())


def system(name: str = "system", *, script: str = "", units: dict[str, str] | None = None, more: str = "") -> str:
    """An agent.nix whose system has an init and some units."""
    lines = ["/bin/mkdir -p $out/etc/systemd/system", "echo '#!/bin/sh' >$out/init"]
    lines += [f"echo '{text}' >$out/etc/systemd/system/{unit}" for unit, text in (units or {}).items()]
    whole = "\n".join([*lines, script])
    return f"""\
derivation {{
  name = "{name}";
  system = "{PLATFORM}";
  builder = "/bin/sh";
  args = [ "-ec" ''{whole}'' ];
  run = "{_RUN}";
  {more}
}}
"""


@dataclass
class Yard:
    """A builder, and what it is given."""

    place: Path
    builder: NixBuilder
    roots: Path
    running: dict[str, Path] = field(default_factory=dict)
    bases: dict[str, Path] = field(default_factory=dict)

    def tree(self, agent_nix: str, name: str = "source") -> Path:
        """A tree with this agent.nix."""
        return self.files({"agent.nix": agent_nix}, name)

    def files(self, texts: Mapping[str, str], name: str = "source") -> Path:
        """A tree with these files."""
        made = self.place / name
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        for file, text in texts.items():
            (made / file).write_text(text)
        return made

    async def build(self, agent_nix: str, number: int = 1, agent: str = "alice") -> BuildResult:
        """Build a system of this agent.nix."""
        return await self.builder.build(agent, number, self.tree(agent_nix))

    def links(self) -> list[str]:
        """Names of the roots that the hive has made."""
        return sorted(path.name for path in self.roots.iterdir()) if self.roots.exists() else []


def is_rooted(path: Path) -> bool:
    """Whether the garbage collector would leave it: Nix refuses to delete it then."""
    command = ["nix", "--extra-experimental-features", "nix-command", "store", "delete", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode or "still alive" in done.stderr, done.stderr
    return bool(done.returncode)


@contextlib.contextmanager
def yard(
    user: User | None = None,
    bounds: BuildBounds = _SMALL,
    *,
    text: Callable[[], str] = lambda: TEMPLATE,
    options: Mapping[str, str] | None = None,
) -> Iterator[Yard]:
    """A builder until the end of the block; its roots are gone afterwards.

    Args:
        user: who builds; None is whoever runs the tests.
        bounds: what a proposal may use.
        text: gives the text of the flake.
        options: further settings of Nix.
    """
    place = Path(tempfile.mkdtemp(prefix="hh-build-"))
    place.chmod(0o755)
    roots = ROOTS / place.name
    running: dict[str, Path] = {}
    bases: dict[str, Path] = {}
    (place / "builder").mkdir()
    (place / "builder").chmod(0o755)
    flake = Flake(place / "flake", text, bases.get)
    builder = NixBuilder(
        flake,
        Roots(roots),
        place / "builder",
        place / "logs",
        running=running.get,
        user=lambda: user,
        bounds=lambda: bounds,
        # This Nix may have come without the program that it asks other machines with.
        options={"build-hook": "", **(options or {})},
    )
    umask = os.umask(0o077)
    try:
        yield Yard(place, builder, roots, running, bases)
    finally:
        os.umask(umask)
        shutil.rmtree(roots, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as line:
        return line.connect_ex(str(path)) == 0


@contextlib.contextmanager
def store_daemon(place: Path, *, sandbox: str = "false") -> Iterator[Path]:
    """The store's daemon, which trusts root alone, on a socket of its own."""
    path = place / "socket"
    options = ("--option", "trusted-users", "root", "--option", "sandbox", sandbox, "--option", "build-hook", "")
    command = ["nix", "--extra-experimental-features", "nix-command", "daemon", *options]
    environment = {**os.environ, "NIX_DAEMON_SOCKET_PATH": str(path)}
    place.chmod(0o755)
    with (place / "daemon.log").open("wb") as log, subprocess.Popen(command, env=environment, stderr=log) as daemon:
        try:
            while not _listens(path):
                assert daemon.poll() is None, (place / "daemon.log").read_text()
                time.sleep(0.05)
            yield path
        finally:
            daemon.terminate()
