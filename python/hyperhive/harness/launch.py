"""How `claude` is started: which program, with which tools, prompt and environment.

`Launch` is what a running process was started with; as long as the next turn needs the same, the process serves on.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import claude_agent_sdk as sdk

from hyperhive.errors import HiveError
from hyperhive.harness.mcp_servers import SERVER, as_claude_wants, permissions
from hyperhive.harness.prompts import system_prompt
from hyperhive.programs import start_program

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hyperhive.harness.settings import Settings
    from hyperhive.wire import SelfInfo

BASE_TOOLS: Final = ("Bash", "Edit", "Glob", "Grep", "Read", "Write")
#: Claude's own talk between agents; all talk goes through the hive.
_NEVER: Final = ("SendMessage", "ListAgents")
#: What an agent's environment may say otherwise: milliseconds that a turn waits for an MCP server which starts.
_USUAL: Final = {"MCP_TIMEOUT": "30000"}
_FIXED: Final = {
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",  # else one turn has several ends
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "ENABLE_TOOL_SEARCH": "false",  # else the model has to look for the hive's tools first
}
#: Bytes of one line that claude writes; a tool's result is one line.
_BUFFER: Final = 64 * 1024 * 1024
_SNAPSHOT: Final = "--system-prompt-snapshot"
#: Seconds that `claude --help` may take.
_HELP: Final = 20.0


@dataclass(frozen=True, slots=True)
class Launch:
    """What a `claude` process is started with."""

    program: str
    model: str
    prompt: str
    tools: tuple[str, ...]
    environment: dict[str, str] = field(repr=False)
    servers: dict[str, Any] = field(default_factory=dict, repr=False)
    permissions: tuple[str, ...] = ()
    """Rules for the tools of those MCP servers."""

    @property
    def prompt_digest(self) -> str:
        """Stands for the system prompt where that would be too long."""
        return hashlib.sha256(self.prompt.encode()).hexdigest()


def plan(me: SelfInfo, settings: Settings, credentials: Mapping[str, str], program: str) -> Launch:
    """What the agent's next turn needs."""
    further = [name for name in me.tools if name not in {*BASE_TOOLS, *_NEVER}]
    return Launch(
        program=program,
        model=me.model,
        prompt=system_prompt(me, settings.state, settings.shared, settings.proposed, settings.applied),
        tools=(*BASE_TOOLS, *dict.fromkeys(further)),
        environment=claude_environment(me, settings, credentials),
        servers={name: as_claude_wants(server) for name, server in me.mcp_servers.items() if name != SERVER},
        permissions=tuple(permissions(me.mcp_servers)),
    )


def claude_environment(me: SelfInfo, settings: Settings, credentials: Mapping[str, str]) -> dict[str, str]:
    """What Claude's environment gets beside what the harness itself has."""
    return {
        **_USUAL,
        **_identity(me),
        **me.environment,
        **credentials,
        **_FIXED,
        "CLAUDE_CONFIG_DIR": str(settings.claude_config),
    }


def _identity(me: SelfInfo) -> dict[str, str]:
    """Whom git names as the author of what an agent commits."""
    whose = {"NAME": me.name, "EMAIL": f"{me.name}@{me.hive}"}
    return {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in whose.items()}


def options(
    launch: Launch,
    settings: Settings,
    hive_tools: Any,  # noqa: ANN401 - the SDK's own dictionary
    stderr: Callable[[str], None],
    **session: Any,  # noqa: ANN401
) -> sdk.ClaudeAgentOptions:
    """The same in the terms of the SDK; `session` is `resume`, `session_id` or `extra_args`."""
    extra: dict[str, str | None] = {"strict-mcp-config": None, **session.pop("extra_args", {})}
    return sdk.ClaudeAgentOptions(
        cli_path=launch.program,
        cwd=settings.state,
        model=launch.model,
        system_prompt=launch.prompt,
        # Names without ToolSearch, so that nothing is deferred; a rule like `Bash(git *)` allows less than the tool.
        tools=list(dict.fromkeys(name.partition("(")[0] for name in launch.tools if not name.startswith("mcp__"))),
        allowed_tools=[*launch.tools, f"mcp__{SERVER}", *launch.permissions],
        disallowed_tools=list(_NEVER),
        permission_mode="dontAsk",
        setting_sources=[],
        mcp_servers={**launch.servers, SERVER: hive_tools},
        env=launch.environment,
        stderr=stderr,
        max_buffer_size=_BUFFER,
        extra_args=extra,
        **session,
    )


def find_claude(environment: Mapping[str, str]) -> str:
    """The `claude` program: on the PATH, or else the one that the SDK brings.

    Raises:
        HiveError: `claude_not_found`, naming the places.
    """
    path = environment.get("PATH") or os.environ.get("PATH", os.defpath)
    bundled = Path(sdk.__file__).parent / "_bundled" / "claude"
    found = shutil.which("claude", path=path) or (str(bundled) if os.access(bundled, os.X_OK) else None)
    if found:
        return found
    raise HiveError(
        "claude_not_found",
        f"there is no claude program: none on the PATH ({path}), none at {bundled}",
        "Install Claude Code in the agent's container; on NixOS the module does it",
    )


class Abilities:
    """Which flags a `claude` program knows; asked once for each program."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], bool] = {}
        self._lock = asyncio.Lock()

    async def fresh_prompt(self, program: str) -> bool:
        """Whether a changed system prompt can take effect in a session that goes on."""
        try:
            key = (program, os.stat(program).st_mtime_ns)  # noqa: PTH116 - once a start of the process
        except OSError:
            return False
        async with self._lock:
            if key not in self._known:
                self._known[key] = _SNAPSHOT in await _help(program)
        return self._known[key]

    @staticmethod
    def arguments(*, fresh_prompt: bool) -> dict[str, str | None]:
        """The flags that follow from it."""
        return {_SNAPSHOT.removeprefix("--"): "off"} if fresh_prompt else {}


async def _help(program: str) -> str:
    try:
        process = await start_program(
            program,
            "--help",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return ""
    try:
        async with asyncio.timeout(_HELP):
            output, _ = await process.communicate()
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            process.kill()
            # To the end of its output: with more of it than asyncio buffers, waiting alone would never end.
            await asyncio.shield(process.communicate())
    return output.decode(errors="replace")
