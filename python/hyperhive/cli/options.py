"""Options that many commands share, and the line to the hive that they mean."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hyperhive.connection import Connection

SocketOption = Annotated[
    Path | None,
    typer.Option("--socket", metavar="PATH", help="The hive's host.sock. Also before the command.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The agent.", show_default=False)]


class _Chosen:
    """What `--socket` before the command said."""

    socket: Path | None = None


def choose_socket(socket: Path | None) -> None:
    """Remember `--socket` of the whole command line."""
    _Chosen.socket = socket


def talk(socket: Path | None, work: Callable[[Connection], Awaitable[None]]) -> None:
    """Do `work` with a line to the hive."""
    from hyperhive.connection import Connection  # noqa: PLC0415 - it imports httpx; `--help` needs none

    async def with_line() -> None:
        async with Connection(socket or _Chosen.socket) as hive:
            await work(hive)

    asyncio.run(with_line())


def follow(socket: Path | None, work: Callable[[Connection], Awaitable[None]]) -> None:
    """Like `talk`, for what goes on until Ctrl-C: that is its ordinary end."""
    try:
        talk(socket, work)
    except KeyboardInterrupt:
        raise typer.Exit from None
