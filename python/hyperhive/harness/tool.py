"""One tool, as Claude sees it: a name, a schema, and a text as its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import claude_agent_sdk as sdk

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Protocol

    _T = TypeVar("_T")

    class Patiently(Protocol):
        """Calls the hive, through a restart of it if need be."""

        async def __call__(self, call: Callable[[], Awaitable[_T]], /) -> tuple[_T, str]:
            """The second part of the result says how long that took."""
            ...


def make_tool(
    run: Callable[[dict[str, Any]], Awaitable[str]], name: str, description: str, properties: dict[str, Any]
) -> sdk.SdkMcpTool[Any]:
    """Make `run` a tool: its text is the result, its `HiveError` an error that Claude can read."""
    required = [key for key, schema in properties.items() if schema.get("minLength") is not None or key == "id"]
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    async def handle(arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"content": [{"type": "text", "text": await run(arguments)}]}
        except HiveError as error:
            return {"content": [{"type": "text", "text": str(error)}], "is_error": True}

    return sdk.tool(name, description, schema)(handle)
