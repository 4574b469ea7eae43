"""The daemon's life: make everything, say that it is ready, wait for the end, take everything down in order.

The order of the end matters: agents are asked to give their messages back while their sockets still answer; then
everybody who waits is answered; then the listeners close; the store closes last, so that nothing accepted is lost.
"""

from __future__ import annotations

import asyncio
import gc
import grp
import logging
import os
import signal
import socket
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hyperhive.clock import utc_now
from hyperhive.errors import HiveError
from hyperhive.hive import systemd, tombstones
from hyperhive.hive.builders import select_builder
from hyperhive.hive.declaration import declare
from hyperhive.hive.deployment import Deployment
from hyperhive.hive.hive import Hive
from hyperhive.hive.layout import Layout
from hyperhive.hive.lifecycle import Lifecycle
from hyperhive.hive.notify import Notifier
from hyperhive.hive.operations import Operations
from hyperhive.hive.ports import AgentPorts
from hyperhive.hive.reload import reload_when
from hyperhive.hive.retention import keep_tidy
from hyperhive.hive.upgrades import Upgrades
from hyperhive.store.engine import sqlite_url
from hyperhive.store.owner import StateDirOwner
from hyperhive.store.store import Store
from hyperhive.web.api.agent import agent_app
from hyperhive.web.api.direct import Direct
from hyperhive.web.api.operator import operator_app
from hyperhive.web.gates import OperatorGate
from hyperhive.web.listen import Listeners
from hyperhive.web.sockets import bind_tcp, bind_unix, kept_name
from hyperhive.web.tokens import metrics_token, operator_token, page_key

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from hyperhive.config import HiveSettings
    from hyperhive.hive.limits import Limits
    from hyperhive.runtime.base import Runtime
    from hyperhive.web.listen import App

_log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds that the start waits for what interrupted purges left; the rest of it goes on meanwhile.
_TRASH: Final = 5.0
#: Objects between collections of the youngest generation: what was imported is frozen, garbage of requests is not.
_GC: Final = (50_000, 20, 50)


@dataclass(frozen=True)
class Ready:
    """A hive that answers.

    Attributes:
        host_socket: the operator's socket.
        dashboard_url: the page's address, with the operator's token.
        runtime: the runtime that is really used.
        warnings: what the operator should know, one sentence each.
        port: the dashboard's port.
        agents: names of the agents that there are, in alphabetical order.
    """

    host_socket: Path
    dashboard_url: str
    runtime: str
    warnings: tuple[str, ...]
    port: int
    agents: tuple[str, ...]


async def run(  # noqa: PLR0913 - what a caller may want, all but the first by name
    settings: HiveSettings,
    *,
    on_ready: Callable[[Ready], None] | None = None,
    on_progress: Callable[[str], None] | None = None,
    runtime: Runtime | None = None,
    limits: Limits | None = None,
    reread: Callable[[], HiveSettings] | None = None,
) -> None:
    """Serve a hive until SIGTERM, SIGINT or cancellation, or until its terminal goes away.

    Args:
        settings: what to serve.
        on_ready: called once everything listens and what runs was taken over; the other agents start from then on.
        on_progress: called with a word about each step of the start.
        runtime: one that is there already, for tests; by default the one that the settings name.
        reread: reads the settings anew at a SIGHUP; without it there is no reload.
        limits: how much agents may send and have waiting, for measurements; by default those of the broker.

    Raises:
        HiveError: it cannot start; says why.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    handled = [number for number in (signal.SIGTERM, signal.SIGINT) if _handle(loop, number, stop)]
    reload = (asyncio.Event(), reread) if reread else None
    # The end of a terminal is an end in order, where SIGHUP means nothing else and nohup does not say otherwise.
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    if (reload or not ignored) and _handle(loop, signal.SIGHUP, reload[0] if reload else stop):
        handled.append(signal.SIGHUP)
    try:
        await _serve(
            settings, stop, on_ready or _ignore, on_progress or _ignore, runtime=runtime, limits=limits, reload=reload
        )
    except BaseExceptionGroup as group:
        raise _alone(group) from None
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


async def _serve(  # noqa: PLR0913 - what `run` was given
    settings: HiveSettings,
    stop: asyncio.Event,
    on_ready: Callable[[Ready], None],
    on_progress: Callable[[str], None],
    *,
    runtime: Runtime | None,
    limits: Limits | None,
    reload: tuple[asyncio.Event, Callable[[], HiveSettings]] | None,
) -> None:
    async with AsyncExitStack() as stack:
        stack.callback(os.umask, os.umask(0o077))
        on_progress("opening the state directory")
        layout = Layout.of(settings).make()
        owner = StateDirOwner(layout.state)
        owner.acquire()
        stack.callback(owner.release)
        stack.callback(layout.clean)
        store = await Store.open(settings.database.url or sqlite_url(layout.database))
        stack.push_async_callback(store.close)
        runtime = runtime or await _select(settings)
        listeners = await stack.enter_async_context(Listeners())
        group = await stack.enter_async_context(asyncio.TaskGroup())
        hive = _hive(settings, layout, store, runtime, listeners, limits)
        await asyncio.to_thread(hive.repos.sweep)
        app = _complete(hive, group)
        background = [
            group.create_task(keep_tidy(hive), name="retention"),
            group.create_task(systemd.beat(), name="watchdog"),
            group.create_task(hive.configs.run(), name="configuration"),
        ]
        trash = group.create_task(tombstones.empty_old_trash(hive), name="trash")
        background.append(trash)
        try:
            await asyncio.wait({trash}, timeout=_TRASH)
            port = await _open(hive, app, stop, on_progress)
            if port is not None:
                if reload:
                    background.append(group.create_task(reload_when(reload[0], hive, reload[1]), name="reload"))
                _freeze()
                on_ready(_ready(hive, port))
                systemd.notify("READY=1")
                await stop.wait()
        finally:
            systemd.notify("STOPPING=1")
            for task in background:
                task.cancel()
            # Shielded: a second Ctrl-C must not leave processes behind.
            await asyncio.shield(_close(hive))


def _hive(  # noqa: PLR0913, PLR0917 - each opened by another
    settings: HiveSettings,
    layout: Layout,
    store: Store,
    runtime: Runtime,
    listeners: Listeners,
    limits: Limits | None,
) -> Hive:
    """The hive, with its tokens; made at its first start."""
    return Hive(
        settings=settings,
        layout=layout,
        store=store,
        runtime=runtime,
        listeners=listeners,
        clock=utc_now,
        name=socket.gethostname().split(".")[0] or "hive",
        token=operator_token(layout.state, settings.dashboard.operator_token_file),
        page_key=page_key(layout.state),
        warnings=list(runtime.warnings),
        limits=limits,
    )


def _complete(hive: Hive, group: asyncio.TaskGroup) -> App:
    """Give the hive the parts that need it themselves; the operator's application."""
    hive.lifecycle = Lifecycle(hive, group)
    hive.operations = Operations(group, hive.clock, hive.operation_changed)
    hive.builder = select_builder(hive)
    hive.deployment = Deployment(hive, group)
    hive.upgrades = Upgrades(hive, group)
    hive.agent_app = Direct(agent_app(hive))
    hive.notifier = Notifier(hive, group)
    hive.trouble.begin(group)
    app = operator_app(hive)
    hive.ports = AgentPorts(hive, app, group)
    return app


async def _select(settings: HiveSettings) -> Runtime:
    from hyperhive.runtime.select import select_runtime  # noqa: PLC0415 - a daemon with its own runtime needs none

    return await asyncio.to_thread(select_runtime, settings.runtime)


async def _open(hive: Hive, app: App, stop: asyncio.Event, on_progress: Callable[[str], None]) -> int | None:
    """Open everything, take over what runs and begin to start the rest; the port, or None where the end came first."""
    await declare(hive)
    await hive.load()
    dashboard = hive.settings.dashboard
    # A hive with any free port for its dashboard is one of many on its machine, for which fixed ports are no good.
    pages = dashboard.port != 0 if dashboard.agent_pages is None else dashboard.agent_pages
    # Before anything is opened: a file that cannot be used ends the start.
    monitor = metrics_token(hive.layout.state, hive.settings.metrics.token_file)
    on_progress(f"opening port {dashboard.port}")
    kept = systemd.kept()
    tcp = await _unless(stop, bind_tcp(dashboard.port, kept))
    if tcp is None:
        return None
    _keep_listeners(tcp, kept)
    port: int = tcp[0].getsockname()[1]
    dashboard.port = port
    await hive.listeners.add("dashboard", tcp, OperatorGate(app, hive.token, dashboard.allowed_hosts, monitor))
    await hive.ports.open(kept, serve=pages)
    await hive.listeners.add("host", [_host_socket(hive)], OperatorGate(app, None))
    await hive.lifecycle.take_over()
    await hive.lifecycle.reconcile()
    await hive.deployment.recover()
    await hive.approvals.begin()
    hive.upgrades.begin()
    hive.notifier.start()
    return port


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Await `work`, but give it up when the end comes."""
    async with asyncio.TaskGroup() as group:
        working, stopping = group.create_task(work), group.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        working.cancel()
    return None if working.cancelled() else working.result()


def _alone(error: BaseException) -> BaseException:
    """What is wrong, without the task groups that it came through, where it is one thing."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def _close(hive: Hive) -> None:
    hive.ports.close()
    await hive.notifier.close()
    await hive.sizes.close()
    hive.upgrades.close()
    await hive.approvals.close()
    # Before what it waits for is cancelled: a step that was not ended is not to be taken for one that was.
    hive.deployment.close()
    await hive.builder.close()
    hive.operations.cancel_all()
    await hive.lifecycle.close()
    hive.close()


def _host_socket(hive: Hive) -> socket.socket:
    """The operator's socket: our own, or of everybody in the group that the settings name."""
    group = hive.settings.group
    if group is None or os.geteuid() != 0:
        return bind_unix(hive.layout.host_socket, 0o600)
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        raise HiveError(
            "bad_config", f"group: there is no group {group!r} on this host", "Make it, or leave it out"
        ) from None
    os.chown(hive.layout.run, 0, gid)
    hive.layout.run.chmod(0o750)
    return bind_unix(hive.layout.host_socket, 0o660, (0, gid))


def _keep_listeners(tcp: list[socket.socket], kept: dict[str, socket.socket]) -> None:
    """Leave listeners with systemd across restarts."""
    for listener in tcp:
        if kept.pop(kept_name(listener), None) is None:
            systemd.keep(listener, kept_name(listener))


def _ready(hive: Hive, port: int) -> Ready:
    return Ready(
        host_socket=hive.layout.host_socket,
        dashboard_url=f"http://localhost:{port}/#token={hive.token}",
        runtime=hive.runtime.name,
        warnings=tuple(hive.warnings),
        port=port,
        agents=tuple(sorted(hive.roster.members())),
    )


def _freeze() -> None:
    """Take everything that was made so far out of the collector's rounds: its full ones were the tail of every send."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC)


def _handle(loop: asyncio.AbstractEventLoop, number: signal.Signals, stop: asyncio.Event) -> bool:
    """Let a signal end the daemon; false where signals are not ours to take (a thread, a test)."""
    with suppress(ValueError, RuntimeError):
        loop.add_signal_handler(number, stop.set)
        return True
    return False


def _ignore(_value: object) -> None:
    """For a caller who does not want to know."""
