"""From Claude's messages to events: what the pages show of a turn. Newer attributes are asked for, never relied on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import claude_agent_sdk as sdk

if TYPE_CHECKING:
    from hyperhive.wire import EventKind


class Shown(NamedTuple):
    """One event to be."""

    kind: EventKind
    data: dict[str, Any]


class Translator:
    """Knows the tool calls of one turn, so that each result can name its tool."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def events(self, message: object) -> list[Shown]:
        """What of `message` is worth an event."""
        if isinstance(message, sdk.AssistantMessage):
            shown = [event for block in message.content if (event := self._spoken(block))]
        elif isinstance(message, sdk.UserMessage):
            content = message.content if isinstance(message.content, list) else []
            shown = [self._result(block) for block in content if isinstance(block, sdk.ToolResultBlock)]
        elif isinstance(message, sdk.SystemMessage):
            return system_events(message.subtype, message.data)
        elif isinstance(message, sdk.RateLimitEvent):
            return _limit(message)
        else:
            return []
        parent = message.parent_tool_use_id
        return [Shown(kind, {**data, "parent": parent}) for kind, data in shown] if parent else shown

    def _spoken(self, block: object) -> Shown | None:
        if isinstance(block, sdk.TextBlock):
            return Shown("text", {"text": block.text})
        if isinstance(block, sdk.ThinkingBlock):
            return Shown("thinking", {"text": block.thinking})
        if isinstance(block, sdk.ToolUseBlock):
            self._names[block.id] = block.name
            return Shown("tool_call", {"id": block.id, "name": block.name, "input": block.input})
        return None

    def _result(self, block: sdk.ToolResultBlock) -> Shown:
        data: dict[str, Any] = {"id": block.tool_use_id}
        if name := self._names.get(block.tool_use_id):
            data["name"] = name
        return Shown("tool_result", {**data, "content": _flat(block.content), "isError": bool(block.is_error)})


def system_events(subtype: str, data: dict[str, Any]) -> list[Shown]:
    """The events of a message about the session itself."""
    if subtype == "compact_boundary":
        about = data.get("compact_metadata") or {}
        tokens = {"preTokens": about.get("pre_tokens"), "postTokens": about.get("post_tokens")}
        return [Shown("compacted", {"trigger": about.get("trigger"), **tokens})]
    if subtype == "api_retry":
        status = data.get("error_status") or "no connection"
        text = f"the API answered {status}; try {data.get('attempt')} of {data.get('max_retries')} failed"
        return [Shown("note", {"text": text})]
    return []


def _limit(message: sdk.RateLimitEvent) -> list[Shown]:
    info = message.rate_limit_info
    if info.status == "allowed":
        return []
    what = "is used up" if info.status == "rejected" else "is nearly used up"
    window = (info.rate_limit_type or "").replace("_", " ")
    data = {"resetsAt": info.resets_at, "utilization": info.utilization}
    return [Shown("note", {"text": f"the {window} limit {what}".replace("  ", " "), **data})]


def _flat(content: object) -> str:
    """The content of a tool's result as text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [
        str(block.get("text", "")) if block.get("type") == "text" else f"[{block.get('type')}]"
        for block in content
        if isinstance(block, dict)
    ]
    return "\n".join(parts)
