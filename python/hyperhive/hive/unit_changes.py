"""Which units of systemd a switch from one system to another would start anew: found by looking, not by switching.

What is looked at was built from what an agent wrote. So a path is followed only as long as it stays in the store, only
regular files are read, and no more of them than a real unit has.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_UNITS: Final = Path("etc/systemd/system")
_KINDS: Final = (".service", ".socket", ".timer", ".path", ".mount", ".target")
#: Bytes of a unit, and units of a system, that are looked at.
_LONGEST: Final = 65536
_MOST: Final = 4096
_STAYS: Final = re.compile(r"^X-(RestartIfChanged|ReloadIfChanged)=(false|true)$", re.MULTILINE)
#: It says that a switch must not restart it, because the hive does, once its turn has ended.
HARNESS: Final = "hyperhive-harness.service"


def restarted(before: Path, after: Path, store: Path = Path("/nix/store")) -> tuple[str, ...]:
    """Names of the units of both systems that a switch would start anew, sorted."""
    old, new = _units(before, store), _units(after, store)
    return tuple(sorted(name for name in old.keys() & new.keys() if _starts_anew(name, old[name], new[name])))


def _starts_anew(name: str, old: Path, new: Path) -> bool:
    if old == new:
        return False
    text = _read(new)
    if _read(old) == text:
        return False
    stays = {match.group(1): match.group(2) for match in _STAYS.finditer(text)}
    return name == HARNESS or (stays.get("RestartIfChanged") != "false" and stays.get("ReloadIfChanged") != "true")


def _units(system: Path, store: Path) -> dict[str, Path]:
    directory = _inside(system / _UNITS, store)
    if directory is None or not directory.is_dir():
        return {}
    names = sorted(path.name for path in directory.iterdir() if path.name.endswith(_KINDS))[:_MOST]
    found = {name: _inside(directory / name, store) for name in names}
    return {name: path for name, path in found.items() if path is not None and path.is_file()}


def _inside(path: Path, store: Path) -> Path | None:
    """Where a path really leads, if that is in the store."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    return real if real.is_relative_to(store) else None


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_LONGEST).decode(errors="replace")
