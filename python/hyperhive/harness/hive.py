"""The hive, as the harness sees it: the agent API over one Unix socket, typed by `hyperhive.wire`.

Whatever goes wrong on the way becomes a `HiveError`: a refusal with the hive's own words, a hive that is not there with
the code `no_daemon`. `is_passing` tells the errors that a restart of the hive explains; for those `until_taken` asks
again, with a short and growing pause.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self, TypeVar

import httpx
from pydantic import ValidationError

from hyperhive import wire
from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

_T = TypeVar("_T")
_A = TypeVar("_A", bound=wire.Answer)

#: Seconds for an answer that does not wait for anything.
_PROMPT: Final = 30.0
#: Seconds for an operation on another agent, which may have a turn to end first; the hive answers after 90.
_OPERATION: Final = 100.0
#: Seconds that an answer may come later than the wait that was asked for.
_SLACK: Final = 15.0
#: Seconds until a bundle was read, checked and pinned.
_UPLOAD: Final = 120.0
_SERVER_ERROR: Final = 500


def is_passing(error: HiveError) -> bool:
    """Whether the hive is away, stopping or in trouble, so that the same request may well succeed a little later."""
    if error.code == "storage_full":
        return False
    return error.code == "no_daemon" or error.data.get("httpStatus", 0) >= _SERVER_ERROR


def is_untaken(error: HiveError) -> bool:
    """Like `is_passing`, for what must not be lost: even a full disk is waited for, and so is a limit on requests."""
    return is_passing(error) or error.code == "storage_full" or error.status == httpx.codes.TOO_MANY_REQUESTS


async def until_taken(
    call: Callable[[], Awaitable[_T]],
    backoff: tuple[float, float],
    retry: Callable[[HiveError], bool] = is_passing,
    on_away: Callable[[HiveError], None] = lambda _error: None,
) -> _T:
    """Ask until the hive answers.

    Args:
        call: makes one request.
        backoff: first and longest pause, in seconds.
        retry: which errors are waited out; others are raised.
        on_away: told of each of those.
    """
    pause, longest = backoff
    while True:
        try:
            return await call()
        except HiveError as error:
            if not retry(error):
                raise
            on_away(error)
        await asyncio.sleep(pause)
        pause = min(pause * 2, longest)


class HiveClient:
    """One agent's connection to its hive. Use it as an async context manager.

    Each method is one request and raises `HiveError`.
    """

    def __init__(self, socket: Path) -> None:
        # `verify=False` only saves loading the certificates: nothing here speaks TLS. Idle connections are kept, so
        # that a turn does not begin with a connect.
        transport = httpx.AsyncHTTPTransport(
            uds=str(socket),
            verify=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=8, keepalive_expiry=120),
        )
        self._http = httpx.AsyncClient(transport=transport, base_url="http://hive", trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._http.aclose()

    async def about_me(self) -> wire.SelfInfo:
        """`GET /v1/self`."""
        return await self._call("GET", "/v1/self", wire.SelfInfo)

    async def send(self, request: wire.SendRequest) -> wire.SendAnswer:
        """`POST /v1/messages`."""
        return await self._call("POST", "/v1/messages", wire.SendAnswer, request)

    async def recv(self, request: wire.RecvRequest) -> wire.RecvAnswer:
        """`POST /v1/recv`, parked as long as the request says."""
        return await self._call("POST", "/v1/recv", wire.RecvAnswer, request, request.wait_seconds + _SLACK)

    async def outcome(self, request: wire.OutcomeRequest) -> wire.OutcomeAnswer:
        """`POST /v1/outcome`."""
        return await self._call("POST", "/v1/outcome", wire.OutcomeAnswer, request)

    async def ask(self, request: wire.AskRequest) -> wire.QuestionAnswer:
        """`POST /v1/questions`."""
        return await self._call("POST", "/v1/questions", wire.QuestionAnswer, request)

    async def answer(self, question: int, request: wire.AnswerRequest) -> wire.QuestionAnswer:
        """`POST /v1/questions/{id}/answer`."""
        return await self._call("POST", f"/v1/questions/{question}/answer", wire.QuestionAnswer, request)

    async def remind(self, request: wire.RemindRequest) -> wire.ReminderAnswer:
        """`POST /v1/reminders`."""
        return await self._call("POST", "/v1/reminders", wire.ReminderAnswer, request)

    async def loose_ends(self) -> wire.LooseEndsAnswer:
        """`GET /v1/loose-ends`."""
        return await self._call("GET", "/v1/loose-ends", wire.LooseEndsAnswer)

    async def cancel_loose_end(self, kind: str, number: int) -> wire.Ok:
        """`DELETE /v1/loose-ends/{kind}/{id}`."""
        return await self._call("DELETE", f"/v1/loose-ends/{kind}/{number}", wire.Ok)

    async def request_spawn(self, request: wire.SpawnRequest) -> wire.ApprovalAnswer:
        """`POST /v1/spawn-requests`, of the manager."""
        return await self._call("POST", "/v1/spawn-requests", wire.ApprovalAnswer, request)

    async def operate(self, name: str, action: str) -> wire.OperationAnswer:
        """`POST /v1/agents/{n}/{start|stop|restart|rebuild}`, of the manager; answered when it is done."""
        path = f"/v1/agents/{name}/{action}"
        return await self._call("POST", path, wire.OperationAnswer, wait=_OPERATION)

    async def logs(self, name: str, lines: int) -> wire.LogsAnswer:
        """`GET /v1/agents/{n}/logs`, of the manager."""
        return await self._call("GET", f"/v1/agents/{name}/logs?lines={lines}", wire.LogsAnswer)

    async def peers(self) -> wire.PeersAnswer:
        """`GET /v1/peers`."""
        return await self._call("GET", "/v1/peers", wire.PeersAnswer)

    async def propose(self, request: wire.ConfigProposal, bundle: Path) -> wire.ApprovalAnswer:
        """`POST /v1/config-proposals`: a git bundle as it is, the rest in the query."""
        query = httpx.QueryParams(request.model_dump(mode="json", by_alias=True, exclude_none=True))
        content = await asyncio.to_thread(bundle.read_bytes)
        return await self._call("POST", f"/v1/config-proposals?{query}", wire.ApprovalAnswer, content, _UPLOAD)

    async def commands(self, request: wire.CommandsRequest) -> wire.CommandsAnswer:
        """`POST /v1/commands`, parked as long as the request says."""
        return await self._call("POST", "/v1/commands", wire.CommandsAnswer, request, request.wait_seconds + _SLACK)

    async def events(self, request: wire.EventsRequest) -> wire.Ok:
        """`POST /v1/events`."""
        return await self._call("POST", "/v1/events", wire.Ok, request)

    async def report(self, request: wire.ReportRequest) -> wire.Ok:
        """`POST /v1/report`. Only what was set is sent: an explicit None clears, an absent field changes nothing."""
        return await self._call("POST", "/v1/report", wire.Ok, request)

    async def _call(
        self,
        method: str,
        path: str,
        answer: type[_A],
        body: wire.Request | bytes | None = None,
        wait: float = _PROMPT,
    ) -> _A:
        as_json = isinstance(body, wire.Request)
        content = body.model_dump_json(by_alias=True, exclude_unset=True) if isinstance(body, wire.Request) else body
        headers = {"content-type": "application/json"} if as_json else None
        try:
            response = await self._http.request(
                method, path, content=content, headers=headers, timeout=httpx.Timeout(_PROMPT, read=wait)
            )
        except httpx.HTTPError as error:
            what = str(error) or type(error).__name__
            raise HiveError(
                "no_daemon", f"the hive does not answer on its socket ({what})", "It may be restarting; ask again"
            ) from error
        if not response.is_success:
            raise _refusal(response)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            problem = f"the hive's answer to {method} {path} is not understood: {error.errors()[0]['msg']}"
            raise HiveError("internal", problem, "Hive and harness may be of different releases") from error


def _refusal(response: httpx.Response) -> HiveError:
    try:
        answer: object = response.json()
    except ValueError:
        answer = None
    error = HiveError.from_json(response.status_code, answer)
    error.data["httpStatus"] = response.status_code
    return error
