"""Commands that reach an agent's Claude: login, model, compact, new-session."""

# ruff: noqa: FBT002
# Typer reads options from the signature: a flag is a boolean with a default, and a command has many.

from __future__ import annotations

import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hyperhive.cli.agents import path_of
from hyperhive.cli.operations import carry_out, conclude
from hyperhive.cli.options import JsonOption, NameArgument, SocketOption, talk
from hyperhive.cli.text import plain

if TYPE_CHECKING:
    from pathlib import Path

    from hyperhive.connection import Connection
    from hyperhive.errors import HiveError

Row = dict[str, Any]

_UNDER_WAY: Final = {"starting", "checking"}
_ENDS: Final = {"cancelled": "was cancelled", "expired": "has expired"}


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("login")(login)
    app.command("model")(model)
    app.command("compact")(compact)
    app.command("new-session")(new_session)


def model(
    name: NameArgument,
    wanted: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="From now on.", show_default=False)] = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which model an agent's next turn uses.

    With MODEL, another one from then on, until the settings name another one. The model of the settings ends that.
    """

    async def work(hive: Connection) -> None:
        from hyperhive.cli.output import say, show_json  # noqa: PLC0415 - start-up time

        if wanted is not None:
            row = await carry_out(hive, f"{path_of(name)}/model", {"model": wanted})
            conclude(row, f"{name} uses {wanted} from its next turn on", f"See: hyperhive show {name}", as_json=as_json)
            return
        agent = await hive.get(path_of(name))
        if as_json:
            show_json({"model": agent.get("model")})
        else:
            say(plain(agent.get("model") or "", one_line=True))

    talk(socket, work)


def compact(name: NameArgument, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Let Claude shorten an agent's conversation. Refused while a turn runs."""
    _session(name, "compact", f"the conversation of {name} is shorter", socket, as_json=as_json)


def new_session(name: NameArgument, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Give an agent's conversation up. Its next turn begins a new one; refused while a turn runs."""
    _session(name, "new-session", f"the next turn of {name} begins a new conversation", socket, as_json=as_json)


def _session(name: str, kind: str, done: str, socket: Path | None, *, as_json: bool) -> None:
    async def work(hive: Connection) -> None:
        row = await carry_out(hive, f"{path_of(name)}/{kind}")
        conclude(row, done, f"See: hyperhive show {name}", as_json=as_json)

    talk(socket, work)


def login(
    name: NameArgument,
    cancel: Annotated[bool, typer.Option("--cancel", help="End a sign-in that was begun.")] = False,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign an agent's Claude in.

    Prints a link, asks for the code that the page behind it shows, and waits for the outcome.
    """
    from hyperhive.cli.output import note, say, show_json  # noqa: PLC0415 - start-up time

    signing = _SignIn(name, socket)
    if cancel:
        signing.step("cancel")
        if as_json:
            show_json({"ok": True})
        else:
            say(f"the sign-in of {name} is cancelled")
        return
    row = signing.begin()
    (note if as_json else say)(f"Open this and sign in:\n\n  {plain(row.get('url') or '', one_line=True)}\n")
    while row["phase"] == "link":
        if row.get("error"):
            note(f"hyperhive: {plain(row['error'], one_line=True)}")
        row = signing.give(_code_of(signing))
    if as_json:
        show_json(row)
    else:
        say(f"{name} is signed in")


class _SignIn:
    """One sign-in; each step has a line to the hive of its own, for in between a person is waited for."""

    def __init__(self, name: str, socket: Path | None) -> None:
        self._name, self._path, self._socket = name, path_of(name), socket
        self._since = ""
        self._begun = False

    def begin(self) -> Row:
        """Start it; returns with the link."""
        return self._after("start", None)

    def give(self, code: str) -> Row:
        """Give a code; returns when it is checked."""
        return self._after("code", {"code": code})

    def step(self, step: str, body: object = None) -> None:
        """Take a step without waiting for what follows."""

        async def work(hive: Connection) -> None:
            await hive.post(f"{self._path}/login/{step}", body)

        talk(self._socket, work)

    def _after(self, step: str, body: object) -> Row:
        found: list[Row] = []

        async def work(hive: Connection) -> None:
            if step == "start":
                before = (await hive.get(self._path)).get("login") or {}
                self._since = before.get("since") or ""
            await hive.post(f"{self._path}/login/{step}", body)
            found.append(await self._next(hive))

        talk(self._socket, work)
        (row,) = found
        self._since, self._begun = row["since"], True
        if row["phase"] in {"link", "done"}:
            return row
        raise self._failure(row["phase"], row.get("error") or "")

    async def _next(self, hive: Connection) -> Row:
        """Wait for what comes after `since`, through the stream."""
        while True:
            state = await hive.get("/api/state")
            for agent in state["agents"]:
                if row := self._news(agent):
                    return row
            async with aclosing(hive.stream(state["seq"], state["epoch"])) as changes:
                async for change in changes:
                    if change.get("type") == "resync":
                        break
                    if change.get("type") == "agent" and (row := self._news(change.get("data") or {})):
                        return row

    def _failure(self, phase: str, why: str) -> HiveError:
        from hyperhive.errors import HiveError  # noqa: PLC0415 - start-up time

        said = f" ({plain(why, one_line=True)})" if why else ""
        problem = f"'{self._name}' is not signed in: the attempt {_ENDS.get(phase, 'failed')}{said}"
        return HiveError("operation_failed", problem, f"Try again: hyperhive login {self._name}")

    def _news(self, agent: Row) -> Row | None:
        if agent.get("name") != self._name:
            return None
        row = agent.get("login")
        if row is None and self._begun:
            raise self._failure("failed", "its harness was restarted")
        if not row or row.get("phase") in _UNDER_WAY:
            return None
        return row if row.get("since", "") > self._since else None


def _code_of(signing: _SignIn) -> str:
    """Ask for the code; nothing of it is shown. Who gives none ends the sign-in."""
    import getpass  # noqa: PLC0415 - start-up time

    try:
        terminal = sys.stdin.isatty()
        code = getpass.getpass("Code from that page (it is not shown): ") if terminal else sys.stdin.readline()
    except (KeyboardInterrupt, EOFError):
        code = ""
    if not code.strip():
        signing.step("cancel")
        msg = "no code was given, so the sign-in is cancelled"
        raise typer.BadParameter(msg)
    return code.strip()
