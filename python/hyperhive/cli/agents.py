"""Commands about agents that change nothing: which there are, how one is, what it did."""

# ruff: noqa: FBT002, PLR0913, PLR0917
# Typer reads options from the signature: a flag is a boolean with a default, and a command has many.

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hyperhive.cli.options import JsonOption, NameArgument, SocketOption, follow, talk
from hyperhive.cli.text import STATE_STYLES, age, colour_of, login_end, plain, short

if TYPE_CHECKING:
    from hyperhive.connection import Connection

#: A login that ends later is no news yet.
_SOON: Final = timedelta(days=3)
#: Said of an agent that runs on what the settings do not want any more.
RESTART_PENDING: Final = "restart pending until its turn has ended"


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("list")(list_agents)
    app.command("show")(show)
    app.command("logs")(logs)


def path_of(name: str) -> str:
    """The route of an agent.

    Raises:
        HiveError: `bad_name`, `reserved_name`; so that nothing but a name becomes a part of a path.
    """
    from hyperhive.names import parse_agent_name  # noqa: PLC0415 - it imports pydantic

    return f"/api/agents/{parse_agent_name(name)}"


def list_agents(socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """All agents, and what each is doing."""

    async def work(hive: Connection) -> None:
        answer = await hive.get("/api/agents")
        if as_json:
            from hyperhive.cli.output import show_json  # noqa: PLC0415

            show_json(answer)
        else:
            _show_agents(answer["agents"])
            _show_warnings(answer.get("warnings") or [])

    talk(socket, work)


def _show_agents(agents: list[dict[str, Any]]) -> None:
    from hyperhive.cli.output import note, table  # noqa: PLC0415 - rich, where it is needed

    if not agents:
        note("This hive has no agents. Declare some in its settings; docs/cli.md shows how.")
        return
    columns: list[tuple[str, dict[str, Any]]] = [
        ("NAME", {"min_width": 9}),
        ("STATE", {"min_width": 12}),
        ("SINCE", {"min_width": 5, "justify": "right"}),
        ("MODEL", {"max_width": 18}),
        ("UNREAD", {"min_width": 6, "justify": "right"}),
        ("NOTE", {"ratio": 1}),
    ]
    table(columns, [_agent_row(agent) for agent in agents])


def _show_warnings(warnings: list[str]) -> None:
    """What the operator should know of the whole hive, beside the table."""
    from hyperhive.cli.output import note  # noqa: PLC0415

    for warning in warnings:
        note(f"warning: {plain(warning, one_line=True)}")


def _agent_row(agent: dict[str, Any]) -> list[tuple[str, str]]:
    name, state = short(agent.get("name"), 16), short(agent.get("state"), 16)
    unread = agent.get("unread") or 0
    return [
        (name, f"bold {colour_of(name)}"),
        (state, STATE_STYLES.get(state, "")),
        (age(agent.get("since")), "dim"),
        (short(agent.get("model"), 18), "dim"),
        (str(unread), "bold" if unread else "dim"),
        _about(agent),
    ]


def _about(agent: dict[str, Any]) -> tuple[str, str]:
    """The one thing about an agent that is most worth saying."""
    if agent.get("problem"):
        return short(agent["problem"], 200), "red"
    operation = agent.get("operation")
    if operation and operation.get("status") in {"queued", "running"}:
        return f"{short(operation.get('kind'), 16)} {operation['status']}", "yellow"
    if agent.get("restartPending"):
        return RESTART_PENDING, "yellow"
    if end := login_end(agent.get("loginExpiresAt"), within=_SOON):
        return f"its login {end}", "yellow"
    return short(agent.get("statusText") or "", 200), ""


def show(name: NameArgument, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Everything about one agent."""

    async def work(hive: Connection) -> None:
        from hyperhive.cli.detail import show_agent  # noqa: PLC0415
        from hyperhive.cli.output import show_json  # noqa: PLC0415

        agent = await hive.get(path_of(name))
        if as_json:
            show_json(agent)
        else:
            open_ends = await hive.get(f"{path_of(name)}/loose-ends")
            show_agent(agent, (await hive.get(f"{path_of(name)}/events", limit=12))["events"], open_ends["ends"])

    talk(socket, work)


def logs(
    name: NameArgument,
    follow_on: Annotated[bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, max=10_000, help="How many lines.")] = 100,
    events: Annotated[bool, typer.Option("--events", help="What happened in its turns instead.")] = False,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """What an agent's harness printed.

    With --events, what the agent did in its turns.
    """

    async def work(hive: Connection) -> None:
        from hyperhive.cli import logs as shown  # noqa: PLC0415

        show_logs = shown.show_events if events else shown.show_journal
        await show_logs(hive, name, lines, follow_on=follow_on, as_json=as_json)

    (follow if follow_on else talk)(socket, work)
