"""A small operator API for tests of the client and the CLI: canned answers, remembered requests, a stream on demand."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import threading
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hyperhive.errors import HiveError
from hyperhive.web.listen import Listeners
from hyperhive.web.sockets import bind_unix

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request

AT = "2026-11-22T18:03:00.123Z"
ACTIONS = ("start", "stop", "restart", "rebuild", "pause", "resume", "destroy", "kick", "cancel", "compact")


def agent(name: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "name": name, "role": "agent", "host": "box", "runtime": "process", "state": "idle", "since": AT,
        "model": "haiku", "port": 8100, "url": "http://localhost:7000/", "unread": 0, "wanted": "running",
        "origin": "declared", "usage": {"turns": 1, "inputTokens": 5, "costUsd": 0.01}, "newInALaterVersion": 1, **more,
    }  # fmt: skip


def message(
    number: int,
    sender: str = "alice",
    to: str = "operator",
    body: str = "hello",
    **more: Any,  # noqa: ANN401 - JSON
) -> dict[str, Any]:
    return {"id": number, "from": sender, "to": to, "body": body, "sentAt": AT, "state": "waiting", **more}


def operation(kind: str, status: str = "done", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    ended = AT if status in {"done", "failed"} else None
    return {"id": 7, "agent": "alice", "kind": kind, "status": status, "startedAt": AT, "endedAt": ended, **more}


def question(number: int, text: str = "Which?", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "id": number, "asker": "alice", "to": "operator", "text": text, "options": [], "multi": False,
        "askedAt": AT, "deadline": None, "default": None, "status": "open", "answer": None, **more,
    }  # fmt: skip


def reminder(number: int, text: str = "look", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"id": number, "agent": "alice", "message": text, "madeAt": AT, "at": AT, "status": "pending", **more}


def tombstone(name: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "name": name, "since": AT, "origin": "declared", "declared": False, "hasLogin": True, "sizeBytes": 4300,
        "unread": 2, **more,
    }  # fmt: skip


class StandIn:
    """The answers by "METHOD path"; a `HiveError` is answered as one. What came in stands in `requests`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As at the beginning."""
        self.requests: list[tuple[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.frames: list[str] = []
        self.streams = 0
        self.seq = 10
        self.answers: dict[str, Any] = {
            "GET /healthz": {"ok": True},
            "GET /api/agents": {"agents": [agent("alice"), agent("bob", state="thinking", statusText="busy")]},
            "GET /api/agents/alice": agent("alice"),
            "GET /api/agents/alice/events": {
                "events": [
                    {"seq": 2, "at": AT, "kind": "text", "agent": "alice", "turn": 1, "data": {"text": "second"}},
                    {"seq": 1, "at": AT, "kind": "turn_start", "agent": "alice", "data": {"from": "bob", "body": "a"}},
                ]
            },
            "GET /api/agents/alice/journal": {"lines": ["one", "two"]},
            "GET /api/agents/alice/page-url": {"url": "http://localhost:8100/#token=p"},
            "GET /api/dashboard-url": {"url": "http://localhost:7000/#token=t"},
            "GET /api/messages": {"messages": [message(2, "bob", "alice", "second"), message(1, body="first")]},
            "POST /api/messages": {"id": 5, "broadcastId": None, "recipients": ["alice"]},
            "GET /api/inbox": {"messages": [message(1)]},
            "POST /api/inbox/ack": {"acked": [1]},
            "GET /api/dead-letters": {"messages": [message(3, to="bob", deadLetter=True, reason="it broke")]},
            "POST /api/dead-letters/3/requeue": {"ok": True},
            "POST /api/dead-letters/3/discard": {"ok": True},
            "GET /api/questions": {"questions": [question(4)]},
            "POST /api/questions/4/answer": question(4, status="answered", answer="yes", answeredBy="operator"),
            "POST /api/questions/4/cancel": question(4, status="cancelled", answeredBy="operator"),
            "GET /api/reminders": {"reminders": [reminder(6)], "schedules": []},
            "DELETE /api/reminders/6": reminder(6, status="cancelled", endedBy="operator", endedAt=AT),
            "GET /api/agents/alice/loose-ends": {
                "ends": [
                    {"kind": "question", "id": 4, "text": "Which?", "since": AT, "deadline": AT, "who": "operator"},
                    {"kind": "reminder", "id": 6, "text": "look\nnow", "since": AT, "deadline": AT, "who": None},
                ],
                "unread": 2,
            },
            "GET /api/audit": {
                "audit": [{"id": 1, "at": AT, "actor": "operator", "action": "start", "subject": "alice"}]
            },
            "POST /api/reconcile": {"started": ["alice"], "stopped": []},
            "GET /api/operations": {"operations": [operation("stop", "running"), operation("start")]},
            "GET /api/operations/7": operation("stop"),
            "GET /api/tombstones": {"tombstones": [tombstone("alice"), tombstone("old", hasLogin=False)]},
            "POST /api/tombstones/alice/revive": operation("revive"),
            "POST /api/tombstones/alice/purge": operation("purge"),
            "GET /api/waiting": {
                "waiting": [
                    {
                        "id": "crash-alice",
                        "kind": "crash",
                        "title": "alice crashed: \x1b[31msignal 9",
                        "since": "2026-01-01T00:00:00.000Z",
                        "agent": "alice",
                        "ref": 1,
                    }
                ]
            },
            "POST /api/waiting/crash-alice/dismiss": {"ok": True},
        }  # fmt: skip
        for step in ("start", "code", "cancel"):
            self.answers[f"POST /api/agents/alice/login/{step}"] = {"ok": True}
        for kind in ("model", "new-session"):
            self.answers[f"POST /api/agents/alice/{kind}"] = operation(kind)
        for kind in ACTIONS:
            self.answers[f"POST /api/agents/alice/{kind}"] = operation(kind)

    def state(self) -> dict[str, Any]:
        return {
            "epoch": "e", "seq": self.seq, "hive": {"name": "box", "version": "0", "runtime": "process"},
            "operator": {"name": "operator"}, "agents": [agent("alice")], "messages": [], "waiting": [], "warnings": [],
        }  # fmt: skip

    def publish(self, kind: str, data: dict[str, Any] | None = None) -> None:
        """Append a change to what every stream from now on brings."""
        seq = self.seq + len(self.frames) + 1
        change = {"type": kind, "seq": seq, "epoch": "e", "at": AT, "data": data or {}}
        self.frames.append(f"id: e.{seq}\ndata: {json.dumps(change)}\n\n")

    async def handle(self, request: Request) -> Response:
        body = await request.body()
        route = f"{request.method} {request.url.path}"
        self.headers = dict(request.headers)
        self.requests.append((route, json.loads(body) if body else dict(request.query_params)))
        if route == "GET /api/stream":
            self.streams += 1
            return StreamingResponse(self._stream(), media_type="text/event-stream")
        if route == "GET /api/state":
            return JSONResponse(self.state())
        answer = self.answers.get(route, HiveError("unknown_agent", "there is no such agent", "Did you mean 'alice'?"))
        if isinstance(answer, HiveError):
            return JSONResponse(answer.to_json(), status_code=answer.status)
        if isinstance(answer, Response):
            return answer
        status = 202 if isinstance(answer, dict) and answer.get("status") in {"queued", "running"} else 200
        return JSONResponse(answer, status_code=status)

    async def _stream(self) -> AsyncIterator[str]:
        """What is there, then the end: whoever follows comes back."""
        yield ": here\n\n"
        frames, self.frames = self.frames, []
        for frame in frames:
            yield frame


@asynccontextmanager
async def served(stand_in: StandIn) -> AsyncIterator[Path]:
    """Serve it on a Unix socket in this loop."""
    app: Any = Starlette(routes=[Route("/{rest:path}", stand_in.handle, methods=["GET", "POST", "DELETE"])])
    with tempfile.TemporaryDirectory(prefix="hh-") as directory:
        path = Path(directory) / "host.sock"
        async with Listeners() as listeners:
            await listeners.add("stand-in", [bind_unix(path, 0o600)], app)
            yield path


@contextmanager
def served_in_thread(stand_in: StandIn) -> Iterator[Path]:
    """Serve it in a thread, for tests of commands, which have a loop of their own."""
    ready, path, stop = threading.Event(), [Path(os.devnull)], threading.Event()

    async def serve() -> None:
        async with served(stand_in) as where:
            path[0] = where
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield path[0]
    finally:
        stop.set()
        thread.join(10)
