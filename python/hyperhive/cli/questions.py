"""Commands about questions of agents: questions, answer, cancel-question."""

# ruff: noqa: FBT002
# Typer reads options from the signature: a flag is a boolean with a default, and a command has many.

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperhive.cli.messages import from_stdin
from hyperhive.cli.options import JsonOption, SocketOption, talk
from hyperhive.cli.text import clock, colour_of, plain

if TYPE_CHECKING:
    from hyperhive.connection import Connection

NumberArgument = Annotated[int, typer.Argument(metavar="ID", min=1, help="The question's number.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("questions")(questions)
    app.command("answer")(answer)
    app.command("cancel-question")(cancel_question)


def questions(
    everything: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=2000, help="How many at most.")] = 200,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """What agents ask, of you and of each other; newest last."""

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import note, show_json  # noqa: PLC0415 - start-up time

        answer = await hive.get("/api/questions", status=None if everything else "open", limit=limit)
        if as_json:
            show_json(answer)
            return
        for question in reversed(answer["questions"]):
            _show(question)
        if not answer["questions"]:
            note("Nobody has asked anything." if everything else "No question is open.")
        elif any(question.get("status") == "open" for question in answer["questions"]):
            note(
                "\nAnswer one: hyperhive answer ID TEXT, or --choice OPTION; withdraw it: hyperhive cancel-question ID"
            )

    talk(socket, work)


def _show(question: dict[str, Any]) -> None:
    from hyperhive.cli.output import console, styled  # noqa: PLC0415

    asker, to = plain(question.get("asker"), one_line=True), plain(question.get("to"), one_line=True)
    about = f"  question {question.get('id')}"
    if question.get("status") == "open" and question.get("deadline"):
        about += f"  until {clock(question['deadline'])}"
    head = styled(
        (clock(question.get("askedAt")), "dim"),
        ("  ", ""),
        (asker, f"bold {colour_of(asker)}"),
        (" → ", "dim"),
        (to, colour_of(to)),
        (about, "dim"),
    )
    console().print(head, soft_wrap=True)
    for line in _lines(question):
        console().print(styled((f"    {line}", "")), soft_wrap=True)
    for line, style in _ends(question):
        console().print(styled((f"    {line}", style)), soft_wrap=True)


def _lines(question: dict[str, Any]) -> list[str]:
    several = "[ ]" if question.get("multi") else "( )"
    options = [f"{several} {plain(option, one_line=True)}" for option in question.get("options") or []]
    return [*(plain(question.get("text", "")).splitlines() or [""]), *options]


def _ends(question: dict[str, Any]) -> list[tuple[str, str]]:
    """How it ended, or what will happen at its deadline."""
    status, answer = question.get("status"), question.get("answer")
    who = plain(question.get("answeredBy") or "", one_line=True)
    if status == "open":
        default = question.get("default")
        told = default is not None and question.get("deadline")
        return [(f"or else: {plain(default, one_line=True)}", "dim")] if told else []
    said = "expired" if status == "expired" else f"{plain(status, one_line=True)} by {who}"
    lines = plain(answer).splitlines() if answer else []
    return [(f"{said}:" if lines else said, "dim"), *((f"  {line}", "") for line in lines)]


def answer(
    number: NumberArgument,
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="The answer; - reads it from stdin.", show_default=False)
    ] = None,
    choice: Annotated[
        list[str] | None,
        typer.Option("--choice", metavar="OPTION", help="One of its options; may be repeated.", show_default=False),
    ] = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a question of an agent, whoever it was asked of."""
    if text is None and not choice:
        msg = "what is the answer? Give a TEXT, or --choice OPTION, or both"
        raise typer.BadParameter(msg)
    body = {"choices": choice or [], "text": from_stdin().strip() if text == "-" else text or ""}
    _decide(number, "answer", body, "answered; {asker} gets a message", socket, as_json=as_json)


def cancel_question(number: NumberArgument, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Cancel a question of an agent; it is told."""
    _decide(number, "cancel", None, "cancelled; {asker} gets a message", socket, as_json=as_json)


def _decide(  # noqa: PLR0913 - one for both
    number: int, action: str, body: dict[str, Any] | None, done: str, socket: SocketOption, *, as_json: bool
) -> None:
    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import say, show_json  # noqa: PLC0415

        row = await hive.post(f"/api/questions/{number}/{action}", body)
        if as_json:
            show_json(row)
        else:
            say(f"question {number} is {done.format(asker=plain(row['asker'], one_line=True))}")

    talk(socket, work)
