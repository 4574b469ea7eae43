"""Commands about the end of agents: destroy, and of what is kept then, tombstones, revive and purge.

A purge is the one thing that nothing brings back, so it asks for the name, on a terminal.
"""

# ruff: noqa: FBT002
# Typer reads options from the signature: a flag is a boolean with a default, and a command has many.

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperhive.cli.agents import path_of
from hyperhive.cli.operations import carry_out, conclude
from hyperhive.cli.options import JsonOption, NameArgument, SocketOption, talk
from hyperhive.cli.text import age, colour_of, short, size

if TYPE_CHECKING:
    from hyperhive.connection import Connection

YesOption = Annotated[bool, typer.Option("--yes", help="Wipe it without asking for the name.")]
_LOG = "See the daemon's log"


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("destroy")(destroy)
    app.command("tombstones")(tombstones)
    app.command("revive")(revive)
    app.command("purge")(purge)


def _path_of(name: str) -> str:
    from hyperhive.names import parse_agent_name  # noqa: PLC0415 - it imports pydantic

    return f"/api/tombstones/{parse_agent_name(name)}"


def destroy(
    name: NameArgument,
    and_purge: Annotated[bool, typer.Option("--purge", help="Then wipe what is kept of it, too.")] = False,
    yes: YesOption = False,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove an agent and what it runs in.

    Its login and its notes are kept as a tombstone, unless --purge is given.
    """
    path = path_of(name)
    if and_purge and not yes:
        _confirm(name)

    async def work(hive: Connection) -> None:
        row = await carry_out(hive, f"{path}/destroy")
        if not and_purge or row.get("status") == "failed":
            done = f"{name} is a tombstone; bring it back with: hyperhive revive {name}"
            conclude(row, done, _LOG, as_json=as_json)
        else:
            await _purge(hive, name, as_json=as_json)

    talk(socket, work)


def tombstones(socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Agents that are no more, and what is kept of them."""

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import note, show_json, table  # noqa: PLC0415

        answer = await hive.get("/api/tombstones")
        if as_json:
            show_json(answer)
        elif answer["tombstones"]:
            columns: list[tuple[str, dict[str, Any]]] = [
                ("NAME", {"min_width": 9}),
                ("SINCE", {"justify": "right"}),
                ("LOGIN", {}),
                ("SIZE", {"justify": "right"}),
                ("UNREAD", {"justify": "right"}),
                ("NOTE", {"ratio": 1}),
            ]
            table(columns, [_cells(row) for row in answer["tombstones"]])
            note("\nBring one back: hyperhive revive NAME; wipe it for good: hyperhive purge NAME")
        else:
            note("There are no tombstones.")

    talk(socket, work)


def _cells(row: dict[str, Any]) -> list[tuple[str, str]]:
    name, unread = short(row.get("name"), 16), row.get("unread") or 0
    return [
        (name, f"bold {colour_of(name)}"),
        (age(row.get("since")), "dim"),
        ("yes" if row.get("hasLogin") else "no", ""),
        (size(row.get("sizeBytes")), "dim"),
        (short(unread, 8), "bold" if unread else "dim"),
        ("still in the settings" if row.get("declared") else short(row.get("origin"), 40), ""),
    ]


def revive(name: NameArgument, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Make an agent of a tombstone again, with its login and its notes, and start it."""

    async def work(hive: Connection) -> None:
        row = await carry_out(hive, f"{_path_of(name)}/revive")
        conclude(row, f"{name} is an agent again and runs", f"See: hyperhive logs {name}", as_json=as_json)

    talk(socket, work)


def purge(name: NameArgument, yes: YesOption = False, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Wipe what is kept of a tombstone: login, notes, history.

    Nothing brings it back. What waits for it becomes dead letters. On a terminal it asks for the name.
    """
    _path_of(name)
    if not yes:
        _confirm(name)

    async def work(hive: Connection) -> None:
        await _purge(hive, name, as_json=as_json)

    talk(socket, work)


async def _purge(hive: Connection, name: str, *, as_json: bool) -> None:
    row = await carry_out(hive, f"{_path_of(name)}/purge", {"name": name})
    conclude(row, f"nothing of {name} is kept any more", _LOG, as_json=as_json)


def _confirm(name: str) -> None:
    """Ask for the name, which is one.

    Raises:
        HiveError: `malformed`: something else was typed, or there is nobody who could.
    """
    from hyperhive.errors import HiveError  # noqa: PLC0415

    if sys.stdin is None or not sys.stdin.isatty():
        what = "a purge asks for the name on a terminal, and standard input is none"
        raise HiveError("malformed", what, "Nothing was done. With --yes it does not ask")
    question = f"Login, notes and history of {name} are wiped, and nothing brings them back.\nType its name to go on: "
    print(question, end="", file=sys.stderr, flush=True)  # noqa: T201
    if sys.stdin.readline().strip() != name:
        raise HiveError("malformed", f"that is not '{name}'", "Nothing was done")
