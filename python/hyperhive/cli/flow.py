"""The flow of messages on a terminal: the last ones, and then each as it is accepted."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from hyperhive.cli.output import note, show_json, show_json_line, show_message, show_messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from hyperhive.connection import Connection

Message = dict[str, Any]


async def show_flow(hive: Connection, agent: str | None, limit: int, *, follow_on: bool, as_json: bool) -> None:
    """The last messages, of or to `agent` if one is named; and if wanted those that come."""
    snapshot = await hive.get("/api/state") if follow_on else {}
    answer = await hive.get("/api/messages", agent=agent, limit=limit)
    if as_json and not follow_on:
        show_json(answer)
        return
    messages: list[Message] = answer["messages"]
    show = show_json_line if as_json else show_message
    if as_json:
        for message in reversed(messages):
            show(message)
    else:
        show_messages(messages, "No messages yet.")
    if follow_on:
        newest = max((message["id"] for message in messages), default=0)

        def away() -> None:
            note("(the hive is away; waiting for it)")

        await new_messages(hive, snapshot, newest, show, agent=agent, on_away=away)


async def new_messages(  # noqa: PLR0913 - the last three are options
    hive: Connection,
    snapshot: dict[str, Any],
    newest: int,
    show: Callable[[Message], None],
    *,
    agent: str | None = None,
    on_away: Callable[[], None] | None = None,
    on_waiting: Callable[[list[dict[str, Any]]], None] | None = None,
) -> None:
    """Hand each message with a greater id than `newest` to `show`, whole, in the order of ids; never ends.

    Args:
        hive: the line.
        snapshot: `/api/state` of before.
        newest: id of the last message that is known.
        show: is given each.
        agent: only messages of or to this one.
        on_away: called each time that the hive is gone.
        on_waiting: called with the list of what waits for the operator, each time that it changes.
    """
    async with aclosing(hive.follow(snapshot["seq"], snapshot["epoch"], on_away=on_away)) as changes:
        async for change in changes:
            if on_waiting and change.get("type") == "waiting":
                on_waiting(change["data"]["waiting"])
            for message in await _news(hive, change, agent):
                if message["id"] > newest:
                    newest = message["id"]
                    show(message)


async def _news(hive: Connection, change: dict[str, Any], agent: str | None) -> list[Message]:
    if change.get("type") == "resync":
        answer = await hive.get("/api/messages", agent=agent, limit=500)
        return list(reversed(answer["messages"]))
    data = change.get("data") or {}
    if change.get("type") != "message" or (agent is not None and agent not in {data.get("from"), data.get("to")}):
        return []
    if data.get("truncated"):
        whole = await hive.get("/api/messages", before=data["id"] + 1, limit=1)
        return [message for message in whole["messages"] if message["id"] == data["id"]]
    return [data]
