"""`hyperhive demo`: daemon, scripted model and story in one process; the swarm's messages run down the terminal."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hyperhive.cli.flow import new_messages
from hyperhive.cli.foreground import calm_log
from hyperhive.cli.output import note, say, show_message
from hyperhive.cli.progress import Progress
from hyperhive.cli.text import plain
from hyperhive.config import AgentSettings, Dashboard, Defaults, HiveSettings, Manager
from hyperhive.connection import Connection
from hyperhive.errors import HiveError
from hyperhive.hive.daemon import run
from hyperhive.preflight import look, port_is_free
from hyperhive.testing import demo
from hyperhive.testing.scripted_model import ScriptedModel

if TYPE_CHECKING:
    from hyperhive.hive.daemon import Ready

_PORT: Final = 7000
_PORTS_TRIED: Final = 50
#: Seconds after which `--once` gives up, beside the story's own pauses.
_PATIENCE: Final = 300.0


def run_demo(state_dir: Path | None, port: int | None, *, once: bool, speed: float) -> None:
    """Play the demo until Ctrl-C, or with `once` until the story has ended.

    Raises:
        HiveError: it cannot start, or did not come to its end.
    """
    kept = state_dir is not None
    state_dir = state_dir or Path(tempfile.mkdtemp(prefix="hyperhive-demo-"))
    try:
        with calm_log():
            asyncio.run(_play(state_dir, port or _free_port(), once=once, speed=speed))
    except* HiveError as errors:
        raise _first(errors) from None
    finally:
        if not kept:
            shutil.rmtree(state_dir, ignore_errors=True)
    say(f"\nThe demo has ended. {f'It is kept in {plain(state_dir)}.' if kept else 'Nothing of it is kept.'}")


def _first(errors: BaseExceptionGroup[HiveError]) -> HiveError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, HiveError):  # pragma: no cover - `except*` took only these
        raise error
    return error


def _free_port() -> int:
    for port in range(_PORT, _PORT + _PORTS_TRIED):
        if port_is_free(port):
            if port != _PORT:
                note(f"Port {_PORT} is taken, the demo uses {port}.")
            return port
    raise HiveError("port_taken", f"no port from {_PORT} on is free", "Choose one with --port")


def settings_for(model_url: str, state_dir: Path, port: int) -> HiveSettings:
    """The settings of the demo's hive."""
    return HiveSettings(
        state_dir=state_dir,
        dashboard=Dashboard(port=port),
        manager=Manager(enable=False),
        defaults=Defaults(environment={"ANTHROPIC_BASE_URL": model_url, "ANTHROPIC_API_KEY": "demo"}),
        agents={name: AgentSettings(prompt=prompt) for name, prompt in demo.AGENTS.items()},
    )


async def _play(state_dir: Path, port: int, *, once: bool, speed: float) -> None:
    async with ScriptedModel(demo.scenario(speed)) as model:
        settings = settings_for(model.url, state_dir, port)
        for finding in look(settings, ports=False):
            if finding.level == "error":
                raise HiveError("bad_config", str(finding), "Correct it and try again")
        with Progress() as progress:
            async with asyncio.TaskGroup() as group:
                stories: list[asyncio.Task[None]] = []

                def ready(hive: Ready) -> None:
                    progress.done()
                    shared = "/shared" if hive.runtime != "process" else str(state_dir.absolute() / "shared")
                    stories.append(group.create_task(_story(hive, shared, once=once, speed=speed)))

                await run(settings, on_ready=ready, on_progress=progress.step)
                for story in stories:
                    story.cancel()


def _welcome(hive: Ready) -> None:
    say(f"Three agents are up, each in {hive.runtime}; everything is real but the model, which plays a script.")
    for warning in hive.warnings:
        note(f"warning: {plain(warning, one_line=True)}")
    say(f"\n  dashboard       {hive.dashboard_url}")
    say(f"  other terminals export HYPERHIVE_SOCKET={plain(hive.host_socket)}")
    say('                  hyperhive list; hyperhive send bob "hello"; hyperhive inbox')
    say("\nCtrl-C ends the demo. This is what they write to each other:\n")


class _Troubles:
    """Says once what keeps an agent from its part."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, waiting: list[dict[str, Any]]) -> None:
        """What waits for the operator now; mail is shown as the message that it is."""
        for item in waiting:
            if item.get("kind") != "mail" and item["id"] not in self._told:
                self._told.add(item["id"])
                note(f"trouble: {plain(item['title'], one_line=True)}")


def _all_started(snapshot: dict[str, Any]) -> None:
    """Refuse to wait for a story whose players are not there."""
    for agent in snapshot["agents"]:
        if agent["state"] == "failed":
            raise HiveError(
                "operation_failed",
                f"'{agent['name']}' cannot be started: {plain(agent['problem'] or 'nothing is said', one_line=True)}",
                "docs/runtimes.md says what each runtime needs",
            )


async def _story(ready: Ready, shared: str, *, once: bool, speed: float) -> None:
    """Send the message that begins it, and show every one that follows."""
    async with Connection(ready.host_socket) as hive:
        snapshot = await hive.get("/api/state")
        _all_started(snapshot)
        _welcome(ready)
        newest = max((message["id"] for message in snapshot["messages"]), default=0)
        await hive.post("/api/messages", {"to": "alice", "body": demo.kick_off(shared)})
        if not once:
            await new_messages(hive, snapshot, newest, show_message, on_waiting=_Troubles().tell)
            return
        try:
            async with asyncio.timeout(_PATIENCE + _PATIENCE / speed):
                await _until_the_end(hive, snapshot, newest)
        except TimeoutError:
            hint = "See: hyperhive demo --state-dir D, and then the logs below D"
            raise HiveError("operation_failed", "the story did not come to its end", hint) from None
    # The daemon's own way to end, with everything in order.
    signal.raise_signal(signal.SIGTERM)


class _Ended(Exception):  # noqa: N818 - it is no error
    """The last message of the story was shown."""


async def _until_the_end(hive: Connection, snapshot: dict[str, Any], newest: int) -> None:
    def show(message: dict[str, Any]) -> None:
        show_message(message)
        if message["to"] == "operator" and demo.THE_END in str(message["body"]):
            raise _Ended

    # Ended from within: a reader that is cancelled just when there is something to read complains on the terminal.
    with suppress(_Ended):
        await new_messages(hive, snapshot, newest, show, on_waiting=_Troubles().tell)
