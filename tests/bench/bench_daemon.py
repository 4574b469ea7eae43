"""The daemon that is measured, as a process: `hyperhive.hive.daemon.run` with real sockets and a real store.

    python bench_daemon.py SETTINGS [--runtime own|nothing] [--unlimited] [--count]

It says `ready` and its operator's socket in one line of JSON. `nothing` is a runtime that starts no harness: the agents
are connections of the load process. With `--count` it counts statements and commits of the database, and says how many
there were on SIGUSR1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, event

from hyperhive.config_file import load_settings
from hyperhive.hive import daemon
from hyperhive.hive.limits import Limits
from hyperhive.runtime.base import Exit, Owner, Runtime
from hyperhive.runtime.select import select_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hyperhive.runtime.base import AgentPlan

#: So many that no figure meets a bound that is meant for agents that run wild.
_MANY = 10**9


class NothingRuntime(Runtime):
    """Keeps agents' directories and starts nothing: whoever connects with our own uid is the agent, there before us."""

    name = "nothing"
    survives_daemon = True
    warnings: tuple[str, ...] = ()

    def __init__(self, agents: Iterable[str]) -> None:
        self._agents = frozenset(agents)
        self.on_exit: Callable[[Exit], None] = lambda _end: None
        self._running: set[str] = set()

    def owner(self, name: str) -> Owner:  # noqa: ARG002 - the protocol's
        return Owner(os.getuid(), os.getgid(), os.geteuid())

    async def prepare(self, plan: AgentPlan) -> None:
        plan.socket_dir.mkdir(parents=True, exist_ok=True)

    async def start(self, plan: AgentPlan) -> None:
        self._running.add(plan.name)

    async def stop(self, name: str) -> None:
        if name in self._running:
            self._running.remove(name)
            self.on_exit(Exit(name, 0, expected=True))

    async def found(self) -> frozenset[str]:
        return self._agents

    def running(self) -> frozenset[str]:
        return frozenset(self._running)

    async def close(self) -> None:
        """They go on."""


def _say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _count_statements() -> None:
    """Count what any engine of this process does from now on."""
    counts: Counter[str] = Counter(statements=0, commits=0)

    def statement(*_arguments: object) -> None:
        counts["statements"] += 1

    def commit(*_arguments: object) -> None:
        counts["commits"] += 1

    event.listen(Engine, "before_cursor_execute", statement)
    event.listen(Engine, "commit", commit)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: _say(**counts))


async def _main(arguments: argparse.Namespace) -> None:
    if arguments.count:
        _count_statements()
    settings = load_settings(arguments.settings)
    await daemon.run(
        settings,
        on_ready=lambda ready: _say(ready=True, host_socket=str(ready.host_socket), runtime=ready.runtime),
        runtime=NothingRuntime(settings.agents) if arguments.runtime == "nothing" else select_runtime(settings.runtime),
        limits=Limits(unread=_MANY, sends_a_minute=_MANY) if arguments.unlimited else None,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", type=Path)
    parser.add_argument("--runtime", choices=("own", "nothing"), default="nothing")
    parser.add_argument("--unlimited", action="store_true", help="no limit of messages a minute, none of unread ones")
    parser.add_argument("--count", action="store_true", help="count statements; SIGUSR1 prints them")
    asyncio.run(_main(parser.parse_args()))
