"""The command about reminders of agents and their schedules."""

# ruff: noqa: FBT002, PLR0913, PLR0917
# Typer reads options from the signature: a flag is a boolean with a default, and a command has many.

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperhive.cli.options import JsonOption, SocketOption, talk
from hyperhive.cli.text import clock, colour_of, plain

if TYPE_CHECKING:
    from hyperhive.connection import Connection


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("reminders")(reminders)


def reminders(
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="NAME", help="Of this agent only.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that came or were cancelled.")] = False,
    cancel: Annotated[
        int | None, typer.Option("--cancel", metavar="ID", min=1, help="Cancel one instead.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=2000, help="How many at most.")] = 200,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """What agents will be reminded of, and the schedules that the settings declare; newest last."""

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import note, say, show_json  # noqa: PLC0415 - start-up time

        if cancel is not None:
            row = await hive.delete(f"/api/reminders/{cancel}")
            if as_json:
                show_json(row)
            else:
                say(f"reminder {cancel} of {plain(row['agent'], one_line=True)} is cancelled; it is not told")
            return
        status = None if everything else "pending"
        answer = await hive.get("/api/reminders", status=status, agent=agent, limit=limit)
        if as_json:
            show_json(answer)
            return
        for schedule in answer.get("schedules") or []:
            _show_schedule(schedule)
        for reminder in reversed(answer["reminders"]):
            _show(reminder)
        if not answer["reminders"]:
            note("There are no reminders." if everything else "No reminder is pending.")

    talk(socket, work)


def _show_schedule(schedule: dict[str, Any]) -> None:
    following, last = schedule.get("nextAt"), schedule.get("lastAt")
    when = f"next {clock(following)}" if following else "not now"
    before = f"  last {clock(last)}" if last else ""
    name = plain(schedule.get("name"), one_line=True)
    _head(when, schedule, f"  schedule {name}, {plain(schedule.get('rule'), one_line=True)}{before}")
    _body(schedule)


def _show(reminder: dict[str, Any]) -> None:
    status = plain(reminder.get("status"), one_line=True)
    about = f"  reminder {reminder.get('id')}"
    if status == "cancelled":
        about += f"  cancelled by {plain(reminder.get('endedBy'), one_line=True)}"
    elif status != "pending":
        about += f"  {status} {clock(reminder.get('endedAt'))} as message {reminder.get('messageId')}"
    _head(clock(reminder.get("at")), reminder, about)
    _body(reminder)


def _head(when: str, row: dict[str, Any], about: str) -> None:
    from hyperhive.cli.output import console, styled  # noqa: PLC0415

    agent = plain(row.get("agent"), one_line=True)
    head = styled((when, "dim"), ("  ", ""), (agent, f"bold {colour_of(agent)}"), (about, "dim"))
    console().print(head, soft_wrap=True)


def _body(row: dict[str, Any]) -> None:
    from hyperhive.cli.output import console, styled  # noqa: PLC0415

    for line in plain(row.get("message", "")).splitlines():
        console().print(styled((f"    {line}", "")), soft_wrap=True)
