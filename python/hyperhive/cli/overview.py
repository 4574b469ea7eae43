"""Commands about the hive as a whole: dashboard-url, audit, reconcile, pending, dismiss."""

# ruff: noqa: FBT002
# Typer reads options from the signature: a flag is a boolean with a default, and a command has many.

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperhive.cli.options import JsonOption, SocketOption, talk
from hyperhive.cli.text import age, clock, colour_of, plain, short

if TYPE_CHECKING:
    from hyperhive.connection import Connection


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("dashboard-url")(dashboard_url)
    app.command("audit")(audit)
    app.command("reconcile")(reconcile)
    app.command("pending")(pending)
    app.command("dismiss")(dismiss)


def dashboard_url(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="An agent, for its page.", show_default=False)
    ] = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """The dashboard's address, with its token.

    With a name, the address of that agent's page. Treat it like a password.
    """

    async def work(hive: Connection) -> None:
        from hyperhive.cli.agents import path_of  # noqa: PLC0415
        from hyperhive.cli.output import say, show_json  # noqa: PLC0415

        answer = await hive.get("/api/dashboard-url" if name is None else f"{path_of(name)}/page-url")
        if as_json:
            show_json(answer)
        else:
            say(plain(answer["url"], one_line=True))

    talk(socket, work)


def audit(
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=2000, help="How many at most.")] = 50,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who decided what and why, newest last."""

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import note, show_json, table  # noqa: PLC0415

        answer = await hive.get("/api/audit", limit=limit)
        if as_json:
            show_json(answer)
        elif answer["audit"]:
            columns: list[tuple[str, dict[str, Any]]] = [
                ("WHEN", {}),
                ("WHO", {}),
                ("DID", {}),
                ("TO", {}),
                ("WHY", {"ratio": 1, "no_wrap": False, "overflow": "fold"}),
            ]
            table(columns, [_row(entry) for entry in reversed(answer["audit"])])
        else:
            note("Nothing was decided yet.")

    talk(socket, work)


def _row(entry: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (clock(entry.get("at")), "dim"),
        (short(entry.get("actor"), 12), "bold"),
        (short(entry.get("action"), 20), ""),
        (short(entry.get("subject"), 16), ""),
        (plain(entry.get("detail") or "", one_line=True), ""),
    ]


def reconcile(socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Start what should run, stop what should not."""

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import say, show_json  # noqa: PLC0415

        answer = await hive.post("/api/reconcile")
        if as_json:
            show_json(answer)
            return
        for what in ("started", "stopped"):
            if answer.get(what):
                say(f"{what}: {plain(', '.join(answer[what]), one_line=True)}")
        if not (answer.get("started") or answer.get("stopped")):
            say("everything is as it should be")

    talk(socket, work)


def pending(socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """What waits for you, oldest first."""

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import note, show_json, table  # noqa: PLC0415

        answer = await hive.get("/api/waiting")
        if as_json:
            show_json(answer)
        elif answer["waiting"]:
            columns: list[tuple[str, dict[str, Any]]] = [
                ("ID", {}),
                ("AGENT", {}),
                ("AGE", {"justify": "right"}),
                ("WHAT", {"ratio": 1, "no_wrap": False, "overflow": "fold"}),
            ]
            table(columns, [_item(item) for item in answer["waiting"]])
        else:
            note("Nothing waits for you.")

    talk(socket, work)


def _item(item: dict[str, Any]) -> list[tuple[str, str]]:
    agent = short(item.get("agent") or "", 16)
    return [
        (short(item.get("id"), 40), "dim"),
        (agent, colour_of(agent)),
        (age(item.get("since")), "dim"),
        (plain(item.get("title") or "", one_line=True), ""),
    ]


def dismiss(
    item: Annotated[str, typer.Argument(metavar="ID", help="For example crash-alice.", show_default=False)],
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a crash off the list of what waits for you."""

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import say, show_json  # noqa: PLC0415
        from hyperhive.connection import part_of_path  # noqa: PLC0415 - it imports httpx

        answer = await hive.post(f"/api/waiting/{part_of_path(item)}/dismiss")
        if as_json:
            show_json(answer)
        else:
            say(f"{plain(item, one_line=True)} waits no more")

    talk(socket, work)
