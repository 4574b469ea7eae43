"""The command that makes an agent at run time, on the operator's own decision."""

# ruff: noqa: FBT002
# Typer reads options from the signature: a flag is a boolean with a default, and a command has many.

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from hyperhive.cli.messages import from_stdin
from hyperhive.cli.operations import carry_out, conclude
from hyperhive.cli.options import JsonOption, SocketOption, talk

if TYPE_CHECKING:
    from hyperhive.connection import Connection


#: Bytes of a prompt.
_PROMPT: Final = 100_000


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("spawn")(spawn)


def spawn(  # noqa: PLR0913, PLR0917 - what a user can say
    name: Annotated[str, typer.Argument(metavar="NAME", help="1 to 9 small letters, digits and hyphens.")],
    description: Annotated[
        str | None, typer.Option("--description", metavar="TEXT", help="What it is for, in a sentence.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="Its model; else that of defaults.model.")
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt", metavar="TEXT", help="What it is told beside the rules of the hive; - reads standard input."
        ),
    ] = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an agent that is in no settings. It is kept by the hive until it is destroyed."""
    told = from_stdin("a prompt", _PROMPT) if prompt == "-" else prompt
    given = {"name": name, "description": description, "model": model, "prompt": told}

    async def work(hive: Connection) -> None:
        row = await carry_out(hive, "/api/agents", {key: value for key, value in given.items() if value is not None})
        conclude(
            row,
            f"{name} was made and runs; it needs a login of its own, unless the settings have one",
            f"See: hyperhive show {name}",
            as_json=as_json,
        )

    talk(socket, work)
