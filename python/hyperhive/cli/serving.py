"""Commands that are processes: serve, harness, up, demo; and check-config, which looks at what they would be given."""

# ruff: noqa: FBT002
# Typer reads options from the signature: a flag is a boolean with a default, and a command has many.

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyperhive.cli.options import JsonOption  # noqa: TC001 - Typer reads it

ConfigArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[CONFIG]", help="Settings, JSON; ./hive.json if it is there.", show_default=False),
]
StateDirOption = Annotated[
    Path | None, typer.Option("--state-dir", metavar="D", help="What the hive keeps.", show_default=False)
]
PortOption = Annotated[
    int | None, typer.Option("--port", min=1, max=65535, help="The dashboard's port.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("up")(up)
    app.command("demo")(demo)
    app.command("serve")(serve)
    app.command("harness")(harness)
    app.command("check-config")(check_config)


def up(config: ConfigArgument = None, state_dir: StateDirOption = None, port: PortOption = None) -> None:
    """Run a whole hive here, in the foreground.

    Agents, messages and dashboard; Ctrl-C ends everything.
    """
    from hyperhive.cli.foreground import run_up  # noqa: PLC0415 - brings the daemon

    run_up(config, state_dir, port)


def demo(
    state_dir: StateDirOption = None,
    port: PortOption = None,
    once: Annotated[bool, typer.Option("--once", help="End when the story has ended.")] = False,
    speed: Annotated[float, typer.Option("--speed", min=0.1, max=1000, help="How fast the story goes.")] = 1.0,
) -> None:
    """Three agents at work, without an account.

    Everything is real but the model, which plays a script.
    """
    from hyperhive.cli.demo import run_demo  # noqa: PLC0415 - brings the daemon

    run_demo(state_dir, port, once=once, speed=speed)


def serve(
    config: Annotated[Path, typer.Option("--config", metavar="F", help="Settings, JSON.", show_default=False)],
) -> None:
    """Be the daemon of a hive, for systemd.

    Its log goes to standard error.
    """
    from hyperhive.cli.foreground import run_serve  # noqa: PLC0415 - brings the daemon

    run_serve(config)


def harness() -> None:
    """Be the harness of one agent.

    The hive starts it; it takes what it needs from HIVE_… variables.
    """
    from hyperhive.harness.main import main  # noqa: PLC0415 - brings the SDK

    raise typer.Exit(main())


def check_config(
    config: Annotated[Path, typer.Argument(metavar="F", help="Settings, JSON.", show_default=False)],
    on_this_host: Annotated[bool, typer.Option("--on-this-host", help="Look at files, ports, programs, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check settings without starting anything.

    Each mistake is printed with its path.
    """
    from hyperhive.cli.checking import check  # noqa: PLC0415 - brings the settings' models

    check(config, on_this_host=on_this_host, as_json=as_json)
