"""Ending a process that no longer listens, with everything that it started.

Claude runs shell commands in sessions of their own, so a signal to it or to its group may leave them behind. The tree
is therefore written down first; each process is known by its number and the time of its start, so that a number that
was given to somebody else in the meantime is never hit.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")


class Running(NamedTuple):
    """One process, as long as it lives."""

    pid: int
    started: str


class _Row(NamedTuple):
    parent: int
    started: str


def tree(pid: int) -> list[Running]:
    """`pid` and everything below it, parents first; empty if it is gone."""
    rows = {int(entry.name): row for entry in _PROC.iterdir() if entry.name.isdigit() and (row := _row(entry))}
    if pid not in rows:
        return []
    found = [pid]
    for parent in found:
        found.extend(child for child, row in rows.items() if row.parent == parent)
    return [Running(each, rows[each].started) for each in found]


def terminate(processes: list[Running]) -> None:
    """Ask the first of a tree to end: it takes its children along."""
    _signal(processes[:1], signal.SIGTERM)


def kill(processes: list[Running]) -> None:
    """End whatever of `processes` still lives."""
    _signal(processes, signal.SIGKILL)


def _signal(processes: list[Running], number: signal.Signals) -> None:
    for process in processes:
        row = _row(_PROC / str(process.pid))
        if row and row.started == process.started:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, number)


def _row(entry: Path) -> _Row | None:
    try:
        # The name of the program stands in parentheses and may hold anything, so reading starts after the last one.
        fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    # Fields 4 and 22 of proc(5), counted from the third.
    return _Row(int(fields[1]), fields[19])
