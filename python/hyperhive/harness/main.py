"""Puts the parts of the harness together, runs them as one task group, and ends them in order.

On a signal or the hive's `stop`: no further message, the running turn gets its grace, its outcome goes out, then what
is left of events, reports and results, then the process ends with status 0. A second signal cuts the grace short.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hyperhive.clock import utc_now
from hyperhive.errors import HiveError
from hyperhive.harness.commands import Commands, Work
from hyperhive.harness.compaction import Compaction
from hyperhive.harness.control import Control
from hyperhive.harness.events import Events
from hyperhive.harness.hive import HiveClient
from hyperhive.harness.launch import Abilities, find_claude
from hyperhive.harness.loop import TurnLoop
from hyperhive.harness.mcp_servers import McpServers
from hyperhive.harness.means import Means
from hyperhive.harness.model_choice import ModelChoice
from hyperhive.harness.record import Record
from hyperhive.harness.reporter import Reporter
from hyperhive.harness.runner import Runner
from hyperhive.harness.session import Session
from hyperhive.harness.settings import OWN_VARIABLES, Settings
from hyperhive.harness.sign_in import SignIn
from hyperhive.harness.tools import HiveTools
from hyperhive.harness.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hyperhive.harness.any_session import AnySession
    from hyperhive.wire import LoginReport

_log = logging.getLogger(__name__)


async def run(
    settings: Settings,
    *,
    control: Control | None = None,
    find: Callable[[Mapping[str, str]], str] = find_claude,
    make_session: Callable[[Settings, Callable[[], Any], Callable[[str], None], Abilities], AnySession] = Session,
) -> None:
    """Be the harness of one agent until it is stopped.

    Args:
        settings: where things are and how long to wait.
        control: for whoever wants to stop it from the same process.
        find: finds the claude program.
        make_session: makes the session; a test that needs no `claude` passes another one.
    """
    control = control or Control()
    record = Record(settings.state)
    turns = await record.open(asyncio.get_running_loop())
    async with HiveClient(settings.socket) as hive:
        events = Events(hive, record, settings.instance, settings.timings.backoff)
        reporter = Reporter(hive, settings.instance, settings.timings.backoff)
        models = ModelChoice(settings.state, lambda data: events.emit("model_changed", None, **data))
        means = Means(settings, hive, reporter, events.redactor, models, find)
        tools = HiveTools(hive, control, reporter, settings, models.now, means.role)
        abilities = Abilities()
        session = make_session(settings, tools.server, _stderr(events, control), abilities)
        means.prepare = tools.configurations.prepare
        servers = McpServers(session.mcp_status, events, reporter)
        runner = Runner(
            session=session,
            events=events,
            reporter=reporter,
            means=means,
            servers=servers,
            timings=settings.timings,
            clock=utc_now,
        )
        compaction = Compaction(control, runner)
        loop = TurnLoop(settings, hive, control, runner, compaction, turns=turns)
        renewed = asyncio.Event()
        sign_in = SignIn(settings, _told(reporter, renewed), means.for_sign_in)
        upkeep = Upkeep(control, session, events, reporter, means, compaction)
        further = _further(sign_in, upkeep)
        commands = Commands(
            hive, control, settings.timings, reporter.repeat, instance=settings.instance, further=further
        )
        try:
            async with asyncio.TaskGroup() as group:
                helpers = [
                    group.create_task(commands.run(), name="commands"),
                    group.create_task(reporter.run(), name="reporter"),
                    group.create_task(events.deliver(), name="events"),
                    group.create_task(events.record(), name="record"),
                    group.create_task(_ask_ahead(abilities, find), name="abilities"),
                    group.create_task(_look_again(renewed, means), name="login"),
                ]
                await loop.run()
                await sign_in.close()
                await servers.close()
                await _flush(commands, reporter, events, settings.timings.flush)
                for helper in helpers:
                    helper.cancel()
        finally:
            await sign_in.close()
            await servers.close()
            await events.close()


def _further(sign_in: SignIn, upkeep: Upkeep) -> dict[str, Work]:
    """The commands that are carried out here, by kind."""
    return {
        "login-start": sign_in.start,
        "login-code": sign_in.code,
        "login-cancel": sign_in.cancel,
        "model": upkeep.model,
        "compact": upkeep.compact,
        "new-session": upkeep.new_session,
    }


async def _flush(commands: Commands, reporter: Reporter, events: Events, seconds: float) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(commands.flush(seconds), name="flush-commands")
        group.create_task(reporter.flush(seconds), name="flush-reports")
        group.create_task(events.flush(seconds), name="flush-events")


def _told(reporter: Reporter, renewed: asyncio.Event) -> Callable[[LoginReport], None]:
    def tell(report: LoginReport) -> None:
        reporter.tell(login=report)
        if report.phase == "done":
            renewed.set()

    return tell


async def _look_again(renewed: asyncio.Event, means: Means) -> None:
    """After each sign-in the hive hears whose login it is, and when it ends, without waiting for a turn."""
    while True:
        await renewed.wait()
        renewed.clear()
        await means.look()


async def _ask_ahead(abilities: Abilities, find: Callable[[Mapping[str, str]], str]) -> None:
    """Ask the program for its flags before the first turn needs to know."""
    with suppress(HiveError):
        await abilities.fresh_prompt(find({}))


def _stderr(events: Events, control: Control) -> Callable[[str], None]:
    def line(text: str) -> None:
        events.emit("stderr", control.turn.number if control.turn else None, text=text)

    return line


def main() -> int:
    """The process: environment, log, signals. Returns the exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        settings = Settings.from_environment(os.environ)
    except HiveError as error:
        print(f"hyperhive harness: {error}", file=sys.stderr)  # noqa: T201 - the only output of a process without log
        return 2
    for name in OWN_VARIABLES:
        os.environ.pop(name, None)
    asyncio.run(_with_signals(settings))
    return 0


async def _with_signals(settings: Settings) -> None:
    control = Control()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        control.stop(0 if control.stopping.is_set() else settings.timings.stop_grace)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    _settle_memory()
    await run(settings, control=control)


def _settle_memory() -> None:
    """What was imported stays for good: take it out of collections, and give back what importing needed."""
    gc.collect()
    gc.freeze()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
