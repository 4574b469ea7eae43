"""Rows as the operator API writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

#: Bodies over this many bytes come cut in stream events.
CUT: Final = 1024
#: Strings of events over this many characters likewise.
STREAMED: Final = 2000


def at(**ago: float) -> str:
    """An instant before now, as the API writes it."""
    return (datetime.now(UTC) - timedelta(**ago)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def agent(name: str, state: str = "idle", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """An agent row."""
    return {
        "name": name,
        "role": "agent",
        "runtime": "bubblewrap",
        "state": state,
        "since": at(minutes=3),
        "model": "sonnet",
        "port": 8100,
        "unread": 0,
        "statusText": None,
        "lastTurn": None,
        "usage": {},
        "login": None,
        "restartPending": False,
        "operation": None,
        "problem": None,
        "origin": "declared",
        "wanted": "stopped" if state == "stopped" else "running",
        **more,
    }


def tombstone(name: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A tombstone's row."""
    kept = {"hasLogin": True, "sizeBytes": 48_300_000, "unread": 0}
    return {"name": name, "since": at(seconds=1), "origin": "spawned", "declared": False, **kept, **more}


def cut(message: dict[str, Any]) -> dict[str, Any]:
    """A message as a stream event has it."""
    raw = message["body"].encode()
    if len(raw) <= CUT:
        return dict(message)
    return {**message, "body": raw[:CUT].decode(errors="ignore"), "truncated": True}


def streamed(data: dict[str, Any]) -> dict[str, Any]:
    """An event's data as the stream has it."""
    return {
        key: value[:STREAMED] + "…" if isinstance(value, str) and len(value) > STREAMED else value
        for key, value in data.items()
    }


def approval(number: int, kind: str, agent: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """An approval's row."""
    nothing = dict.fromkeys(
        ("spec", "commit", "base", "diff", "approved", "approvedDiff", "closureDiff", "build", "decidedBy", "reason")
    )
    return {
        **nothing,
        "id": number,
        "kind": kind,
        "agent": agent,
        "status": "pending",
        "requestedBy": "manager",
        "requestedAt": at(minutes=2),
        "expiresAt": at(days=-13),
        "description": None,
        "truncated": False,
        "stale": False,
        **more,
    }


def cut_approval(row: dict[str, Any]) -> dict[str, Any]:
    """An approval as the state and the stream have it: the beginning of a long diff."""
    diff = row["diff"]
    return dict(row) if diff is None or len(diff) <= STREAMED else {**row, "diff": diff[:STREAMED], "truncated": True}


def spent(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """What was used."""
    names = ("turns", "failed", "lost", "inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens", "costUsd")
    return {**dict.fromkeys(names, 0), **more}


def budget(used: float, allowed: float) -> dict[str, Any]:
    """A day's budget in dollars."""
    part = {"used": used, "allowed": allowed, "raised": False}
    return {"usd": part, "tokens": None, "turns": None, "share": used / allowed, "until": at(hours=-3)}
