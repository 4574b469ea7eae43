"""`make bench`: every figure that delivery promises, measured on this machine in one run.

    python tests/bench/run.py [--only GROUP …] [--quick] [--json FILE]

A table goes to the standard error, the same as one line of JSON to the standard output. `docs/benchmarks.md` says how
each figure is measured. Missed goals are no failure; a figure that could not be measured is.
A group that needs what this machine has not is not run, and says why.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bench_containers
import bench_evaluation
import bench_pages
import bench_repos
import broker_figures
import machine
import swarm_figures
from figures import GROUPS, Results, table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

_CHECKOUT: Final = Path(__file__).resolve().parents[2]
_BENCHMARKS: Final[dict[str, Callable[..., Awaitable[None]]]] = {
    "delivery": broker_figures.delivery,
    "sends": broker_figures.sends,
    "burst": broker_figures.burst,
    "claude": swarm_figures.claude,
    "wake": swarm_figures.wake,
    "rest": swarm_figures.rest,
    "swarm": swarm_figures.swarm,
    "idle": broker_figures.idle,
    "list": swarm_figures.listing,
    "containers": bench_containers.containers,
    "pages": bench_pages.pages,
    "repositories": bench_repos.repositories,
    "evaluation": bench_evaluation.evaluation,
}


def _directory() -> Path:
    """A new directory on the checkout's disk: the temporary directory may be memory, which syncs in no time."""
    usual = Path(tempfile.gettempdir())
    same = usual.stat().st_dev == _CHECKOUT.stat().st_dev
    return Path(tempfile.mkdtemp(prefix="hyperhive-bench-", dir=usual if same else _CHECKOUT))


async def _measure(groups: Sequence[str], directory: Path, results: Results, *, quick: bool) -> None:
    if quick:  # measures nothing, so that they need not keep out of each other's way
        await asyncio.gather(*(_one(group, directory, results, quick=True) for group in groups))
        return
    for group in groups:
        await _one(group, directory, results, quick=False)


async def _one(group: str, directory: Path, results: Results, *, quick: bool) -> None:
    began, others = time.monotonic(), machine.Others()
    try:
        await _BENCHMARKS[group](results, directory, quick=quick)
    except Exception as error:  # noqa: BLE001 - the other figures are still worth having
        traceback.print_exc()
        results.failed[group] = f"{type(error).__name__}: {error}"
    results.others[group] = round(others.cores(), 2)
    _tell(f"{group}: {time.monotonic() - began:.0f} s; others used {results.others[group]:.2f} cores")


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    directory, results = _directory(), Results()
    try:
        here = machine.describe(directory)
        _tell(machine.line(here))
        asyncio.run(_measure(arguments.only or GROUPS, directory, results, quick=arguments.quick))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return {"at": at, "quick": arguments.quick, "machine": here, **results.as_json()}


def main() -> int:
    """Measure; the exit status is 1 where something could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=GROUPS, help="measure this group alone; may be repeated")
    parser.add_argument("--quick", action="store_true", help="short rounds: shows that it runs, measures nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON there instead")
    arguments = parser.parse_args()
    report = _run(arguments)
    _tell("\n" + table(report))
    text = json.dumps(report, ensure_ascii=False) + "\n"
    if arguments.json:
        arguments.json.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return 1 if report["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
