"""The commands put together."""

# ruff: noqa: FBT002
# Typer reads options from the signature: a flag is a boolean with a default, and a command has many.

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads it
from typing import Annotated

import typer

from hyperhive import __version__
from hyperhive.cli import (
    agents,
    approvals,
    messages,
    operations,
    overview,
    questions,
    reminders,
    serving,
    sessions,
    spawning,
    tombstones,
    usage,
)
from hyperhive.cli.options import choose_socket

app = typer.Typer(
    name="hyperhive",
    help="Run a swarm of Claude Code agents, and be its operator.",
    epilog="Exit codes: 0 done, 1 failed, 2 bad input, 3 no hive there, 4 refused.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - Typer's callback
    if wanted:
        typer.echo(f"hyperhive {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    socket: Annotated[
        Path | None,
        typer.Option(
            "--socket",
            metavar="PATH",
            help="The hive's host.sock. Else $HYPERHIVE_SOCKET, run/host.sock in $HYPERHIVE_STATE_DIR or ./.hyperhive, "
            "/run/hyperhive/host.sock.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback does it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    choose_socket(socket)


for group in (
    *(serving, agents, operations, spawning, sessions, tombstones),
    *(messages, questions, approvals, reminders, usage, overview),
):
    group.add_to(app)
