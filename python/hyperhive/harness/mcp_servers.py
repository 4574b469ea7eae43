"""The agent's own MCP servers: how they are handed to `claude`, and what became of them there.

`claude` starts them with its own process and waits for a slow one a bounded time; one that does not start costs the
turn nothing but its tools. At the beginning of each turn it says how they are. What changed is asked for once, in a
task beside the turn, and shown: as an event, and in the agent's row.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any, Final

from hyperhive.wire import McpServerReport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from hyperhive.harness.events import Events
    from hyperhive.harness.reporter import Reporter
    from hyperhive.wire import McpServerInfo

#: The name under which Claude knows the hive's own server: its tools are `mcp__hyperhive__send` and so on.
SERVER: Final = "hyperhive"
#: Pauses between the looks at a server that has not started yet, in seconds; claude gives up before they end.
_PENDING: Final = (1, 2, 4, 8, 16, 32)
_SECRET: Final = re.compile(r"auth|cookie|credential|key|pass|secret|token", re.IGNORECASE)
#: Of what is told: servers, tools of each, and characters of a name and of an error.
_MOST: Final = 64
_TOOLS: Final = 200
_NAME: Final = 128
_ERROR: Final = 1000
_log = logging.getLogger(__name__)


def as_claude_wants(server: McpServerInfo) -> dict[str, Any]:
    """One server in the words of `claude`, which itself puts its environment's values into `${NAME}`."""
    if server.url is not None:
        return {"type": "http", "url": server.url, "headers": dict(server.headers)}
    return {"type": "stdio", "command": server.command or "", "args": list(server.args), "env": dict(server.env)}


def permissions(servers: Mapping[str, McpServerInfo]) -> list[str]:
    """The rules that allow the tools of these servers."""
    rules = []
    for name, server in servers.items():
        tools = server.allowed_tools
        rules += [f"mcp__{name}"] if tools is None else [f"mcp__{name}__{tool}" for tool in tools]
    return rules


def secrets_of(servers: Mapping[str, McpServerInfo]) -> dict[str, str]:
    """What of the servers' environments and headers is to be shown to nobody, by where it stands."""
    return {
        f"{name}.{key}": value
        for name, server in servers.items()
        # Of `Bearer abc` the second word alone: it may turn up without the first.
        for key, value in {**server.env, **{k: v.rpartition(" ")[2] for k, v in server.headers.items()}}.items()
        if _SECRET.search(key) and "${" not in value
    }


class McpServers:
    """Watches over the servers of one agent.

    Args:
        status: asks `claude` about all servers.
        events: take what changed.
        reporter: takes how all of them are.
    """

    def __init__(
        self, status: Callable[[], Awaitable[list[dict[str, Any]]]], events: Events, reporter: Reporter
    ) -> None:
        self._status, self._events, self._reporter = status, events, reporter
        self._seen: dict[str, str] = {}
        self._told: list[McpServerReport] = []
        self._asking: asyncio.Task[None] | None = None

    def look(self, said: object) -> None:
        """Take what `claude` says of its servers at the beginning of a turn: the name and status of each."""
        found = _own(said)
        seen = {one["name"]: str(one.get("status")) for one in found}
        if seen != self._seen:
            self._seen = seen
            self._stop()
            self._asking = asyncio.create_task(self._ask(found), name="mcp-servers")

    async def close(self) -> None:
        """Ask no further."""
        asking = self._asking
        self._stop()
        if asking:
            await asyncio.wait([asking])

    def _stop(self) -> None:
        if self._asking:
            self._asking.cancel()
        self._asking = None

    async def _ask(self, found: list[dict[str, Any]]) -> None:
        for pause in (*_PENDING, None):
            try:
                found = _own(await self._status()) or found
            except Exception as error:  # noqa: BLE001 - an older program, or one that has ended; the names are known
                _log.debug("claude does not say how its MCP servers are: %s", error)
            self._tell([_report(one, self._events.redactor.clear) for one in found][:_MOST])
            if pause is None or not any(one.get("status") == "pending" for one in found):
                break
            await asyncio.sleep(pause)

    def _tell(self, servers: list[McpServerReport]) -> None:
        if servers == self._told:
            return
        self._told = servers
        self._reporter.tell(mcp_servers=servers)
        self._seen = {one.name: one.status for one in servers}
        shown = [one.model_dump(by_alias=True) for one in servers]
        text = "; ".join(_words(one) for one in servers) or "none any more"
        self._events.emit("note", None, text=f"MCP servers: {text}", servers=shown)


def _own(said: object) -> list[dict[str, Any]]:
    listed = said if isinstance(said, list) else []
    return [
        one for one in listed if isinstance(one, dict) and isinstance(one.get("name"), str) and one["name"] != SERVER
    ]


def _report(one: dict[str, Any], clear: Callable[[Any], Any]) -> McpServerReport:
    tools = one.get("tools") if isinstance(one.get("tools"), list) else []
    names = [
        tool["name"][:_NAME] for tool in tools or [] if isinstance(tool, dict) and isinstance(tool.get("name"), str)
    ]
    error = one.get("error")
    shown = clear(error)[:_ERROR] if isinstance(error, str) and error else None
    status = str(one.get("status") or "unknown")[:32]
    return McpServerReport(name=one["name"][:_MOST], status=status, tools=names[:_TOOLS], error=shown)


def _words(one: McpServerReport) -> str:
    if one.error:
        return f"{one.name} {one.status} ({one.error})"
    tools = f", {len(one.tools)} tool{'' if len(one.tools) == 1 else 's'}" if one.tools else ""
    return f"{one.name} {one.status}{tools}"
