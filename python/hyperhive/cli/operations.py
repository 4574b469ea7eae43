"""Operations: a command for each thing that is done to an agent, the wait for its end, and the queue of all of them."""

# ruff: noqa: FBT002
# Typer reads options from the signature: a flag is a boolean with a default, and a command has many.

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from hyperhive.cli.agents import path_of
from hyperhive.cli.options import JsonOption, NameArgument, SocketOption, talk
from hyperhive.cli.text import age, plain, short, took

if TYPE_CHECKING:
    import typer

    from hyperhive.connection import Connection

Row = dict[str, Any]

#: Each command: what its help says, and what is said of the agent when it is done.
_ACTIONS: Final = {
    "start": ("Start an agent, also at later hive starts.", "runs"),
    "stop": (
        "Stop an agent. A running turn may end first, and it stays stopped until it is started again.",
        "stands still",
    ),
    "restart": ("Stop an agent and start it again.", "runs again"),
    "rebuild": (
        "Make what an agent runs in anew. Login, notes and shared files stay, all else in it is gone.",
        "was made anew and runs",
    ),
    "pause": ("Give an agent no more messages. A running turn ends first; what is sent waits.", "is paused"),
    "resume": ("End an agent's pause.", "gets its messages again"),
    "kick": ("Wake an agent. It gets a message that tells it to look at its notes.", "was woken"),
    "cancel": ("Interrupt an agent's running turn.", "was interrupted"),
}
_STATUS_STYLES: Final = {"queued": "dim", "running": "yellow", "done": "green", "failed": "bold red"}


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for action, (sentence, done) in _ACTIONS.items():
        app.command(action, help=sentence)(_action(action, done))
    app.command("operations")(operations)


def _action(action: str, done: str) -> Any:  # noqa: ANN401 - a command for Typer
    def command(name: NameArgument, socket: SocketOption = None, as_json: JsonOption = False) -> None:
        async def work(hive: Connection) -> None:
            row = await carry_out(hive, f"{path_of(name)}/{action}")
            conclude(row, f"{name} {done}", f"See: hyperhive logs {name}", as_json=as_json)

        talk(socket, work)

    return command


async def carry_out(hive: Connection, path: str, body: object = None) -> Row:
    """Ask for an operation, and wait for its end.

    Args:
        hive: the line.
        path: where it is asked for.
        body: what is sent with it.

    Raises:
        HiveError: it was refused, or failed within a few seconds; what fails later is a row that says so.
    """
    row = await hive.post(path, body)
    if row.get("endedAt"):
        return row
    from hyperhive.cli.output import note  # noqa: PLC0415 - start-up time

    note(f"{_what(row)} of {_whom(row)} is under way; Ctrl-C leaves it to the hive")
    return await _finished(hive, row)


def conclude(row: Row, done: str, hint: str, *, as_json: bool) -> None:
    """Say how an operation ended.

    Args:
        row: the operation.
        done: what is said if it ended well.
        hint: what to look at if it did not.
        as_json: print the row instead.

    Raises:
        HiveError: `operation_failed`.
    """
    from hyperhive.cli.output import say, show_json  # noqa: PLC0415

    if as_json:
        show_json(row)
    if row.get("status") == "failed":
        from hyperhive.errors import HiveError  # noqa: PLC0415

        raise HiveError("operation_failed", f"{_what(row)} of '{_whom(row)}' failed: {row.get('error')}", hint)
    if not as_json:
        say(plain(done, one_line=True))


def _what(row: Row) -> str:
    return short(row.get("kind"), 16)


def _whom(row: Row) -> str:
    return short(row.get("agent"), 16)


async def _finished(hive: Connection, row: Row) -> Row:
    """Wait for the end of an operation, through the stream."""
    before = await hive.get("/api/state")
    now = await hive.get(f"/api/operations/{row['id']}")
    if now.get("endedAt"):
        return now
    async with aclosing(hive.stream(before["seq"], before["epoch"])) as changes:
        async for change in changes:
            data = change.get("data") or {}
            if change.get("type") == "operation" and data.get("id") == row["id"] and data.get("endedAt"):
                return data
            if change.get("type") == "resync":
                break
    return await hive.get(f"/api/operations/{row['id']}")


def operations(socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """What is done to agents, newest last: queued, running, ended."""

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import note, show_json, table  # noqa: PLC0415

        answer = await hive.get("/api/operations")
        if as_json:
            show_json(answer)
        elif answer["operations"]:
            columns: list[tuple[str, dict[str, Any]]] = [
                ("ID", {"justify": "right"}),
                ("AGENT", {}),
                ("KIND", {}),
                ("STATUS", {}),
                ("SINCE", {"justify": "right"}),
                ("TOOK", {"justify": "right"}),
                ("ERROR", {"ratio": 1, "no_wrap": False, "overflow": "fold"}),
            ]
            table(columns, [_cells(row) for row in reversed(answer["operations"])])
        else:
            note("Nothing was done to any agent since the hive has started.")

    talk(socket, work)


def _cells(row: Row) -> list[tuple[str, str]]:
    status = short(row.get("status"), 8)
    return [
        (short(row.get("id"), 8), "dim"),
        (_whom(row), "bold"),
        (_what(row), ""),
        (status, _STATUS_STYLES.get(status, "")),
        (age(row.get("startedAt")), "dim"),
        (took(row.get("startedAt"), row.get("endedAt")), "dim"),
        (plain(row.get("error") or "", one_line=True), "red"),
    ]
