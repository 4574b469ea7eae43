"""A real daemon whose agents are nobody: `hive_process.py SETTINGS` prints a line of JSON when it is ready.

The tests are the agents. So what is tested is the daemon, with its own process to kill and its own log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import selectors
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lent_apps import lent_apps

from hyperhive.config_file import load_settings
from hyperhive.errors import HiveError
from hyperhive.hive.daemon import Ready, run
from hyperhive.runtime.base import AgentPlan, Exit, Owner, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class NobodyRuntime(Runtime):
    """Starts nothing; whoever has our uid is every agent, and each was there before the hive."""

    name = "nobody"
    survives_daemon = True
    warnings: tuple[str, ...] = ()

    def __init__(self, agents: Iterable[str]) -> None:
        self._agents = frozenset(agents)
        self.on_exit: Callable[[Exit], None] = lambda _end: None
        self._running: set[str] = set()
        self.starts: asyncio.Queue[str] = asyncio.Queue()

    def owner(self, name: str) -> Owner:  # noqa: ARG002 - the protocol's
        return Owner(os.geteuid(), os.getegid(), os.geteuid())

    async def prepare(self, plan: AgentPlan) -> None:
        for directory in (plan.claude, plan.state, plan.shared, plan.socket_dir):
            directory.mkdir(parents=True, exist_ok=True)

    async def start(self, plan: AgentPlan) -> None:
        await self.prepare(plan)
        self._running.add(plan.name)
        self.starts.put_nowait(plan.name)

    async def stop(self, name: str) -> None:
        self.end(name, -9, expected=True)

    async def found(self) -> frozenset[str]:
        return self._agents

    def running(self) -> frozenset[str]:
        return frozenset(self._running)

    async def close(self) -> None:
        """What runs goes on: it survives the daemon."""

    def end(self, name: str, code: int, *, expected: bool = False) -> None:
        """The harness of `name` is gone."""
        if name in self._running:
            self._running.remove(name)
            self.on_exit(Exit(name, code, expected, ("the last words",)))


def serve(config: str) -> int:
    """Run the daemon; the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = load_settings(Path(config))
        asyncio.run(run(settings, runtime=_runtime(settings.agents, Path(config)), on_ready=_ready))
    except HiveError as error:
        print(f"refused: {error.code}: {error}", file=sys.stderr)  # noqa: T201
        return 4
    return 0


def _runtime(agents: Iterable[str], config: Path) -> NobodyRuntime:
    """What a test put beside the settings has a daemon deploy, and be killed meanwhile."""
    hook = config.with_name("deploy.json")
    if not hook.exists():
        return NobodyRuntime(agents)
    # As a program this is `__main__`; what follows knows it by its name.
    sys.modules.setdefault("hive_process", sys.modules[__name__])
    from deploy_process import prepare  # noqa: PLC0415

    return prepare(agents, hook)


def _ready(ready: Ready) -> None:
    print(json.dumps({"port": ready.port, "url": ready.dashboard_url}), flush=True)  # noqa: T201 - what it is for


def fork_server(control: socket.socket) -> None:
    """Start daemons by forking, so that each needs no second of imports.

    Each request is a settings path with two descriptors: where the child writes, standard output and error. When it has
    ended, its exit code follows on the first.
    """
    children: dict[int, tuple[int, int]] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _events in selector.select():
                if key.fileobj is not control:
                    pid, out = children.pop(key.fd)
                    _tell(out, exit=os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                    selector.unregister(key.fd)
                    os.close(out)
                    os.close(key.fd)
                    continue
                config, (out, log), _flags, _address = socket.recv_fds(control, 4096, 2)
                if not config:
                    return
                pid = os.fork()
                if not pid:
                    _child(config.decode(), out, log)
                _tell(out, pid=pid)
                os.close(log)
                watch = os.pidfd_open(pid)
                children[watch] = (pid, out)
                selector.register(watch, selectors.EVENT_READ)


def _tell(out: int, **what: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # a test that failed does not listen any more
        os.write(out, f"{json.dumps(what)}\n".encode())


def _child(config: str, out: int, log: int) -> NoReturn:
    os.dup2(out, 1)
    os.dup2(log, 2)
    os.closerange(3, 64)
    try:
        code = serve(config)
    except BaseException:  # noqa: BLE001 - the top of a process
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "--fork-server":
        with socket.socket(fileno=int(sys.argv[2])) as given, lent_apps():
            fork_server(given)
    else:
        sys.exit(serve(sys.argv[1]))
