"""What an agent of root gets to see of directories that its uid cannot enter: the plan, not the deed.

A hive of root may lie, with its Python, below `/root`, where no uid of an agent comes through. Each such directory is
covered by an empty one, in which only what this agent needs is let through, at its own path. So a plan needs no path
translated, and nobody's modes are changed. The directories in which all agents have theirs are covered likewise. In go
the paths that an agent needs, out comes what the `mounter` is told. Modes and links are looked at, nothing is touched.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from hyperhive.runtime.links import link_chain
from hyperhive.runtime.readable import closed_above

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hyperhive.runtime.base import Owner
    from hyperhive.runtime.readable import Stat

    Kind = Literal["cover", "read-only", "writable"]

_MOUNTER: Final = Path(__file__).with_name("mounter.py")
_PROBE_SECONDS: Final = 20
#: What stands in a covered directory on the way to something shown.
_WAY: Final = os.stat_result((stat.S_IFDIR | 0o755, 0, 0, 1, 0, 0, 0, 0, 0, 0))


def _around(mounts: Mapping[Path, Kind], path: Path) -> Kind | None:
    """What is at `path`, by the innermost mount at or above it; None for what the host has there."""
    return next((mounts[step] for step in (path, *path.parents) if step in mounts), None)


@dataclass(frozen=True)
class Opened:
    """What is mounted for one agent.

    Attributes:
        mounts: what is covered and what is let through, outermost first.
        links: symbolic links to recreate in covered directories, and their targets.
    """

    mounts: Mapping[Path, Kind]
    links: Mapping[Path, Path]

    def look(self, path: Path) -> os.stat_result:
        """The mode of `path` as this agent meets it, for `readable`."""
        return _WAY if _around(self.mounts, path) == "cover" else path.stat()

    def front(self, directory: Path) -> tuple[str, ...]:
        """The front of a command that is to see it so, and to begin in `directory`; empty where nothing is mounted."""
        if not self.mounts:
            return ()
        words = [word for path, kind in self.mounts.items() for word in (kind, str(path))]
        words += [word for path, target in self.links.items() for word in ("link", str(path), str(target))]
        return (sys.executable, "-I", "-S", str(_MOUNTER), *words, "directory", str(directory), "--")


def plan_opening(
    owner: Owner,
    read_only: Iterable[Path],
    writable: Iterable[Path],
    hidden: Iterable[Path] = (),
    look: Stat = Path.stat,
) -> Opened:
    """What to mount so that `owner` comes to what it needs, and not to the rest of what is closed to it.

    Args:
        owner: the agent.
        read_only: what it needs to read.
        writable: what it needs to read and to write.
        hidden: directories to cover, closed or not.
        look: how a mode is found out.
    """
    links: dict[Path, Path] = {}
    needed: dict[Path, Kind] = {}
    for paths, kind in ((read_only, "read-only"), (writable, "writable")):
        for path in paths:
            chain, end = link_chain(path)
            links.update(chain)
            needed[end] = "writable" if kind == "writable" else "read-only"
    closed = {above for path in (*needed, *links) for above in closed_above(path, owner, look)}
    covers: dict[Path, Kind] = dict.fromkeys((closed | {path.resolve() for path in hidden}) - {Path("/")}, "cover")
    mounts = _needed_mounts({**covers, **needed})
    return Opened(mounts, {path: links[path] for path in sorted(links) if _around(mounts, path) == "cover"})


def _needed_mounts(wanted: Mapping[Path, Kind]) -> dict[Path, Kind]:
    """Without what is so already by the mount around it, and without what lies in the open."""
    mounts: dict[Path, Kind] = {}
    for path in sorted(wanted, key=lambda path: (len(path.parts), path)):
        kind, around = wanted[path], _around(mounts, path)
        if kind != around and (around or kind == "cover"):
            mounts[path] = kind
    return mounts


def why_not(front: Sequence[str]) -> str:
    """Why the mounter does not work here, in a few milliseconds; empty if it does.

    Args:
        front: the front of a command that gives up root's powers.
    """
    # Any directory and any file in it will do; only the trial sees the cover.
    trial = Opened({_MOUNTER.parent: "cover", _MOUNTER: "read-only"}, {})
    command = (*trial.front(Path("/")), *front, "/bin/sh", "-c", "exit 0")
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if answer.returncode == 0 else answer.stderr.strip() or f"it ended with {answer.returncode}"
