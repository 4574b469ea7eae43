"""Commands about what agents use: usage, budget, metrics."""

# ruff: noqa: FBT002
# Typer reads options from the signature: a flag is a boolean with a default, and a command has many.

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperhive.cli.options import JsonOption, SocketOption, talk
from hyperhive.cli.text import clock, colour_of, plain, short

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hyperhive.connection import Connection

_SUMMED = ("turns", "failed", "lost", "inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens", "costUsd")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("usage")(usage)
    app.command("budget")(budget)
    app.command("metrics")(metrics)


def usage(
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="NAME", help="Of this one alone.", show_default=False)
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help="So many days, today included.")] = 7,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """What was used, by day, agent and model, with the sums of each agent; newest day last."""

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import note, say, show_json  # noqa: PLC0415 - start-up time

        answer = await hive.get("/api/usage", days=days, agent=agent)
        if as_json:
            show_json(answer)
            return
        if not answer["usage"]:
            note(f"Nothing was used in {days} days." if days > 1 else "Nothing was used today.")
        else:
            _show_table(answer)
        today = answer["today"]
        who = "the hive" if agent is None else plain(agent, one_line=True)
        say(f"\ntoday, {who}: {today['turns']} turns, {today['costUsd']:.2f} USD; {budget_words(answer.get('budget'))}")
        if lost := answer["total"].get("lost"):
            turns = "1 turn" if lost == 1 else f"{lost} turns"
            say(f"{turns} ended with the harness and reported nothing: what they used is not in these figures")

    talk(socket, work)


def _show_table(answer: dict[str, Any]) -> None:
    from hyperhive.cli.output import table  # noqa: PLC0415

    right = {"justify": "right"}
    columns: list[tuple[str, dict[str, Any]]] = [
        ("DAY", {}), ("AGENT", {}), ("MODEL", {}), ("TURNS", right), ("FAILED", right),
        ("IN", right), ("OUT", right), ("CACHED", right), ("USD", right),
    ]  # fmt: skip
    rows = list(reversed(answer["usage"]))
    lines = [_line(row, row["day"], row["agent"], row["model"]) for row in rows]
    agents = sorted({row["agent"] for row in rows})
    if len(rows) > len(agents):
        lines += [_line(_sum(row for row in rows if row["agent"] == name), "all", name, "") for name in agents]
    if len(agents) > 1:
        lines.append(_line(answer["total"], "all", "", ""))
    table(columns, lines)


def _sum(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    found = list(rows)
    return {name: sum(row[name] for row in found) for name in _SUMMED}


def _line(row: dict[str, Any], day: str, agent: str, model: str) -> list[tuple[str, str]]:
    style = "bold" if day == "all" else ""
    name = short(agent, 16)
    return [
        (plain(day, one_line=True), style or "dim"),
        (name, colour_of(name)),
        (short(model.removeprefix("claude-"), 16), ""),
        (f"{row['turns']:,}", style),
        (f"{row['failed']:,}", "red" if row["failed"] else "dim"),
        (tokens(row["inputTokens"] + row["cacheWriteTokens"]), style),
        (tokens(row["outputTokens"]), style),
        (tokens(row["cacheReadTokens"]), style),
        (f"{row['costUsd']:.2f}", style),
    ]


def tokens(count: int) -> str:
    """A number of tokens in few characters: `950`, `12.3k`, `4.56M`."""
    if count < 1000:  # noqa: PLR2004 - from here on in thousands
        return str(count)
    if count < 1_000_000:  # noqa: PLR2004
        return f"{count / 1000:.1f}k"
    return f"{count / 1_000_000:.2f}M"


def budget_words(budget: dict[str, Any] | None) -> str:
    """A budget as one sentence: what was used today of what is allowed."""
    if not budget:
        return "no budget"
    said = []
    for kind in ("usd", "tokens", "turns"):
        if part := budget.get(kind):
            form = ",.2f" if kind == "usd" else ",.0f"
            raised = " (for today)" if part.get("raised") else ""
            said.append(f"{part['used']:{form}} of {part['allowed']:{form}} {kind.replace('usd', 'USD')}{raised}")
    return f"budget: {', '.join(said)}; a new day begins at {clock(budget.get('until'))}"


def budget(  # noqa: PLR0913, PLR0917 - its options
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="An agent; without one, the hive.", show_default=False)
    ] = None,
    usd: Annotated[float | None, typer.Option("--usd", min=0, help="Dollars for today.", show_default=False)] = None,
    tokens: Annotated[int | None, typer.Option("--tokens", min=0, help="Tokens for today.", show_default=False)] = None,
    turns: Annotated[int | None, typer.Option("--turns", min=0, help="Turns for today.", show_default=False)] = None,
    declared: Annotated[bool, typer.Option("--declared", help="Back to what the settings say.")] = False,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """What an agent, or the hive, may use today; with options, allow something else until midnight.

    What waits for the agent goes on at once. The settings are not changed: tomorrow they hold again.
    """
    given = {"usd": usd, "tokens": tokens, "turns": turns}
    today: dict[str, Any] = {kind: limit for kind, limit in given.items() if limit is not None}
    if declared and today:
        msg = "--declared takes back what was allowed for today; it goes with none of --usd, --tokens, --turns"
        raise typer.BadParameter(msg)
    if declared:
        today = dict.fromkeys(given)

    async def work(hive: Connection) -> None:
        from hyperhive.cli.agents import path_of  # noqa: PLC0415
        from hyperhive.cli.output import say, show_json  # noqa: PLC0415

        if today:
            path = "/api/budget" if name is None else f"{path_of(name)}/budget"
            answer = await hive.post(path, {"today": today})
        else:
            found = await hive.get("/api/usage", days=1, agent=name)
            answer = {"budget": found.get("budget")}
        if as_json:
            show_json(answer)
        else:
            who = "the hive" if name is None else plain(name, one_line=True)
            say(f"{who}: {budget_words(answer.get('budget'))}")

    talk(socket, work)


def metrics(
    scrape_config: Annotated[
        bool, typer.Option("--scrape-config", help="What Prometheus has to be told, instead of the figures.")
    ] = False,
    socket: SocketOption = None,
) -> None:
    """The figures of the hive in Prometheus' format, as /metrics has them."""

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import say  # noqa: PLC0415

        if not scrape_config:
            say((await hive.text("/metrics")).rstrip("\n"))
            return
        from urllib.parse import urlsplit  # noqa: PLC0415

        url = urlsplit((await hive.get("/api/dashboard-url"))["url"])
        state = await hive.get("/api/state")
        say(_SCRAPE.format(target=url.netloc, token=state["hive"].get("metricsTokenFile") or "…"))

    talk(socket, work)


#: One job of a prometheus.yml.
_SCRAPE = """\
scrape_configs:
  - job_name: hyperhive
    authorization:
      credentials_file: {token}
    static_configs:
      - targets: ["{target}"]"""
