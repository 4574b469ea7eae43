"""A session of the harness without `claude`: a part that a test writes answers each prompt, in a time that it says.

It passes the same contracts as the real one (`hyperhive.testing.contracts.session`), so a whole harness runs on it:
`hyperhive.harness.main.run(settings, make_session=…)`. No process, no API; time passes only in `sleep`, which is passed
in. What a conversation holds and costs is reckoned like Claude reckons it, so that it fills up, is refused when it is
too long, and is shortened by a compaction.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import claude_agent_sdk as sdk

from hyperhive.harness.meter import Spent, Tokens, Total, spent, tokens_of, total_of
from hyperhive.harness.session import Ended
from hyperhive.testing.fake_messages import Voice, began, limit, refused, result, said, shortened

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hyperhive.harness.launch import Launch

#: Tokens of a conversation that holds nothing but its instructions, and of a summary.
EMPTY: Final = 2_000
SUMMARY: Final = 3_000
#: Dollars for a token of input.
_PRICE: Final = 1e-6
_TOO_LONG: Final = "Prompt is too long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one prompt leads to.

    Attributes:
        text: what is said in the end; of a refusal, its words.
        seconds: how long it takes.
        tokens: by how much the conversation grows.
        act: done in the middle of it, for example sending messages.
        status: HTTP status of a refusal; with `error` or this the turn ends with an error.
        error: Claude's word for the kind of error.
        resets_at: a rate limit event comes first, rejected until then (seconds since 1970).
        dies: the process ends instead.
    """

    text: str = "Done."
    seconds: float = 0
    tokens: int = 500
    act: Callable[[], Awaitable[None]] | None = None
    status: int | None = None
    error: str | None = None
    resets_at: float | None = None
    dies: bool = False


@dataclass(slots=True)
class Conversation:
    """What is kept of one conversation: how often it was asked, what it holds, what it has used."""

    prompts: int = 0
    holds: int = EMPTY
    total: Total = field(default_factory=Total)


@dataclass(slots=True)
class Memory:
    """What outlives a harness: its agent's conversations. Pass the same one to the session of the next harness."""

    window: int = 200_000
    current: str | None = None
    conversations: dict[str, Conversation] = field(default_factory=dict)
    #: What was taken into account, as `hyperhive-session` remembers it.
    counted: Total = field(default_factory=Total)


class FakeSession:
    """Plays the part of the session of one agent.

    Args:
        part: the answer to a prompt.
        memory: the agent's conversations.
        sleep: lets time pass.
    """

    def __init__(
        self,
        part: Callable[[str], Answer],
        memory: Memory | None = None,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self.listener: Callable[[object], None] = lambda _message: None
        self.stderr: deque[str] = deque(maxlen=20)
        self.prompts: list[str] = []
        """All that was asked."""
        self.starts = 0
        """Processes that were started."""
        self._part, self._memory, self._sleep = part, memory or Memory(), sleep
        self._launch: Launch | None = None
        self._conversation: str | None = None
        self._news: str | None = None
        self._price = 0.0
        self._turn: asyncio.Task[None] | None = None

    # --- what the harness asks

    @property
    def session_id(self) -> str | None:
        """The conversation's id, once there is one."""
        return self._memory.current

    @property
    def warm(self) -> bool:
        """Whether there would be a process."""
        return self._launch is not None

    @property
    def news(self) -> str | None:
        """Why the conversation began anew, until that was heard."""
        return self._news

    async def prepare(self, launch: Launch) -> str | None:
        """Be as if a process had been started like `launch`."""
        if self._launch and launch != self._launch:
            await self.close()
        if self._launch:
            return None
        self._launch, self.starts = launch, self.starts + 1
        self.stderr.clear()
        current = self._memory.current
        if current in self._memory.conversations:
            self._conversation = current
            return None
        self._conversation, self._memory.current = str(uuid.uuid4()), None
        if current is None:
            return None
        self._news = "it is not there any more"
        return self._news

    async def ask(self, prompt: str, name: str, *, command: bool = False) -> None:
        """Begin to answer."""
        if self._launch is None or self._conversation is None:
            msg = "there is no process"
            raise RuntimeError(msg)
        self.prompts.append(prompt)
        play = self._compact(name) if command else self._answer(prompt, name)
        self._turn = asyncio.create_task(play, name="fake-turn")

    def begun(self, session_id: object) -> None:
        """The conversation that is to be resumed."""
        if isinstance(session_id, str) and session_id != self._memory.current:
            self._memory.current, self._memory.counted = session_id, Total()

    def heard(self) -> None:
        """The news was heard."""
        self._news = None

    def spent(self, end: sdk.ResultMessage) -> Spent:
        """What was used since the last result."""
        now = total_of(end.total_cost_usd, dict(end.model_usage or {}))
        used = spent(self._memory.counted, now, tokens_of(end.usage))
        self._memory.counted = now
        if used.cost and used.tokens.weight:
            self._price = used.cost / used.tokens.weight
        return used

    def estimate(self, tokens: Tokens) -> Spent:
        """What a turn without a result has cost."""
        return Spent(tokens.weight * self._price, tokens)

    async def forget(self, reason: str) -> None:
        """Give the conversation up."""
        await self.close()
        self._memory.current, self._news = None, reason

    async def interrupt(self) -> None:
        """End the running turn with an error."""
        if self._launch and await self._break_off():
            self.listener(result(self._voice(), "", errors=["interrupted"], terminal_reason="aborted_streaming"))

    async def mcp_status(self) -> list[dict[str, Any]]:
        """There are none."""
        return []

    async def close(self) -> None:
        """As if the process ended."""
        self._launch = None
        await self._break_off()

    async def kill(self) -> None:
        """As if the process was killed."""
        if self._launch and await self._break_off():
            self.listener(Ended(sdk.ProcessError("Command failed", exit_code=-15)))
        await self.close()

    # --- what a test does

    async def crash(self, line: str = "out of memory") -> None:
        """The process ends by itself, with a last line of stderr."""
        await self._break_off()
        self._die(line)

    def lose(self) -> None:
        """All conversations are gone, and nobody was told."""
        self._memory.conversations.clear()

    # --- how it plays

    async def _answer(self, prompt: str, name: str) -> None:
        self.listener(began(self._voice()))
        answer = self._part(prompt)
        kept = self._kept()
        kept.prompts += 1
        grown = kept.holds + len(prompt) // 4 + answer.tokens
        if grown > self._memory.window:
            answer = replace(answer, text=_TOO_LONG, status=400, error="invalid_request", act=None, resets_at=None)
        await self._sleep(answer.seconds / 2)
        if answer.act:
            await answer.act()
        await self._sleep(answer.seconds / 2)
        if answer.dies:
            self._die("out of memory")
            return
        if answer.resets_at is not None:
            self.listener(limit(answer.resets_at))
        if answer.status is not None or answer.error is not None:
            reason = "prompt_too_long" if answer.text == _TOO_LONG else "api_error"
            self.listener(refused(answer.text, answer.error))
            how: dict[str, Any] = {"api_error_status": answer.status, "terminal_reason": reason, "is_error": True}
            self.listener(result(self._voice(), answer.text, name, **how))
            return
        used = Tokens(kept.holds, answer.tokens)
        kept.holds = grown
        self._use(used)
        self.listener(said(self._voice(), answer.text, used))
        self.listener(result(self._voice(), answer.text, name, used))

    async def _compact(self, name: str) -> None:
        kept = self._kept()
        await self._sleep(0)
        if not kept.prompts:
            self.listener(result(self._voice(), "Error: No messages to compact", name))
            return
        before, kept.holds = kept.holds, SUMMARY
        used = Tokens(before, SUMMARY - EMPTY)
        self._use(used)
        self.listener(shortened(before, SUMMARY))
        self.listener(result(self._voice(), "", name, used))

    def _kept(self) -> Conversation:
        return self._memory.conversations.setdefault(self._conversation or "", Conversation())

    def _use(self, tokens: Tokens) -> None:
        kept = self._kept()
        cost, before = kept.total.cost or 0.0, kept.total.tokens or Tokens()
        kept.total = Total(cost + tokens.weight * _PRICE, before.plus(tokens))

    def _voice(self) -> Voice:
        model = self._launch.model if self._launch else ""
        return Voice(self._conversation or "", model, self._memory.window, self._kept().total)

    def _die(self, line: str) -> None:
        self.stderr.append(line)
        self._launch = None
        self.listener(Ended(sdk.ProcessError("Command failed", exit_code=-9)))

    async def _break_off(self) -> bool:
        turn, self._turn = self._turn, None
        if turn is None or turn.done() or turn is asyncio.current_task():
            return False
        turn.cancel()
        await asyncio.wait([turn])
        return True
