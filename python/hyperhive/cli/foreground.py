"""`hyperhive up` and `hyperhive serve`: a hive in this process, from its settings to its end."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperhive.cli.output import note, say
from hyperhive.cli.progress import Progress
from hyperhive.cli.text import plain
from hyperhive.config import HiveSettings  # noqa: TC001
from hyperhive.config_file import load_settings, parse_settings
from hyperhive.errors import HiveError
from hyperhive.preflight import look, unapplied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hyperhive.hive.daemon import Ready

_HERE: Final = Path("hive.json")
#: Agents that the welcome names.
_NAMED: Final = 10


def run_serve(config: Path) -> None:
    """Serve until SIGTERM, with a log for the journal."""
    from hyperhive.hive.daemon import run  # noqa: PLC0415 - `check-config` and others need no daemon

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for noisy in ("httpx", "uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    settings = load_settings(config)
    for finding in unapplied(settings):
        note(f"warning: {finding}")

    def ready(hive: Ready) -> None:
        note(f"ready: {len(hive.agents)} agents, runtime {hive.runtime}, port {hive.port}, {hive.host_socket}")

    asyncio.run(run(settings, on_ready=ready, reread=lambda: load_settings(config)))


def run_up(config: Path | None, state_dir: Path | None, port: int | None) -> None:
    """Serve in the foreground and tell a person what runs where."""
    from hyperhive.hive.daemon import run  # noqa: PLC0415

    chosen = config or (_HERE if _HERE.is_file() else None)
    settings = changed(load_settings(chosen) if chosen else parse_settings("{}"), state_dir, port)
    check_host(settings)
    with calm_log(), Progress() as progress:

        def ready(hive: Ready) -> None:
            progress.done()
            _welcome(settings, hive, chosen)

        asyncio.run(run(settings, on_ready=ready, on_progress=progress.step))
    say(f"\nThe hive has ended, all agents with it. What it keeps is in {plain(settings.state_dir)}.")


def changed(settings: HiveSettings, state_dir: Path | None, port: int | None) -> HiveSettings:
    """The settings with what the command line says; it wins over file and environment."""
    if state_dir is not None:
        settings = settings.model_copy(update={"state_dir": state_dir})
    if port is not None:
        settings = settings.model_copy(update={"dashboard": settings.dashboard.model_copy(update={"port": port})})
    return settings


def check_host(settings: HiveSettings) -> None:
    """Say what may surprise; refuse what cannot work. A taken port is the daemon's: it waits for it a while.

    Raises:
        HiveError: `bad_config`.
    """
    found = [*look(settings, ports=False), *unapplied(settings)]
    errors = [str(finding) for finding in found if finding.level == "error"]
    for finding in found:
        if finding.level == "warning":
            note(f"warning: {plain(str(finding), one_line=True)}")
    if errors:
        raise HiveError("bad_config", "; ".join(errors), "Correct it and try again", problems=errors)


@contextmanager
def calm_log() -> Iterator[None]:
    """Warnings of the daemon on standard error; what it does in order is no news."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    yield


def _welcome(settings: HiveSettings, hive: Ready, config: Path | None) -> None:
    names = list(hive.agents)
    say(f"The hive is up: {len(names)} agent{'' if len(names) == 1 else 's'}, each in {hive.runtime}.")
    for warning in hive.warnings:
        note(f"warning: {plain(warning, one_line=True)}")
    say(f"  agents     {_enumerated(names)}")
    say(f"  settings   {plain(config) if config else 'none'}")
    say(f"  state      {plain(settings.state_dir)}")
    say(f"  socket     {plain(hive.host_socket)}")
    say(f"  dashboard  {hive.dashboard_url}")
    if names:
        say(f'\nWrite to one:     hyperhive send {names[0]} "hello"')
        say("See the answers:  hyperhive inbox; hyperhive messages -f; or the dashboard")
    if not settings.agents:
        say('\nDeclare agents in ./hive.json, for example {"agents": {"alice": {}}}, and start again;')
        say("examples/hive.json and docs/options.md show what can be set.")
    if settings.state_dir.absolute() != Path(".hyperhive").absolute():
        say(f"In other terminals:  export HYPERHIVE_SOCKET={plain(hive.host_socket)}")
    say("Ctrl-C ends the hive and every agent.")


def _enumerated(names: list[str]) -> str:
    if len(names) <= _NAMED:
        return ", ".join(names) or "none"
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more (hyperhive list)"
