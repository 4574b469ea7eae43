"""`hyperhive logs`: the journal of a harness, or the events of its turns, once or going on."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from hyperhive.cli.agents import path_of
from hyperhive.cli.detail import show_event
from hyperhive.cli.output import note, say, show_json, show_json_line
from hyperhive.cli.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyperhive.connection import Connection


async def show_journal(hive: Connection, name: str, lines: int, *, follow_on: bool, as_json: bool) -> None:
    """What the harness printed."""
    path = f"{path_of(name)}/journal"
    if follow_on:
        await _follow_journal(hive, f"{path}/stream", lines, as_json=as_json)
        return
    answer = await hive.get(path, lines=lines)
    if as_json:
        show_json(answer)
        return
    _show_lines(answer["lines"], as_json=False)
    if not answer["lines"]:
        note(f"The harness of {plain(name)} has printed nothing; what the agent did: hyperhive logs --events {name}")


async def _follow_journal(hive: Connection, path: str, lines: int, *, as_json: bool) -> None:
    def away() -> None:
        note("(the hive is away; waiting for it)")

    known: list[str] = []
    async with aclosing(hive.follow_path(path, on_away=away, lines=lines)) as chunks:
        async for begins, chunk in chunks:
            said: list[str] = chunk["lines"]
            # After a break the last lines come again.
            _show_lines(fresh(known, said) if begins else said, as_json=as_json)
            known = [*known, *said][-lines:]


def fresh(known: Sequence[str], newest: Sequence[str]) -> Sequence[str]:
    """The lines of `newest` that came after `known`, both being the end of one growing text."""
    for overlap in range(min(len(known), len(newest)), 0, -1):
        if known[-overlap:] == newest[:overlap]:
            return newest[overlap:]
    return newest


def _show_lines(lines: Sequence[str], *, as_json: bool) -> None:
    for line in lines:
        if as_json:
            show_json_line({"line": line})
        else:
            say(plain(line))


async def show_events(hive: Connection, name: str, lines: int, *, follow_on: bool, as_json: bool) -> None:
    """What happened in the agent's turns."""
    snapshot = await hive.get("/api/state") if follow_on else {}
    answer = await hive.get(f"{path_of(name)}/events", limit=min(lines, 2000))
    if as_json and not follow_on:
        show_json(answer)
        return
    events: list[dict[str, Any]] = answer["events"]
    for event in reversed(events):
        _show_one(event, as_json=as_json)
    if not events:
        note(f"Nothing has happened in {plain(name)} yet.")
    if follow_on:
        await _go_on(hive, name, snapshot, events[0]["seq"] if events else 0, as_json=as_json)


async def _go_on(hive: Connection, name: str, snapshot: dict[str, Any], seen: int, *, as_json: bool) -> None:
    def away() -> None:
        note("(the hive is away; waiting for it)")

    async with aclosing(hive.follow(snapshot["seq"], snapshot["epoch"], on_away=away)) as changes:
        async for change in changes:
            data = change.get("data") or {}
            if change.get("type") == "event" and data.get("agent") == name and data.get("seq", 0) > seen:
                _show_one(data, as_json=as_json)


def _show_one(event: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json_line(event)
    else:
        show_event(event)
