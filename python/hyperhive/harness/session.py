"""The one `claude` process of this agent and its conversation: nothing else starts it, speaks to it or ends it.

`prepare` sees to a process that fits the next turn, resumed where the last one was; `ask` writes a prompt; whatever
comes back goes to `listener`, message by message, and `Ended` when the process is gone. One task reads for each.
The process may live on between turns (warm); its conversation outlives it by the id in `hyperhive-session`.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import claude_agent_sdk as sdk
from claude_agent_sdk._errors import MessageParseError

from hyperhive.harness import processes, session_file
from hyperhive.harness.launch import Abilities, Launch, options
from hyperhive.harness.meter import Spent, Tokens, spent, tokens_of, total_of
from hyperhive.harness.outcome import STDERR_LINES
from hyperhive.harness.session_file import Remembered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from hyperhive.harness.settings import Settings

#: Tries to resume after which a new conversation is tried, whatever the reason.
_TRIES: Final = 2
#: Seconds that claude gets to end by itself.
_TERMINATE: Final = 2.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """The process is gone; `fault` is what its reader met."""

    fault: Exception | None


class Session:
    """The agent's session.

    Args:
        settings: where things are.
        make_tools: makes the MCP server of the hive's tools, one for each process.
        on_stderr: gets each line that claude writes there.
        abilities: knows the flags of programs.
    """

    def __init__(
        self, settings: Settings, make_tools: Callable[[], Any], on_stderr: Callable[[str], None], abilities: Abilities
    ) -> None:
        self.listener: Callable[[object], None] = lambda _message: None
        self.stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._settings, self._make_tools, self._on_stderr = settings, make_tools, on_stderr
        self._abilities = abilities
        self._remembered = session_file.load(settings.state)
        self._client: sdk.ClaudeSDKClient | None = None
        self._launch: Launch | None = None
        self._reader: asyncio.Task[None] | None = None
        self._news: str | None = None
        self._price = 0.0

    @property
    def session_id(self) -> str | None:
        """The conversation's id, once there is one."""
        return self._remembered.session_id if self._remembered else None

    @property
    def warm(self) -> bool:
        """Whether a process is there to be kept."""
        return self._client is not None

    async def prepare(self, launch: Launch) -> str | None:
        """See to a process that was started like `launch`.

        Returns:
            Why the conversation begins anew, if it does though there was one; None otherwise.
        """
        if self._client and (launch != self._launch or not self._reader or self._reader.done()):
            await self.close()
        if self._client:
            return None
        fresh_prompt = await self._abilities.fresh_prompt(launch.program)
        extra = self._abilities.arguments(fresh_prompt=fresh_prompt)
        if self._remembered and not fresh_prompt and self._remembered.prompt not in {None, launch.prompt_digest}:
            return await self._begin(launch, extra, "its instructions changed")
        if self._remembered:
            reason = await self._resume(launch, extra, self._remembered.session_id)
            return await self._begin(launch, extra, reason) if reason else None
        return await self._begin(launch, extra)

    async def ask(self, prompt: str, name: str, *, command: bool = False) -> None:
        """Write a prompt; `name` is a UUID that the result may refer to; a `command` is one of Claude's own."""
        if not self._client:
            msg = "there is no claude process"
            raise RuntimeError(msg)

        async def one() -> AsyncIterator[dict[str, Any]]:
            yield {
                "type": "user",
                "message": {"role": "user", "content": prompt},
                "parent_tool_use_id": None,
                "uuid": name,
                # As written: no `@path` of somebody else's text is opened, no `/command` is obeyed.
                **({} if command else {"client_composed": True}),
            }

        await self._client.query(one())

    def begun(self, session_id: object) -> None:
        """Claude said which session it is in: from now on that is the one to resume."""
        valid = session_file.valid_id(session_id)
        if valid and valid != self.session_id and self._launch:
            self._remember(Remembered(valid, 0.0, self._launch.prompt_digest, Tokens()))

    def spent(self, end: sdk.ResultMessage) -> Spent:
        """Take in the running totals of a result; returns what was added since the last one."""
        now = total_of(end.total_cost_usd, getattr(end, "model_usage", None))
        turn = tokens_of(end.usage)
        if not self._remembered:
            return Spent(0.0, turn)
        used = spent(self._remembered.total, now, turn)
        if now != self._remembered.total:
            self._remember(replace(self._remembered, cost=now.cost, tokens=now.tokens))
        if used.cost and used.tokens.weight:
            self._price = used.cost / used.tokens.weight
        return used

    def estimate(self, tokens: Tokens) -> Spent:
        """What a turn without a result has cost, by the price of the last one with one; no total says it."""
        return Spent(tokens.weight * self._price, tokens)

    async def forget(self, reason: str) -> None:
        """End the process and give the conversation up; the next prompt says why. Not during a turn.

        Raises:
            OSError: it would come back with the next start of the harness.
        """
        session_file.remove(self._settings.state)
        await self.close()
        self._remembered, self._news = None, reason

    @property
    def news(self) -> str | None:
        """Why the conversation began anew, until Claude has heard it."""
        return self._news

    def heard(self) -> None:
        """Claude has answered a prompt that said the news."""
        self._news = None

    async def interrupt(self) -> None:
        """Ask claude to end the running turn; it stays usable."""
        if self._client:
            await self._client.interrupt()

    async def mcp_status(self) -> list[dict[str, Any]]:
        """What `claude` says of its MCP servers: `name`, `status`, `tools` and `error` of each."""
        if not self._client:
            return []
        found: Any = (await self._client.get_mcp_status()).get("mcpServers")
        return found if isinstance(found, list) else []

    async def close(self) -> None:
        """End the process gently; the conversation stays. Not during a turn: `interrupt` first."""
        client, reader = self._client, self._reader
        self._client = self._reader = self._launch = None
        if client:
            with suppress(sdk.ClaudeSDKError, OSError):
                await client.disconnect()
        if reader:
            reader.cancel()
            await asyncio.wait([reader])

    async def kill(self) -> None:
        """End the process and all that it started, whatever it is doing."""
        pid = await self._pid()
        found = await asyncio.to_thread(processes.tree, pid) if pid else []
        processes.terminate(found)
        if self._reader:
            await asyncio.wait([self._reader], timeout=_TERMINATE)
        processes.kill(found)
        await self.close()

    async def _resume(self, launch: Launch, extra: dict[str, str | None], session_id: str) -> str | None:
        """Go on with the conversation; returns why that is not possible."""
        for left in reversed(range(_TRIES)):
            try:
                await self._connect(launch, resume=session_id, extra_args=extra)
            except sdk.ClaudeSDKError as error:
                said = (str(error), *self.stderr)
                if any("No conversation found" in line for line in said):
                    return "it is not there any more"
                if not left or any("Failed to resume" in line for line in said):
                    return f"it could not be resumed: {error}"[:300]
            else:
                break
        return None

    async def _begin(self, launch: Launch, extra: dict[str, str | None], reason: str | None = None) -> str | None:
        """Begin a conversation; the one before is given up only now, when it is seen that `claude` itself works."""
        await self._connect(launch, session_id=str(uuid.uuid4()), extra_args=extra)
        self._remembered, self._news = None, reason or self._news
        return reason

    async def _connect(self, launch: Launch, **session: Any) -> None:  # noqa: ANN401 - options of the SDK
        self.stderr.clear()
        chosen = options(launch, self._settings, self._make_tools(), self._line, **session)
        client = sdk.ClaudeSDKClient(chosen)
        await client.connect()
        self._client, self._launch = client, launch
        self._reader = asyncio.create_task(self._read(client), name="claude-reader")

    async def _read(self, client: sdk.ClaudeSDKClient) -> None:
        fault: Exception | None = None
        try:
            while True:
                try:
                    async for message in client.receive_messages():
                        self._deliver(client, message)
                    break
                except MessageParseError as error:
                    # An older SDK with a newer program: that one message is lost, not the turn.
                    _log.warning("a message of claude is not understood: %s", error)
        except Exception as error:  # noqa: BLE001 - the top of a task; the turn gets it
            fault = error
        self._deliver(client, Ended(fault))

    def _deliver(self, client: sdk.ClaudeSDKClient, message: object) -> None:
        # A process that is being put away still speaks, and its end is not that of the turn which waits for the next.
        if client is self._client:
            self.listener(message)

    def _line(self, line: str) -> None:
        self.stderr.append(line)
        self._on_stderr(line)

    def _remember(self, remembered: Remembered) -> None:
        self._remembered = remembered
        try:
            session_file.save(self._settings.state, remembered)
        except OSError as error:
            _log.warning("the session's id cannot be kept: %s", error)

    async def _pid(self) -> int | None:
        if not self._client:
            return None
        with suppress(sdk.ClaudeSDKError):
            pid = (await self._client.get_server_info() or {}).get("pid")
            if isinstance(pid, int):
                return pid
        # Older programs do not say it; the SDK has it, though not for show.
        process = getattr(getattr(self._client, "_transport", None), "_process", None)
        return getattr(process, "pid", None)
