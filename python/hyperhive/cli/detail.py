"""One agent on the terminal, and the events of its turns as lines."""

from __future__ import annotations

import json
from typing import Any, Final

from hyperhive.cli.agents import RESTART_PENDING
from hyperhive.cli.output import console, say, styled
from hyperhive.cli.text import STATE_STYLES, age, clock, colour_of, login_end, plain, short, size
from hyperhive.cli.usage import budget_words

_KIND_STYLES: Final = {
    "turn_start": "bold",
    "text": "",
    "thinking": "dim italic",
    "tool_call": "cyan",
    "tool_result": "dim",
    "stderr": "red",
    "turn_end": "bold",
}
#: Characters of an event's text on one line.
_LINE: Final = 400


def show_agent(agent: dict[str, Any], events: list[dict[str, Any]], open_ends: list[dict[str, Any]]) -> None:
    """An agent, what it has open, and its last events, which come newest first."""
    name = plain(agent.get("name"), one_line=True)
    state = short(agent.get("state"), 40)
    for_long = (f" for {age(agent.get('since'))}", "")
    console().print(styled((name, f"bold {colour_of(name)}"), (f"  {state}", STATE_STYLES.get(state, "")), for_long))
    for label, value in _facts(agent):
        if value:
            console().print(styled((f"  {label:<10}", "dim"), (plain(value, one_line=True), "")), soft_wrap=True)
    if open_ends:
        say("\nopen:")
        for end in open_ends:
            _show_end(end)
    if events:
        say("\nlast events (more: hyperhive logs --events):")
        for event in reversed(events):
            show_event(event)


_ENDS: Final = {
    "question": "asked {who}",
    "to_answer": "is asked by {who}",
    "approval": "requested for {who}",
    "reminder": "reminder",
}


def _show_end(end: dict[str, Any]) -> None:
    """Something open, as one line."""
    kind = short(end.get("kind"), 16)
    who = _ENDS.get(kind, kind).format(who=short(end.get("who"), 16))
    until = f", {'due' if kind == 'reminder' else 'until'} {clock(end['deadline'])}" if end.get("deadline") else ""
    head = f"  {kind} {end.get('id')}" if kind != "reminder" else f"  {end.get('id')}"
    words = (f" {who}{until}: ", "dim"), (short(end.get("text"), _LINE), "")
    console().print(styled((clock(end.get("since")), "dim"), (head, ""), *words), soft_wrap=True)


def _facts(agent: dict[str, Any]) -> list[tuple[str, object]]:
    operation, usage = agent.get("operation") or {}, agent.get("usage") or {}
    wanted = f"{agent.get('wanted')} ({agent.get('origin')})"
    spent = (
        f"{usage.get('turns', 0)} turns, {usage.get('inputTokens', 0):,} tokens in, "
        f"{usage.get('outputTokens', 0):,} out, {usage.get('costUsd', 0):.2f} USD"
    )
    return [
        ("problem", agent.get("problem")),
        ("settings", RESTART_PENDING if agent.get("restartPending") else None),
        ("is for", agent.get("description")),
        ("status", agent.get("statusText")),
        ("model", agent.get("model")),
        ("role", agent.get("role")),
        ("wanted", wanted),
        ("runs in", f"{agent.get('runtime')} on {agent.get('host')}"),
        ("pid", agent.get("pid")),
        ("page", agent.get("url")),
        ("port", agent.get("portProblem")),
        ("unread", agent.get("unread")),
        ("last turn", _last_turn(agent.get("lastTurn"))),
        ("on disk", size(agent["stateBytes"]) if agent.get("stateBytes") is not None else None),
        ("operation", f"{operation.get('kind')} {operation.get('status')}" if operation else None),
        ("usage", spent if usage else None),
        ("today", _today(agent)),
        ("context", _context(usage)),
        ("sign-in", _sign_in(agent.get("login") or {})),
        ("login", login_end(agent.get("loginExpiresAt"))),
        ("mcp", _servers(agent.get("mcpServers") or [])),
    ]


def _today(agent: dict[str, Any]) -> str | None:
    today, budget = agent.get("today") or {}, agent.get("budget")
    if not today.get("turns") and not budget:
        return None
    return f"{today.get('turns', 0)} turns, {today.get('costUsd', 0):.2f} USD; {budget_words(budget)}"


def _context(usage: dict[str, Any]) -> str | None:
    used, whole = usage.get("contextTokens"), usage.get("contextWindow")
    if not used:
        return None
    return f"{used:,} of {whole:,} tokens" if whole else f"{used:,} tokens"


def _servers(servers: list[dict[str, Any]]) -> str | None:
    """The agent's own MCP servers: what each offers, or why it does not."""
    words = []
    for one in servers:
        count = len(one.get("tools") or [])
        why = one.get("error") or (f"{count} tool{'' if count == 1 else 's'}" if count else None)
        words.append(f"{one.get('name')} {one.get('status')}" + (f" ({why})" if why else ""))
    return "; ".join(words) or None


def _sign_in(login: dict[str, Any]) -> str | None:
    """The sign-in that was begun last, unless it has ended well."""
    if not login or login.get("phase") == "done":
        return None
    words = [login.get("phase"), login.get("error"), login.get("url")]
    return ": ".join(str(word) for word in words if word)


def _last_turn(turn: dict[str, Any] | None) -> str | None:
    if not turn:
        return None
    how = "well" if turn.get("ok") else "badly"
    words = f"ended {how} {age(turn.get('endedAt'))} ago after {turn.get('durationMs', 0) / 1000:.1f} s"
    return f"{words}: {turn['note']}" if turn.get("note") else words


def show_event(event: dict[str, Any]) -> None:
    """An event as one line."""
    kind = short(event.get("kind"), 16)
    console().print(
        styled(
            (clock(event.get("at")), "dim"),
            (f"  {kind:<12}", _KIND_STYLES.get(kind, "magenta")),
            (short(_words(kind, event.get("data") or {}), _LINE), _KIND_STYLES.get(kind, "")),
        ),
        soft_wrap=True,
    )


def _words(kind: str, data: dict[str, Any]) -> str:
    if kind == "turn_start":
        return f"{data.get('from')}: {data.get('body')}"
    if kind == "tool_call":
        return f"{data.get('name')} {json.dumps(data.get('input'), ensure_ascii=False)}"
    if kind == "tool_result":
        return ("error: " if data.get("isError") else "") + str(data.get("content"))
    if kind == "turn_end":
        took = f"{data.get('durationMs', 0) / 1000:.1f} s"
        # Where nobody's message woke it there is no outcome.
        how = data.get("outcome") or ("ended well" if data.get("ok") else "failed")
        return f"{how} after {took}" + (f": {data['note']}" if data.get("note") else "")
    if isinstance(data.get("text"), str):
        return str(data["text"])
    return json.dumps(data, ensure_ascii=False) if data else ""
