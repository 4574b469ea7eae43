"""One turn: a prompt in, events out, and in the end the facts that `outcome.judge` decides on.

A turn ends by its result, by the end of the process, or by a halt: then Claude is interrupted, and if that has no
effect the process is ended. Messages that Claude takes itself join `holding`, so that one outcome covers them all.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import claude_agent_sdk as sdk

from hyperhive.harness.messages import Translator
from hyperhive.harness.meter import Tokens, add, combined, tokens_of
from hyperhive.harness.outcome import Halt, TurnEnd
from hyperhive.harness.session import Ended
from hyperhive.wire import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hyperhive.harness.any_session import AnySession
    from hyperhive.harness.launch import Launch
    from hyperhive.wire import EventKind

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Seen:
    """What came up on the way."""

    error: str | None = None
    context: int | None = None
    model: str | None = None
    parts: dict[str, Tokens] = field(default_factory=dict)
    """What each response used, as far as it was said at its beginning."""
    rate_limited: bool = False
    resets_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Turn:
    """One turn on `session`.

    Args:
        number: counts the agent's turns; None for what is no turn of the agent, a compaction.
        holding: ids of the messages that this turn covers, the waking one first; none where nobody's message woke it.
        session: where it runs.
        emit: takes its events.
        compacting: told when Claude begins and ends to compact.
        patience: seconds that an interrupt has to take effect.
    """

    number: int | None
    holding: list[int]
    session: AnySession
    emit: Callable[[EventKind, dict[str, Any]], None]
    compacting: Callable[[bool], None]
    patience: float
    takes_messages: bool = True
    """Whether what the recv tool takes may join it."""
    servers: Callable[[object], None] = lambda _servers: None
    """Told what claude says of its MCP servers."""
    halted: Halt | None = None
    usage: Usage = field(default_factory=Usage)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False
    """What became of a cancel, once `over`."""
    compacted: bool = False
    """Whether Claude shortened its conversation."""
    _since: float = 0.0
    _timer: asyncio.TimerHandle | None = None
    _halting: asyncio.Event = field(default_factory=asyncio.Event)
    _asked: str | None = None
    _seen: _Seen = field(default_factory=_Seen)
    _translator: Translator = field(default_factory=Translator)
    _result: asyncio.Future[sdk.ResultMessage] | None = None

    def halt(self, why: Halt) -> None:
        """End the turn early; the first reason counts."""
        self.halted = self.halted or why
        self._halting.set()

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """Around all that is one turn: what `limit` says counts from here, and ends here."""
        self._since = asyncio.get_running_loop().time()
        try:
            yield
        finally:
            if self._timer:
                self._timer.cancel()

    def limit(self, minutes: float) -> None:
        """Halt it should it not be over so many minutes after it began."""
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(self._since + minutes * 60, self.halt, "overtime")

    async def run(self, launch: Launch, prompt: Callable[[str | None], str], *, command: bool = False) -> TurnEnd:
        """Run the turn to its end, however that comes.

        Args:
            launch: how the process must have been started.
            prompt: makes the prompt, given why the conversation begins anew, if it does.
            command: the prompt is a command of Claude's own.
        """
        self._result = asyncio.get_running_loop().create_future()
        self._asked, self._seen = None, _Seen()
        work = asyncio.create_task(self._work(launch, prompt, command=command), name="turn")
        halting = asyncio.create_task(self._halting.wait(), name="turn-halt")
        self.session.listener = self._on_message
        try:
            await asyncio.wait([work, halting], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await self._interrupt(work)
            return self._end(work)
        finally:
            self.session.listener = self._on_stray
            halting.cancel()
            work.cancel()
            await asyncio.wait([work, halting])
            if self._result.done() and not self._result.cancelled():
                self._result.exception()

    async def _work(self, launch: Launch, prompt: Callable[[str | None], str], *, command: bool) -> sdk.ResultMessage:
        news = await self.session.prepare(launch)
        if news:
            self.emit("session_new", {"reason": news})
        self._asked = str(uuid.uuid4())
        await self.session.ask(prompt(self.session.news), self._asked, command=command)
        if self._result is None:
            raise AssertionError
        result = await self._result
        if self.takes_messages and not command and not result.is_error:
            self.session.heard()
        return result

    async def _interrupt(self, work: asyncio.Task[sdk.ResultMessage]) -> None:
        """Make the running work end, gently if that goes."""
        if self._asked:
            # The interrupt itself may hang with the process, so it has no more time than its effect.
            asking = asyncio.create_task(self.session.interrupt(), name="interrupt")
            await asyncio.wait([work], timeout=self.patience)
            asking.cancel()
            await asyncio.wait([asking])
            if not asking.cancelled() and (error := asking.exception()):
                _log.warning("claude could not be interrupted: %s", error)
            if work.done():
                return
            self.emit("note", {"text": "claude did not react to the interrupt; its process was ended"})
            await self.session.kill()
        work.cancel()
        await asyncio.wait([work])

    def _on_message(self, message: object) -> None:
        if isinstance(message, Ended):
            self._on_end(message)
        elif isinstance(message, sdk.ResultMessage):
            self._on_result(message)
        else:
            self._look(message)
            for kind, data in self._translator.events(message):
                self.emit(kind, data)

    def _on_stray(self, message: object) -> None:
        """What claude does when nobody asked it to."""
        if isinstance(message, sdk.ResultMessage):
            self.emit("unsolicited", {"text": message.result or "", "isError": message.is_error})

    def _on_end(self, end: Ended) -> None:
        if self._result and not self._result.done():
            self._result.set_exception(end.fault or sdk.ProcessError("claude ended in the middle of the turn"))

    def _on_result(self, result: sdk.ResultMessage) -> None:
        answered = getattr(result, "user_message_uuids", None)
        if (answered and self._asked not in answered) or not self._asked:
            self._on_stray(result)
            return
        self.session.begun(result.session_id)
        self._count(result)
        if self._result and not self._result.done():
            self._result.set_result(result)

    def _look(self, message: object) -> None:
        """Take from a message what the end will need."""
        if isinstance(message, sdk.AssistantMessage):
            self._listen(message)
        elif isinstance(message, sdk.RateLimitEvent) and message.rate_limit_info.status == "rejected":
            self._seen.rate_limited = True
            with suppress(TypeError, ValueError, OverflowError):
                self._seen.resets_at = datetime.fromtimestamp(float(message.rate_limit_info.resets_at or "none"), UTC)
        elif isinstance(message, sdk.SystemMessage):
            if message.subtype == "init":
                self.session.begun(message.data.get("session_id"))
                self.servers(message.data.get("mcp_servers"))
            elif message.subtype == "status":
                self.compacting(message.data.get("status") == "compacting")
            elif message.subtype == "compact_boundary":
                self.compacting(False)  # noqa: FBT003 - says what it is
                self.compacted = True
                self._seen.context = (message.data.get("compact_metadata") or {}).get("post_tokens")

    def _listen(self, message: sdk.AssistantMessage) -> None:
        """Claude or one of its subagents speaks."""
        tokens = tokens_of(message.usage)
        self._seen.parts[getattr(message, "message_id", None) or str(len(self._seen.parts))] = tokens
        if message.parent_tool_use_id:
            return
        self._seen.error = message.error or self._seen.error
        # What claude says in the place of a model that could not answer has a model's name that is none, and no tokens.
        if not message.model.startswith("<"):
            self._seen.model = message.model
            self._seen.context = sum(tokens) or self._seen.context

    def _count(self, result: sdk.ResultMessage) -> None:
        add(self.usage, self.session.spent(result))
        self._seen.parts.clear()
        self.usage.model = self._seen.model or _only_model(result) or self.usage.model
        self.usage.context_tokens = self._seen.context or self.usage.context_tokens
        self.usage.context_window = _window(result, self._seen.model) or self.usage.context_window

    def _end(self, work: asyncio.Task[sdk.ResultMessage]) -> TurnEnd:
        seen, stderr = self._seen, tuple(self.session.stderr)
        fault = asyncio.CancelledError("the turn was ended") if work.cancelled() else work.exception()
        if fault:
            add(self.usage, self.session.estimate(combined(seen.parts.values())))
            self.usage.model = seen.model or self.usage.model
            return TurnEnd(fault=fault, halt=self.halted, stderr=stderr, rate_limited=seen.rate_limited)
        result = work.result()
        return TurnEnd(
            answered=True,
            is_error=result.is_error,
            status=getattr(result, "api_error_status", None),
            error=seen.error if result.is_error else None,
            terminal_reason=getattr(result, "terminal_reason", None),
            text="\n".join(getattr(result, "errors", None) or []) or result.result or "",
            rate_limited=seen.rate_limited,
            resets_at=seen.resets_at,
            halt=self.halted,
            stderr=stderr,
        )


def _only_model(result: sdk.ResultMessage) -> str | None:
    """The one model that was asked; a compaction says it nowhere else."""
    used = getattr(result, "model_usage", None) or {}
    return str(next(iter(used))).removesuffix("[1m]") if len(used) == 1 else None


def _window(result: sdk.ResultMessage, model: str | None) -> int | None:
    """How many tokens the model's context can hold, where the program says it."""
    used = getattr(result, "model_usage", None) or {}
    about = used.get(model) or used.get(f"{model}[1m]") or (next(iter(used.values())) if len(used) == 1 else None)
    found = about.get("contextWindow") if isinstance(about, dict) else None
    return found if isinstance(found, int) and found > 0 else None
