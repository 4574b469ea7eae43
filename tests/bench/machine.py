"""The machine that a run was made on: a figure without it means nothing."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, Final

_LIBRARIES: Final = (
    "fastapi",
    "starlette",
    "uvicorn",
    "httptools",
    "pydantic",
    "sqlalchemy",
    "httpx",
    "claude-agent-sdk",
)


def describe(directory: Path) -> dict[str, Any]:
    """Processor, memory, system, versions, and what a sync costs on the disk of `directory`."""
    return {
        "processor": _first("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memoryGiB": round(int(_first("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "system": f"{platform.system()} {platform.release()}",
        "fileSystem": _file_system(directory),
        "fdatasyncMs": round(_sync_ms(directory), 3),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }


def line(machine: dict[str, Any]) -> str:
    """The same in one line."""
    return (
        f"{machine['cores']} cores {machine['processor']}, {machine['memoryGiB']} GiB, {machine['system']}, "
        f"{machine['fileSystem']} (fdatasync {machine['fdatasyncMs']} ms), Python {machine['python']}, "
        f"load before {machine['load']}"
    )


class Others:
    """How much of the processor others had since this was made: all that was used, less what our processes used."""

    def __init__(self) -> None:
        self._began, self._used, self._own = time.monotonic(), _used(), _own()

    def cores(self) -> float:
        """Cores that others used on average; a process of ours that has not ended counts as another."""
        took = time.monotonic() - self._began
        return max(0.0, (_used() - self._used) - (_own() - self._own)) / took


def _used() -> float:
    """Seconds of processor that the machine has used."""
    user, nice, system, _idle, _wait, irq, softirq, *_rest = Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    return sum(map(int, (user, nice, system, irq, softirq))) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _first(path: str, key: str) -> str:
    for text in Path(path).read_text(encoding="utf-8").splitlines():
        if text.startswith(key):
            return text.partition(":")[2].strip()
    return "unknown"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _file_system(directory: Path) -> str:
    """The type of the mount that `directory` lies on."""
    found = ("", "unknown")
    for text in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _device, point, kind, *_rest = text.split()
        if directory.resolve().is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, kind)
    return found[1]


def _sync_ms(directory: Path) -> float:
    path, times = directory / "sync-probe", []
    with path.open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(b"x" * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    path.unlink()
    return median(times)
