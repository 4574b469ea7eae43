"""Commands about what needs your yes: approvals, approve, deny, cancel-approval, request-spawn."""

# ruff: noqa: FBT002
# Typer reads options from the signature: a flag is a boolean with a default, and a command has many.

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hyperhive.cli.options import JsonOption, SocketOption, talk
from hyperhive.cli.text import age, clock, colour_of, plain, short, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hyperhive.connection import Connection

Row = dict[str, Any]

NumberArgument = Annotated[int, typer.Argument(metavar="ID", min=1, help="The approval's number.", show_default=False)]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why; it is kept, and told to whoever asked.")
]

#: States in which something is still to come.
_OPEN: Final = frozenset({"building", "pending", "approved", "deploying"})
_ENDS: Final = frozenset({"deployed", "denied", "cancelled", "expired", "failed"})
_STYLES: Final = {
    "building": "yellow", "pending": "bold yellow", "approved": "yellow", "deploying": "yellow", "deployed": "green",
    "denied": "red", "failed": "bold red", "expired": "dim", "cancelled": "dim",
}  # fmt: skip


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("approvals")(approvals)
    app.command("approve")(approve)
    app.command("deny")(deny)
    app.command("cancel-approval")(cancel_approval)
    app.command("request-spawn")(request_spawn)


def approvals(  # noqa: PLR0913, PLR0917 - what a user can say
    number: Annotated[
        int | None, typer.Argument(metavar="[ID]", min=1, help="One of them, whole.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    log: Annotated[bool, typer.Option("--log", help="With an ID: all that the builder said.")] = False,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=2000, help="How many at most.")] = 200,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """What needs your yes, newest last; with a number, one of them with all that it changes."""

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import say, show_json  # noqa: PLC0415 - start-up time

        if log:
            said = await hive.text(f"/api/approvals/{_named(number)}/log")
            show_json({"log": said}) if as_json else say(plain(said))
            return
        if number is not None:
            row = await hive.get(f"/api/approvals/{number}")
            show_json(row) if as_json else _show(row)
            return
        rows = (await hive.get("/api/approvals", status=None if everything else "open", limit=limit))["approvals"]
        show_json({"approvals": rows}) if as_json else _list(rows, everything=everything)

    talk(socket, work)


def _named(number: int | None) -> int:
    if number is None:
        from hyperhive.errors import HiveError  # noqa: PLC0415 - start-up time

        raise HiveError("malformed", "--log is about one approval", "Name it: hyperhive approvals ID --log")
    return number


def _list(rows: list[Row], *, everything: bool) -> None:
    from hyperhive.cli.output import note, table  # noqa: PLC0415

    if not rows:
        note("Nothing was ever asked of you." if everything else "Nothing needs your yes.")
        return
    columns: list[tuple[str, dict[str, Any]]] = [
        ("ID", {"justify": "right"}),
        ("KIND", {}),
        ("AGENT", {}),
        ("STATUS", {}),
        ("BY", {}),
        ("AGE", {"justify": "right"}),
        ("WHAT", {"ratio": 1, "no_wrap": False, "overflow": "fold"}),
    ]
    table(columns, [_cells(row) for row in reversed(rows)])
    if any(row.get("status") == "pending" for row in rows):
        note("\nSee all of one: hyperhive approvals ID; decide: hyperhive approve ID, hyperhive deny ID")


def _cells(row: Row) -> list[tuple[str, str]]:
    agent, status = short(row.get("agent"), 16), short(row.get("status"), 10)
    what = row.get("reason") if status in _ENDS else row.get("note") if status == "building" else None
    return [
        (short(row.get("id"), 8), "dim"),
        (short(row.get("kind"), 8), ""),
        (agent, colour_of(agent)),
        (f"{status} (stale)" if row.get("stale") and status in _OPEN else status, _STYLES.get(status, "")),
        (short(row.get("requestedBy"), 16), ""),
        (age(row.get("requestedAt")), "dim"),
        (plain(what or row.get("description") or "", one_line=True), ""),
    ]


def _show(row: Row) -> None:
    from hyperhive.cli.output import console, styled  # noqa: PLC0415

    for name, fact in _facts(row):
        console().print(styled((f"{name:<10}", "dim"), (fact, "")), soft_wrap=True)
    prompt = (row.get("spec") or {}).get("prompt")
    build = row.get("build") or {}
    for title, text in (
        ("prompt", prompt),
        ("what it changes", row.get("diff")),
        ("what it changes of the commit that was approved last", row.get("approvedDiff")),
        ("packages", row.get("closureDiff")),
        ("build", build.get("log")),
    ):
        if text:
            console().print(styled((f"\n{title}:", "bold")))
            for line in plain(text).splitlines():
                console().print(styled((f"    {line}", _diff_style(line))), soft_wrap=True)
    if row.get("truncated"):
        console().print(styled(("\nThis is not all of it: it is too long to be shown.", "bold red")))


def _facts(row: Row) -> Iterator[tuple[str, str]]:
    spec, build = row.get("spec") or {}, row.get("build") or {}
    yield "approval", f"{row.get('id')}: {plain(row.get('kind'), one_line=True)}"
    yield "agent", plain(row.get("agent"), one_line=True)
    yield "status", plain(row.get("status"), one_line=True) + (" (stale: built anew since)" if row.get("stale") else "")
    yield "asked by", f"{plain(row.get('requestedBy'), one_line=True)} at {clock(row.get('requestedAt'))}"
    facts = {
        "about": row.get("description"),
        "model": spec.get("model"),
        "commit": row.get("commit"),
        "on top of": row.get("base"),
        "build": build.get("status"),
        "system": build.get("system"),
        "size": size(build["sizeBytes"]) if build.get("sizeBytes") else None,
        "restarts": ", ".join(build.get("units") or []),
        "until": clock(row["expiresAt"]) if row.get("status") in {"building", "pending"} else None,
        "decided by": row.get("decidedBy") and f"{row['decidedBy']} at {clock(row.get('decidedAt'))}",
        "reason": row.get("reason"),
        "note": row.get("note"),
    }
    for name, fact in facts.items():
        if fact:
            yield name, plain(fact, one_line=True)


def _diff_style(line: str) -> str:
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")


def approve(  # noqa: PLR0913, PLR0917 - what a user can say
    number: NumberArgument,
    commit: Annotated[
        str | None,
        typer.Option("--commit", metavar="HASH", help="Only if it still is about this commit.", show_default=False),
    ] = None,
    reason: ReasonOption = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until it is carried out.")] = False,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say yes, and wait until what was approved is carried out."""

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import note, say, show_json  # noqa: PLC0415

        shown = commit or (await hive.get(f"/api/approvals/{number}")).get("commit")
        given = {key: value for key, value in (("commit", shown), ("reason", reason)) if value is not None}
        row = await hive.post(f"/api/approvals/{number}/approve", given)
        if not no_wait:
            note(f"approval {number} is approved and carried out; Ctrl-C leaves it to the hive")
            row = await _carried_out(hive, number)
        if as_json:
            show_json(row)
        if row.get("status") == "failed":
            from hyperhive.errors import HiveError  # noqa: PLC0415

            what = f"approval {number} was carried out and has failed: {row.get('reason')}"
            raise HiveError("operation_failed", what, f"hyperhive approvals {number}")
        if not as_json:
            remark = f"; {row['note']}" if row.get("note") else ""
            say(plain(f"approval {number} is {row.get('status')}{remark}", one_line=True))

    talk(socket, work)


async def _carried_out(hive: Connection, number: int) -> Row:
    """The approval at its end, waited for through the stream."""
    before = await hive.get("/api/state")
    row: Row = await hive.get(f"/api/approvals/{number}")
    if row.get("status") in _ENDS:
        return row
    async with aclosing(hive.follow(before["seq"], before["epoch"])) as changes:
        async for change in changes:
            data = change.get("data") or {}
            if change.get("type") == "approval" and data.get("id") == number and data.get("status") in _ENDS:
                return data
            if change.get("type") == "resync":
                row = await hive.get(f"/api/approvals/{number}")
                if row.get("status") in _ENDS:
                    return row
    return row


def deny(
    number: NumberArgument, reason: ReasonOption = None, socket: SocketOption = None, as_json: JsonOption = False
) -> None:
    """Say no; whoever asked is told why."""
    _decide(number, "deny", {} if reason is None else {"reason": reason}, "denied", socket, as_json=as_json)


def cancel_approval(number: NumberArgument, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Take back what you have asked for yourself."""
    _decide(number, "cancel", None, "cancelled", socket, as_json=as_json)


def _decide(  # noqa: PLR0913 - one for both
    number: int, action: str, body: Row | None, done: str, socket: SocketOption, *, as_json: bool
) -> None:
    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import say, show_json  # noqa: PLC0415

        row = await hive.post(f"/api/approvals/{number}/{action}", body)
        show_json(row) if as_json else say(f"approval {number} is {done}")

    talk(socket, work)


def request_spawn(  # noqa: PLR0913, PLR0917 - what a user can say
    name: Annotated[str, typer.Argument(metavar="NAME", help="1 to 9 small letters, digits and hyphens.")],
    description: Annotated[
        str | None, typer.Option("--description", metavar="TEXT", help="What it is for, in a sentence.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="Its model; else that of defaults.model.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="TEXT", help="What it is told beside the rules of the hive.")
    ] = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for a new agent, to be approved like a request of the manager; `spawn` makes one at once."""
    given = {"name": name, "description": description, "model": model, "prompt": prompt}

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import say, show_json  # noqa: PLC0415

        body = {key: value for key, value in given.items() if value is not None}
        row = await hive.post("/api/spawn-requests", body)
        show_json(row) if as_json else say(f"approval {row['id']} waits: hyperhive approve {row['id']}")

    talk(socket, work)
