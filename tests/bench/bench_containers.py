"""The figures of containers: how long a swarm of them takes to boot, and to be back after the daemon was restarted.

Everything is real but the model: the machine of the tier `nspawn` with the daemon's unit, nspawn containers with users
of their own, harnesses. Nobody has anything to do.

    python tests/bench/bench_containers.py [--count N] [--restarts N]

prints what happened at each restart, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import elsewhere  # noqa: F401 - before what it makes importable
from nspawn_host import Host, why_not
from nspawn_image import why_no_image
from nspawn_restart import connected, restart
from nspawn_swarm import Swarm
from processes import agent_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from figures import Results

_COUNT: Final = 20
_RESTARTS: Final = 5
#: Seconds that the boot of one container may take, on average, and all of them after a restart of the daemon.
_BOOT: Final = 20
_BACK: Final = 200
#: Seconds between two restarts: what the last one left to do is done.
_REST: Final = 3
#: Seconds without a daemon, after which harnesses ask for it as rarely as they ever do.
_AWAYS: Final = (9.5, 10, 10.5)
#: What watches files: as many as NixOS has, and as containers may need. The 128 of a bare kernel end at the eighteenth.
_INOTIFY: Final = Path("/proc/sys/fs/inotify/max_user_instances")
_INSTANCES: Final = 524_288
_INSTANCES_EACH: Final = 10


def why_not_containers() -> str:
    """Why there are no containers here; empty where there are."""
    return why_not() or why_no_image()


async def containers(results: Results, _directory: Path, *, quick: bool) -> None:
    """A swarm of containers, booted once, and restarts of its daemon."""
    if why := why_not_containers():
        results.not_run["containers"] = why
        return
    report = await (measure(2, 1, rest=0, aways=(0.5,)) if quick else measure(_COUNT, _RESTARTS))
    lasts = [one["last"] for one in report["restarts"]]
    results.notes["containers"] = report["agents"]
    results.add("containers_boot", [report["boot"]])
    results.add("reconnect", lasts)
    results.add("reconnect_worst", [max(lasts)])
    results.add("reconnect_away", [one["last"] for one in report["aways"]])
    results.add("containers_restart", [one["took"] for one in report["restarts"]])
    results.add("containers_changed", [report["changed"]])


async def measure(count: int, restarts: int, rest: float = _REST, aways: Sequence[float] = _AWAYS) -> dict[str, Any]:
    """Boot so many containers, restart the daemon so often, then leave them without one for a while; in seconds."""
    names = agent_names(count)
    with _inotify(count):
        async with Host() as host:
            return await _measure(Swarm(host), names, restarts, rest, aways)


async def _measure(
    swarm: Swarm, names: list[str], restarts: int, rest: float, aways: Sequence[float]
) -> dict[str, Any]:
    boots = await _boot(swarm, names)
    before = await _invocations(swarm, names)
    rounds = []
    for away in [0.0] * restarts + [*aways]:
        await asyncio.sleep(rest)
        one = await restart(swarm, names, _BACK, away)
        rounds.append({"took": one.took, "last": one.last, "connected": sorted(one.connected.values())})
    after = await _invocations(swarm, names)
    changed = sum(after[name] != invocation for name, invocation in before.items())
    made = {"agents": len(names), "boot": boots[-1], "booted": boots, "changed": changed}
    return {**made, "restarts": rounds[:restarts], "aways": rounds[restarts:]}


@contextmanager
def _inotify(count: int) -> Iterator[None]:
    """Let this machine have what NixOS would, for a while, where so many containers would not start otherwise."""
    before = int(_INOTIFY.read_text())
    if before >= _INSTANCES_EACH * count:
        yield
        return
    _INOTIFY.write_text(str(_INSTANCES))
    try:
        yield
    finally:
        _INOTIFY.write_text(str(before))


async def _boot(swarm: Swarm, names: list[str]) -> list[float]:
    """Start the daemon, and with it all containers; after how many seconds each agent was there."""
    await swarm.configure({name: {} for name in names})
    began = time.monotonic()
    await swarm.host.run("systemctl", "start", "--no-block", "hyperhive.service")
    try:
        async with asyncio.timeout(_BACK + _BOOT * len(names)):
            seen = await connected(swarm, names)
    except TimeoutError:
        raise AssertionError(await swarm.log()) from None
    return sorted(at - began for at in seen.values())


async def _invocations(swarm: Swarm, names: Sequence[str]) -> dict[str, str]:
    return {name: (await swarm.unit(name))["InvocationID"] for name in names}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=_COUNT, help="agents")
    parser.add_argument("--restarts", type=int, default=_RESTARTS, help="of the daemon")
    arguments = parser.parse_args()
    if why := why_not_containers():
        sys.stderr.write(f"not run: {why}\n")
        return 1
    report = asyncio.run(measure(arguments.count, arguments.restarts))
    rounded = json.loads(json.dumps(report), parse_float=lambda text: round(float(text), 3))
    sys.stdout.write(json.dumps(rounded) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
