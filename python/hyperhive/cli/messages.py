"""Commands about messages: send, inbox, messages, and what became of those that failed."""

# ruff: noqa: FBT002
# Typer reads options from the signature: a flag is a boolean with a default, and a command has many.

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hyperhive.cli.options import JsonOption, SocketOption, follow, talk
from hyperhive.cli.text import plain
from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from hyperhive.connection import Connection

#: Bytes read from standard input; a message has at most 64 KiB, the hive says so.
_MOST: Final = 1024 * 1024


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("send")(send)
    app.command("inbox")(inbox)
    app.command("messages")(messages)
    app.command("dead-letters")(dead_letters)
    app.command("requeue")(requeue)
    app.command("discard")(discard)


def send(
    to: Annotated[str, typer.Argument(metavar="TO", help="An agent, or * for all.", show_default=False)],
    body: Annotated[str, typer.Argument(metavar="BODY", help="The text; - reads it from stdin.", show_default=False)],
    in_reply_to: Annotated[
        int | None, typer.Option("--in-reply-to", min=1, help="The message that this answers.", show_default=False)
    ] = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write to an agent as the operator.

    When this ends well, the message is on disk.
    """
    message: dict[str, Any] = {"to": to, "body": from_stdin() if body == "-" else body}
    if in_reply_to is not None:
        message["inReplyTo"] = in_reply_to

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import say, show_json  # noqa: PLC0415 - start-up time

        sent = await hive.post("/api/messages", message)
        if as_json:
            show_json(sent)
        else:
            say(f"sent to {plain(', '.join(sent['recipients'])) or 'nobody'} as message {sent['id']}")

    talk(socket, work)


def from_stdin(what: str = "a message", most: int = _MOST) -> str:
    """The text on standard input.

    Args:
        what: it is for.
        most: bytes that it may have.

    Raises:
        HiveError: `body_too_large`, `malformed`.
    """
    data = sys.stdin.buffer.read(most + 1)
    if len(data) > most:
        hint = "Write it to a file below the hive's shared directory and send its path"
        raise HiveError("body_too_large", f"standard input holds more than {what} may have ({most:,} bytes)", hint)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise HiveError("malformed", "standard input holds no UTF-8 text", "Send text; other data as a file") from None


def inbox(
    ack: Annotated[bool, typer.Option("--ack", help="Take what is shown out of the inbox.")] = False,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """What agents wrote to the operator."""

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import note, show_json, show_messages  # noqa: PLC0415

        answer = await hive.get("/api/inbox")
        if as_json:
            show_json(answer)
        else:
            show_messages(answer["messages"], "Your inbox is empty.")
        ids = [message["id"] for message in answer["messages"]]
        if ack and ids:
            await hive.post("/api/inbox/ack", {"ids": ids})
        elif ids and not as_json:
            note("\nTake them out of the inbox with: hyperhive inbox --ack")

    talk(socket, work)


def messages(
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="NAME", help="Only from or to this one.", show_default=False)
    ] = None,
    follow_on: Annotated[bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C.")] = False,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=2000, help="How many at most.")] = 30,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who wrote what to whom, newest last."""

    async def work(hive: Connection) -> None:
        from hyperhive.cli.flow import show_flow  # noqa: PLC0415

        await show_flow(hive, agent, limit, follow_on=follow_on, as_json=as_json)

    (follow if follow_on else talk)(socket, work)


def dead_letters(socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Messages that failed too often."""

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import note, show_json, show_messages  # noqa: PLC0415

        answer = await hive.get("/api/dead-letters")
        if as_json:
            show_json(answer)
            return
        show_messages(answer["messages"], "There are no dead letters.")
        if answer["messages"]:
            note("\nLet one wait again: hyperhive requeue ID; give it up: hyperhive discard ID")

    talk(socket, work)


NumberArgument = Annotated[int, typer.Argument(metavar="ID", min=1, help="The message's number.", show_default=False)]


def requeue(number: NumberArgument, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Let a dead letter wait for its agent again."""
    _decide(number, "requeue", "waits again", socket, as_json=as_json)


def discard(number: NumberArgument, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Give a dead letter up."""
    _decide(number, "discard", "is given up", socket, as_json=as_json)


def _decide(number: int, action: str, done: str, socket: SocketOption, *, as_json: bool) -> None:
    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import say, show_json  # noqa: PLC0415

        answer = await hive.post(f"/api/dead-letters/{number}/{action}")
        if as_json:
            show_json(answer)
        else:
            say(f"message {number} {done}")

    talk(socket, work)
