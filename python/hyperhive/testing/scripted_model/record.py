"""The log of requests, and waiting for one without polling."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["turn", "compaction", "count_tokens"]


@dataclass(frozen=True)
class RecordedRequest:
    """One request that reached the model.

    Attributes:
        agent: whose it was; `*` if neither the URL nor the system prompt said.
        arrived: `time.monotonic()` of its first byte.
        kind: `turn`, `compaction` (claude wanted a summary) or `count_tokens`.
        model: the model that was asked for.
        prompt: the newest prompt.
        played: the rule that answered it, as a path in the scenario.
        session: the id of the claude session, or "".
        subagent: the id of the subagent, or "".
        auth: `api-key`, `bearer` or `none`; the credential itself is not kept.
        tools: names of the tools that were offered.
        messages: how many there were in the conversation.
        stream: whether a stream was asked for.
        system: the system prompt, all blocks.
        body: the whole request, if the model was told to keep bodies.
    """

    agent: str
    arrived: float
    kind: Kind
    model: str = ""
    prompt: str = ""
    played: str = ""
    session: str = ""
    subagent: str = ""
    auth: Literal["api-key", "bearer", "none"] = "none"
    tools: tuple[str, ...] = ()
    messages: int = 0
    stream: bool = False
    system: str = field(default="", repr=False)
    body: dict[str, Any] | None = field(default=None, repr=False)


class RequestLog:
    """The newest requests, and how many there were in all.

    Args:
        keep: how many requests are remembered; all are counted.
    """

    def __init__(self, keep: int) -> None:
        self.requests: deque[RecordedRequest] = deque(maxlen=keep)
        self._counts: Counter[tuple[str | None, str | None]] = Counter()
        self._waiting: list[tuple[str | None, Kind | None, int, asyncio.Future[RecordedRequest]]] = []
        self._closed = False

    def add(self, request: RecordedRequest) -> None:
        """Append `request` and wake whoever waits for it."""
        self.requests.append(request)
        for agent in (request.agent, None):
            for kind in (request.kind, None):
                self._counts[agent, kind] += 1
        for agent, kind, count, future in self._waiting:
            wanted = agent in {request.agent, None} and kind in {request.kind, None}
            if wanted and count == self._counts[agent, kind] and not future.done():
                future.set_result(request)

    def count(self, agent: str | None, kind: Kind | None) -> int:
        """How many requests there were; None stands for any."""
        return self._counts[agent, kind]

    async def wait_for(self, agent: str | None, kind: Kind | None, count: int) -> RecordedRequest:
        """The `count`th request of this agent and kind, once it is there.

        Raises:
            LookupError: it was there and is no longer remembered.
            ConnectionError: the model was closed before.
        """
        behind = self._counts[agent, kind] - count
        if behind >= 0:
            known = [one for one in self.requests if agent in {one.agent, None} and kind in {one.kind, None}]
            return known[-1 - behind]
        if self._closed:
            msg = "the scripted model is closed"
            raise ConnectionError(msg)
        future: asyncio.Future[RecordedRequest] = asyncio.get_running_loop().create_future()
        entry = (agent, kind, count, future)
        self._waiting.append(entry)
        try:
            return await future
        finally:
            self._waiting.remove(entry)

    def close(self) -> None:
        """End the waiting: nothing will come any more."""
        self._closed = True
        for *_, future in self._waiting:
            if not future.done():
                future.set_exception(ConnectionError("the scripted model was closed"))
