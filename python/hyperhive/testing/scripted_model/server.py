"""The scripted model as a server: routes requests to the player, plays its answers, keeps the log.

Flow: connection → agent and turn of the request → log → answer → events, with the pauses and faults of the script.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, Self

from hyperhive.testing.scripted_model import messages
from hyperhive.testing.scripted_model.connection import LOOPBACK, Listener, Reply, Request
from hyperhive.testing.scripted_model.incoming import Incoming
from hyperhive.testing.scripted_model.playback import JSON, play, refuse
from hyperhive.testing.scripted_model.player import Answer, Part, Player
from hyperhive.testing.scripted_model.record import Kind, RecordedRequest, RequestLog
from hyperhive.testing.scripted_model.scenario import Scenario
from hyperhive.testing.scripted_model.steps import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

_ROUTE: Final = re.compile(r"(?:/agents/([a-z][a-z0-9-]{0,8}))?(/v1/messages|/v1/messages/count_tokens|/api/hello)")
_METHOD: Final = {"/v1/messages": "POST", "/v1/messages/count_tokens": "POST", "/api/hello": "HEAD"}
_SUMMARY: Final = "<analysis>scripted</analysis>\n<summary>\nThe scripted model keeps no summary.\n</summary>"


class ScriptedModel:
    """A loopback Messages API that plays `scenario`; use it as an async context manager.

    Args:
        scenario: a `Scenario`, or the same as JSON gives it.
        port: the port on 127.0.0.1; 0 takes any free one.
        keep: how many requests `requests` remembers.
        keep_bodies: whether they carry the whole request.
        on_request: called with each request as it arrives; must not block.

    Raises:
        HiveError: `bad_config`; the scenario is wrong, with the path of each wrong key.
    """

    def __init__(
        self,
        scenario: Scenario | Mapping[str, Any],
        *,
        port: int = 0,
        keep: int = 10_000,
        keep_bodies: bool = False,
        on_request: Callable[[RecordedRequest], None] | None = None,
    ) -> None:
        self._player = Player(scenario if isinstance(scenario, Scenario) else Scenario.parse(scenario))
        self._port = port
        self._keep_bodies = keep_bodies
        self._on_request = on_request
        self._log = RequestLog(keep)
        self._listener = Listener(self._handle)
        self._open = False

    async def __aenter__(self) -> Self:
        self._port = await self._listener.open(self._port)
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        self._log.close()
        await self._listener.close()

    @property
    def url(self) -> str:
        """The value of `ANTHROPIC_BASE_URL` for agents that are known by their system prompt."""
        if not self._open:
            msg = "the scripted model has no address outside of `async with`"
            raise RuntimeError(msg)
        return f"http://{LOOPBACK}:{self._port}"

    def base_url(self, agent: str) -> str:
        """The value of `ANTHROPIC_BASE_URL` that says which agent is calling."""
        return f"{self.url}/agents/{agent}"

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests so far, the newest last."""
        return list(self._log.requests)

    def count(self, agent: str | None = None, kind: Kind | None = "turn") -> int:
        """How many requests there were so far, of any agent or of any kind if that is None."""
        return self._log.count(agent, kind)

    async def wait_for(self, agent: str | None = None, count: int = 1, kind: Kind | None = "turn") -> RecordedRequest:
        """Wait until there were `count` requests in all, and return the last of these.

        For the next request, whatever came before: `await model.wait_for(agent, model.count(agent) + 1)`. Waits without
        end; put it into `asyncio.timeout`.

        Raises:
            ConnectionError: the model was closed.
            LookupError: the log has forgotten that request (see `keep`).
        """
        return await self._log.wait_for(agent, kind, count)

    async def _handle(self, request: Request, reply: Reply) -> None:
        route = _ROUTE.fullmatch(request.path)
        if not route or request.method != _METHOD[route[2]]:
            await refuse(reply, 404, f"{request.method} {request.path} is not served by the scripted model")
            return
        if request.method == "HEAD":
            await reply.send(200, {}, b"")
            return
        incoming = Incoming.read(route[1], request)
        if incoming is None:
            await refuse(reply, 400, "the body is no JSON object with a list of messages")
        elif route[2].endswith("count_tokens"):
            self._record(incoming, "count_tokens", "")
            tokens = {"input_tokens": messages.estimate(len(request.body))}
            await reply.send(200, JSON, json.dumps(tokens).encode())
        else:
            await play(self._answer(incoming), incoming.body, len(request.body), reply)

    def _answer(self, incoming: Incoming) -> Answer:
        """Decide the answer and record the request, without a pause in between."""
        if incoming.turn.compaction:
            self._player.compacted(incoming.who)
            answer = Answer("compaction", (Part(Text(text=_SUMMARY)),))
            self._record(incoming, "compaction", answer.path)
        else:
            answer = self._player.answer(incoming.who, incoming.turn)
            self._record(incoming, "turn", answer.path, answer.values["prompt"])
        return answer

    def _record(self, incoming: Incoming, kind: Kind, played: str, prompt: str = "") -> None:
        record = incoming.record(kind, played, incoming.turn.prompt or prompt, keep_body=self._keep_bodies)
        self._log.add(record)
        if self._on_request:
            self._on_request(record)
