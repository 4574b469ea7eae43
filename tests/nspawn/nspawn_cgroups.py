"""Which cgroups the machine of the tier is in, what of them it sees, and that they are gone afterwards.

With one hierarchy, as on NixOS, limits hold where this machine has its controllers in that hierarchy. Where it has them
in hierarchies of their own (version 1) they hold only in a machine that has those too: `limiting`. Filters of ports and
addresses hold only in the former.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_CGROUPS: Final = Path("/sys/fs/cgroup")
#: Hierarchies without a controller, which know what belongs together.
_TREES: Final = ("systemd", "unified")
#: What limits are made of; /rig/init-with-controllers names them too.
_CONTROLLERS: Final = ("memory", "cpu", "cpuacct", "pids", "devices")
#: systemd 257 does not run on version 1 unless it is told twice.
_LEGACY: Final = "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
#: Seconds between two looks, and until all must be gone.
_LOOK: Final = 0.02
_PATIENCE: Final = 120


@dataclass(frozen=True)
class Cgroups:
    """A way to start a machine.

    Attributes:
        parents: where it gets a group of its own, or nspawn makes groups at the top and leaves them behind.
        switches: nspawn's environment.
        init: the end of nspawn's command line.
    """

    parents: tuple[Path, ...]
    switches: dict[str, str] = field(default_factory=dict)
    init: tuple[str, ...] = ("--boot",)

    @classmethod
    def unified(cls) -> Cgroups:
        """One hierarchy."""
        trees = (_CGROUPS,) if _is_unified() else tuple(path for name in _TREES if (path := _CGROUPS / name).is_dir())
        return cls(trees, {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"})

    @classmethod
    def limiting(cls) -> Cgroups:
        """The one in which limits hold, if there is any."""
        return (
            cls.unified() if _is_unified() else cls(_ours(), init=(f"--setenv={_LEGACY}", "/rig/init-with-controllers"))
        )

    def groups(self, name: str) -> list[Path]:
        """The groups of a machine."""
        return [parent / name for parent in self.parents]


def _is_unified() -> bool:
    return (_CGROUPS / "cgroup.procs").exists()


def _ours() -> tuple[Path, ...]:
    """Our own groups: what limits us limits the machine."""
    found = []
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        _number, names, path = line.split(":", 2)
        hierarchy = _CGROUPS / (names.removeprefix("name=") or "unified")
        if hierarchy.name in {*_TREES, *_CONTROLLERS} and hierarchy.is_dir():
            found.append(hierarchy / path.lstrip("/"))
    return tuple(found)


async def end_groups(groups: list[Path]) -> None:
    """Kill what is left in groups and remove them with all below them."""
    for group in groups:
        # A killed nspawn leaves its system running; only the group knows all of it.
        if (group / "cgroup.kill").exists():
            (group / "cgroup.kill").write_text("1")
    async with asyncio.timeout(_PATIENCE):
        for group in groups:
            while not _removed(group):  # noqa: ASYNC110 - nobody tells of its end
                await asyncio.sleep(_LOOK)


def _removed(group: Path) -> bool:
    try:
        for path, _directories, _files in os.walk(group, topdown=False):
            Path(path).rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
