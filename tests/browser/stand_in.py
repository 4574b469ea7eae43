"""A hive that only pretends: serves the real pages under the real policy, with scripted content.

Tests drive it by method calls (`emit`, `change_agent`, `arrive`, `refuse_next`); `python tests/browser/stand_in.py`
runs it by hand, with agents that keep themselves busy. It speaks the operator API and shares no code with the daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

import uvicorn
from api_rows import agent, approval, at, cut, cut_approval, spent, streamed, tombstone
from scenario import populate
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, MutableMapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

#: Seconds; a guard against hanging.
PATIENCE: Final = 60
PAGES: Final = Path(__file__).resolve().parents[2] / "python" / "hyperhive" / "web" / "pages"
TOKEN: Final = "stand-in-token-0123456789-0123456789"
PAGE_TOKEN: Final = "stand-in-page-token-of-one-agent-0123456789"
#: The pages' files, read once: a test loads forty of them.
STATIC: Final = {
    path.relative_to(PAGES / "static").as_posix(): path.read_bytes()
    for path in (PAGES / "static").rglob("*")
    if path.is_file()
}
_TYPES: Final = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
MODELS: Final = ("haiku", "sonnet", "opus")
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


T = TypeVar("T")
P = ParamSpec("P")


def _whole(method: Callable[Concatenate[Hive, P], T]) -> Callable[Concatenate[Hive, P], T]:
    """Nothing that the server does comes between the steps of what a test does to the hive, nor the other way round."""

    @wraps(method)
    def on_loop(hive: Hive, *args: P.args, **kwargs: P.kwargs) -> T:
        return hive.on_loop(lambda: method(hive, *args, **kwargs))

    return on_loop


@dataclass
class Hive:
    """The state of the pretended hive, and its stream."""

    epoch: int = 1
    seq: int = 0
    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    questions: dict[int, dict[str, Any]] = field(default_factory=dict)
    approvals: dict[int, dict[str, Any]] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)
    open_ends: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    schedules: list[dict[str, Any]] = field(default_factory=list)
    used: list[dict[str, Any]] = field(default_factory=list)
    tombstones: list[dict[str, Any]] = field(default_factory=list)
    audit: list[dict[str, Any]] = field(default_factory=list)
    journals: dict[str, list[str]] = field(default_factory=dict)
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Where each agent's own page listens, by name.
    pages: dict[str, str] = field(default_factory=dict)
    #: Requests in the order in which they came: method, path, body.
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    #: Notified of each.
    told: threading.Condition = field(default_factory=threading.Condition)
    #: Answers for the next requests of a method and path, before anything is done.
    refusals: dict[tuple[str, str], list[tuple[int, dict[str, Any]]]] = field(default_factory=dict)
    #: Answers for which everything is done but the answer is lost.
    losses: set[tuple[str, str]] = field(default_factory=set)
    #: Paths that wait for `release` before they answer.
    held: dict[tuple[str, str], asyncio.Event] = field(default_factory=dict)
    ring: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    streams: int = 0
    #: Set while nobody follows a journal.
    unfollowed: threading.Event = field(default_factory=threading.Event)
    followers: int = 0
    loop: asyncio.AbstractEventLoop | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    closing: bool = False

    def on_loop(self, action: Callable[[], T]) -> T:
        """Do something in the server's loop, from whichever thread; what is not running yet is done at once."""
        if self.loop is None or self.loop.is_closed() or threading.current_thread().name == "stand-in":
            return action()
        done: Future[T] = Future()

        def act() -> None:
            try:
                done.set_result(action())
            except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
                done.set_exception(error)

        self.loop.call_soon_threadsafe(act)
        return done.result(PATIENCE)

    @_whole
    def emit(self, kind: str, data: dict[str, Any]) -> None:
        """Put one frame on the stream."""
        self.seq += 1
        self.ring.append((self.seq, {"type": kind, "seq": self.seq, "data": data}))
        self.wake()

    def wake(self) -> None:
        """Let every stream look again."""
        news, self.news = self.news, asyncio.Event()
        news.set()

    @_whole
    def print_line(self, name: str, line: str) -> None:
        """An agent's harness prints something, and whoever follows its journal is told."""
        self.journals.setdefault(name, []).append(line)
        self.wake()

    @_whole
    def change_agent(self, name: str, **change: Any) -> None:  # noqa: ANN401 - JSON
        """Change an agent's row, and say so."""
        row = self.agents.setdefault(name, agent(name))
        self.agents[name] = {**row, **change} if "state" not in change else {**row, "since": at(), **change}
        self.emit("agent", self.agents[name])

    @_whole
    def remove_agent(self, name: str) -> None:
        """Take an agent away, and say so."""
        self.agents.pop(name, None)
        self.emit("agent", {"name": name, "removed": True})

    @_whole
    def arrive(self, sender: str, to: str, body: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """A message was accepted."""
        message = {
            "id": len(self.messages) + 1,
            "from": sender,
            "to": to,
            "body": body,
            "sentAt": at(),
            "deliveries": 0,
            "deadLetter": False,
            "state": "waiting",
            **more,
        }
        self.messages.append(message)
        self.emit("message", cut(message))
        return message

    @_whole
    def change_message(self, number: int, **change: Any) -> None:  # noqa: ANN401 - JSON
        """Change a message, and say so."""
        self.messages[number - 1] |= change
        self.emit("message", cut(self.messages[number - 1]))

    @_whole
    def happen(self, name: str, kind: str, data: dict[str, Any], turn: int = 1) -> None:
        """An agent reported an event."""
        log = self.events.setdefault(name, [])
        event = {"agent": name, "seq": len(log) + 1, "at": at(), "kind": kind, "turn": turn, "data": data}
        log.append(event)
        self.emit("event", {**event, "data": streamed(data)})

    @_whole
    def wait_for_operator(self, items: list[dict[str, Any]]) -> None:
        """Replace the list of what waits."""
        self.waiting = items
        self.emit("waiting", {"waiting": items})

    @_whole
    def ask(self, asker: str, text: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """An agent asks the operator."""
        number = len(self.questions) + 1
        row = {
            "id": number,
            "asker": asker,
            "to": "operator",
            "text": text,
            "options": [],
            "multi": False,
            "askedAt": at(),
            "deadline": None,
            "default": None,
            "status": "open",
            **more,
        }
        self.questions[number] = row
        self.emit("question", row)
        if row["to"] == "operator":
            item = {"id": f"question-{number}", "kind": "question", "agent": asker, "since": row["askedAt"]}
            item |= {"title": f"{asker} asks: {text[:120]}", "ref": number, "deadline": row["deadline"]}
            self.wait_for_operator([*self.waiting, item])
        return row

    @_whole
    def settle_question(self, number: int, **change: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """A question was answered, cancelled or ran out."""
        self.questions[number] = {**self.questions[number], "answeredAt": at(), **change}
        self.emit("question", self.questions[number])
        self.settle(f"question-{number}")
        return self.questions[number]

    @_whole
    def propose(self, kind: str, agent: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """The manager asks for an approval."""
        number = len(self.approvals) + 1
        row = approval(number, kind, agent, **more)
        self.approvals[number] = row
        self.emit("approval", cut_approval(row))
        item = {"id": f"approval-{number}", "kind": "approval", "agent": agent, "since": row["requestedAt"]}
        item |= {"title": f"manager asks for {agent}", "ref": number, "deadline": row["expiresAt"]}
        self.wait_for_operator([*self.waiting, item])
        return row

    @_whole
    def change_approval(self, number: int, **change: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Something becomes of an approval."""
        self.approvals[number] |= change
        self.emit("approval", cut_approval(self.approvals[number]))
        if self.approvals[number]["status"] not in {"building", "pending"}:
            self.settle(f"approval-{number}")
        return self.approvals[number]

    @_whole
    def settle(self, item: str) -> None:
        """Something waits no longer."""
        self.wait_for_operator([one for one in self.waiting if one["id"] != item])

    @_whole
    def warn(self, warnings: list[str]) -> None:
        """Replace the warnings."""
        self.warnings = warnings
        self.emit("warnings", {"warnings": warnings})

    @_whole
    def decide(self, action: str, subject: str, detail: str | None = None) -> None:
        """Write a decision into the history."""
        row = {"id": len(self.audit) + 1, "at": at(), "actor": "operator", "action": action, "subject": subject}
        self.audit.append({**row, "detail": detail})

    def refuse_next(self, method: str, path: str, status: int = 409, **error: str) -> None:
        """Answer the next such request with an error, without doing anything."""
        content = {"code": "refused", "message": "not now", "hint": "try later", **error}
        self.refusals.setdefault((method, path), []).append((status, {"error": content}))

    def hold(self, method: str, path: str) -> None:
        """Let the next such requests wait until `release`."""
        self.held[method, path] = asyncio.Event()

    def release(self, method: str, path: str) -> None:
        """Let go what `hold` holds."""
        self.on_loop(self.held.pop((method, path)).set)

    def calls(self, method: str, path: str) -> list[Any]:
        """The bodies of the requests of one kind that have come by now."""
        return [body for verb, where, body in self.requests if (verb, where) == (method, path)]

    def came(self, method: str, path: str, count: int = 1) -> list[Any]:
        """The bodies of the requests of one kind, once so many have come."""
        with self.told:
            if not self.told.wait_for(lambda: len(self.calls(method, path)) >= count, PATIENCE):
                msg = f"{method} {path} came {len(self.calls(method, path))} times instead of {count}"
                raise TimeoutError(msg)
        return self.calls(method, path)

    def note(self, method: str, path: str, body: Any) -> None:  # noqa: ANN401 - JSON
        """A request came."""
        with self.told:
            self.requests.append((method, path, body))
            self.told.notify_all()


def error(status: int, code: str, message: str, hint: str = "") -> JSONResponse:
    """An error as the API writes it."""
    return JSONResponse({"error": {"code": code, "message": message, "hint": hint}}, status)


_ACTIONS: Final = {
    "start": "idle",
    "stop": "stopped",
    "restart": "starting",
    "rebuild": "starting",
    "pause": "paused",
    "resume": "idle",
    "cancel": "idle",
    "kick": "idle",
    "compact": "compacting",
    "new-session": "idle",
    "destroy": "",
}


def create_app(hive: Hive, alone: str | None = None) -> Starlette:
    """The application around a hive: the dashboard, or one agent's page on a port of its own."""
    api, agents = _Api(hive), _AgentApi(hive)
    of_agent = [
        Route("/state", agents.state),
        Route("/stream", agents.stream),
        Route("/events", agents.events),
        Route("/messages", agents.messages, methods=["GET", "POST"]),
        Route("/model", agents.model, methods=["POST"]),
        Route("/login/{step}", agents.login, methods=["POST"]),
    ]
    routes = [
        Route("/state", api.state),
        Route("/stream", api.stream),
        Route("/messages", api.messages, methods=["GET", "POST"]),
        Route("/inbox", api.inbox),
        Route("/inbox/ack", api.ack, methods=["POST"]),
        Route("/dead-letters/{id:int}/{verb}", api.dead_letter, methods=["POST"]),
        Route("/questions/{id:int}/{verb}", api.question, methods=["POST"]),
        Route("/approvals/{id:int}", api.approval),
        Route("/approvals/{id:int}/{verb}", api.decide, methods=["POST"]),
        Route("/usage", api.usage),
        Route("/reminders", api.reminders),
        Route("/reminders/{id:int}", api.forget, methods=["DELETE"]),
        Route("/agents/{name}", api.agent),
        Route("/agents/{name}/loose-ends", api.loose_ends),
        Route("/budget", api.budget, methods=["POST"]),
        Route("/agents/{name}/budget", api.budget, methods=["POST"]),
        Route("/waiting/{id}/dismiss", api.dismiss, methods=["POST"]),
        Route("/tombstones", api.tombstones),
        Route("/tombstones/{name}/{verb}", api.tombstone, methods=["POST"]),
        Route("/audit", api.audit),
        Route("/agents/{name}/journal", api.journal),
        Route("/agents/{name}/journal/stream", api.journal_stream),
        Route("/agents/{name}/config", api.config),
        Route("/agents/{name}/page-url", api.page_url),
        Mount("/agents/{name}", routes=[*of_agent, Route("/{verb}", agents.act, methods=["POST"])]),
    ]
    if alone:
        routes = [*of_agent, Route("/{verb:str}", agents.act, methods=["POST"])]

    async def index(_request: Request) -> Response:
        return Response((PAGES / "index.html").read_bytes(), media_type="text/html")

    async def static(request: Request) -> Response:
        name = request.path_params["path"]
        if name not in STATIC:
            return Response(status_code=404)
        return Response(STATIC[name], media_type=_TYPES[name.rpartition(".")[2]])

    async def agent_page(request: Request) -> Response:
        name = alone or request.path_params["name"]
        base = "/api" if alone else f"/api/agents/{name}"
        marked = re.sub(
            r'data-api="[^"]*" data-agent="[^"]*"',
            f'data-api="{base}" data-agent="{name}"',
            (PAGES / "agent.html").read_text(),
        )
        return Response(marked, media_type="text/html")

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if not alone:
            hive.loop, hive.closing = asyncio.get_running_loop(), False
        yield

    app = Starlette(
        routes=[
            *([Route("/", agent_page)] if alone else [Route("/", index), Route("/agents/{name}/", agent_page)]),
            Mount("/api", routes=routes),
            Route("/static/{path:path}", static),
        ],
        lifespan=lifespan,
    )
    app.add_middleware(_Guard, hive=hive, alone=alone)  # type: ignore[arg-type]
    return app


class _Guard:
    """Headers of every answer, the token, and what the tests prepared; plain ASGI, so that streams stay streams."""

    def __init__(self, app: ASGIApp, hive: Hive, alone: str | None = None) -> None:
        self._app, self._hive, self._alone = app, hive, alone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", CSP.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        kind = (scope["method"], scope["path"])
        if scope["path"].startswith("/api/"):
            if self._alone:
                scope["path_params"] = {"name": self._alone}
            token = PAGE_TOKEN if self._alone else TOKEN
            if dict(scope["headers"]).get(b"authorization") != f"Bearer {token}".encode():
                await error(401, "unauthorized", "the token is wrong")(scope, receive, with_headers)
                return
            if kind in self._hive.held:
                await self._hive.held[kind].wait()
            if self._hive.refusals.get(kind):
                status, content = self._hive.refusals[kind].pop(0)
                await JSONResponse(content, status)(scope, receive, with_headers)
                return
            if kind in self._hive.losses:
                self._hive.losses.discard(kind)
                await self._app(scope, receive, _nothing)
                # Half an answer: the browser sees a broken connection, as after a crash.
                head = [(b"content-type", b"application/json"), (b"content-length", b"100")]
                await with_headers({"type": "http.response.start", "status": 201, "headers": head})
                await send({"type": "http.response.body", "body": b"{", "more_body": True})
                return
        await self._app(scope, receive, with_headers)


async def _nothing(_message: MutableMapping[str, Any]) -> None:
    """Swallow an answer."""


class _Api:
    def __init__(self, hive: Hive) -> None:
        self._hive = hive

    async def _body(self, request: Request) -> Any:  # noqa: ANN401 - JSON
        raw = await request.body()
        body = json.loads(raw) if raw else None
        self._hive.note(request.method, request.scope["path"], body)
        return body

    async def state(self, _request: Request) -> Response:
        hive = self._hive
        return JSONResponse(
            {
                "epoch": hive.epoch,
                "seq": hive.seq,
                "hive": {"name": "apiary", "version": "0.1.0", "runtime": "bubblewrap"},
                "operator": {"name": "Ada"},
                "warnings": hive.warnings,
                "agents": list(hive.agents.values()),
                "messages": hive.messages[::-1][:100],
                "waiting": hive.waiting,
                "questions": [row for row in hive.questions.values() if row["status"] == "open"],
                "usage": hive.usage,
                "approvals": [
                    cut_approval(row) for row in hive.approvals.values() if row["status"] in {"building", "pending"}
                ],
            }
        )

    async def stream(self, request: Request) -> Response:
        return self._stream(request, lambda _frame: True)

    def _stream(self, request: Request, wanted: Callable[[dict[str, Any]], bool]) -> Response:
        hive = self._hive
        since, epoch = int(request.query_params["since"]), request.query_params["epoch"]

        async def frames() -> AsyncIterator[str]:
            hive.streams += 1
            try:
                yield ": hello\n\n"
                if epoch != str(hive.epoch):
                    yield f'id: {hive.epoch}.{hive.seq}\ndata: {{"type":"resync","seq":{hive.seq},"data":{{}}}}\n\n'
                    return
                at_seq = since
                while not hive.closing:
                    news = hive.news
                    fresh = [(seq, text) for seq, text in hive.ring if seq > at_seq]
                    for seq, frame in fresh:
                        at_seq = seq
                        if wanted(frame):
                            yield f"id: {hive.epoch}.{seq}\ndata: {json.dumps(frame)}\n\n"
                    if not fresh:
                        await news.wait()
            finally:
                hive.streams -= 1

        return StreamingResponse(frames(), media_type="text/event-stream")

    async def messages(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._send(request)
        query = request.query_params
        found = [
            message
            for message in reversed(self._hive.messages)
            if message["id"] < int(query.get("before", 1 << 60))
            and query.get("agent", message["from"]) in {message["from"], message["to"]}
        ]
        return JSONResponse({"messages": found[: int(query.get("limit", 100))]})

    async def _send(self, request: Request) -> Response:
        hive, body = self._hive, await self._body(request)
        if body["idempotencyKey"] in hive.keys:
            return JSONResponse(hive.keys[body["idempotencyKey"]], 201)
        everyone = body["to"] == "*"
        names = sorted(hive.agents) if everyone else [body["to"]]
        if not set(names) <= set(hive.agents):
            return error(404, "unknown_recipient", f"there is no agent {body['to']!r}", "See: hyperhive list")
        first = len(hive.messages) + 1
        more = {"broadcastId": first} if everyone else {}
        if body.get("inReplyTo"):
            more["inReplyTo"] = body["inReplyTo"]
        for name in names:
            hive.arrive("operator", name, body["body"], **more)
        answer = {"id": first, "recipients": names}
        hive.keys[body["idempotencyKey"]] = answer
        return JSONResponse(answer, 201)

    async def inbox(self, _request: Request) -> Response:
        found = [m for m in reversed(self._hive.messages) if m["to"] == "operator" and m["state"] == "waiting"]
        return JSONResponse({"messages": found})

    async def ack(self, request: Request) -> Response:
        body = await self._body(request)
        for number in body["ids"]:
            self._hive.change_message(number, state="settled", outcome="settled", settledAt=at())
        return JSONResponse({"acked": body["ids"]})

    async def dead_letter(self, request: Request) -> Response:
        await self._body(request)
        number, verb = request.path_params["id"], request.path_params["verb"]
        if verb == "requeue":
            self._hive.change_message(number, state="waiting", deadLetter=False, deliveries=0, reason=None)
        else:
            self._hive.change_message(number, state="discarded", outcome="discarded", deadLetter=False, settledAt=at())
        self._hive.wait_for_operator([item for item in self._hive.waiting if item["ref"] != number])
        return JSONResponse({"ok": True})

    async def question(self, request: Request) -> Response:
        body = await self._body(request)
        hive, number, verb = self._hive, request.path_params["id"], request.path_params["verb"]
        row = hive.questions[number]
        if row["status"] != "open":
            return error(409, "wrong_state", f"question {number} was {row['status']} by {row.get('answeredBy')}")
        if verb == "cancel":
            return JSONResponse(hive.settle_question(number, status="cancelled", answeredBy="operator"))
        answer = ", ".join([*body["choices"], *([body["text"]] if body["text"] else [])])
        hive.decide("answer", f"question {number}", answer)
        return JSONResponse(hive.settle_question(number, status="answered", answer=answer, answeredBy="operator"))

    async def dismiss(self, request: Request) -> Response:
        await self._body(request)
        self._hive.settle(request.path_params["id"])
        return JSONResponse({"ok": True})

    async def usage(self, request: Request) -> Response:
        hive = self._hive
        days = int(request.query_params["days"])
        rows = [row for row in hive.used if row["ago"] < days]
        total = {key: sum(row[key] for row in rows) for key in spent()}
        return JSONResponse(
            {"timezone": "Europe/Berlin", "day": "2026-11-27", "usage": rows, "total": total, **hive.usage}
        )

    async def agent(self, request: Request) -> Response:
        return JSONResponse({**self._hive.agents[request.path_params["name"]], "stateBytes": 12_700_000})

    async def loose_ends(self, request: Request) -> Response:
        return JSONResponse({"ends": self._hive.open_ends.get(request.path_params["name"], []), "unread": 2})

    async def reminders(self, request: Request) -> Response:
        mine = [row for row in self._hive.schedules if row["agent"] == request.query_params["agent"]]
        return JSONResponse({"reminders": [], "schedules": mine})

    async def forget(self, request: Request) -> Response:
        await self._body(request)
        hive, number = self._hive, request.path_params["id"]
        for name, ends in hive.open_ends.items():
            hive.open_ends[name] = [end for end in ends if (end["kind"], end["id"]) != ("reminder", number)]
        return JSONResponse({"id": number, "status": "cancelled"})

    async def budget(self, request: Request) -> Response:
        given = (await self._body(request))["today"]
        name, hive = request.path_params.get("name"), self._hive
        known = hive.agents[name]["budget"] if name else hive.usage["budget"]
        changed = {key: {**known[key], "allowed": value, "raised": True} for key, value in given.items()}
        row = {**known, **changed}
        row["share"] = max(part["used"] / part["allowed"] for part in row.values() if isinstance(part, dict))
        if name:
            hive.change_agent(name, budget=row, state="idle")
        else:
            hive.usage = {**hive.usage, "budget": row}
            hive.emit("usage", hive.usage)
        hive.settle(f"over_budget-{name or '*'}")
        return JSONResponse({"budget": row})

    async def approval(self, request: Request) -> Response:
        self._hive.note("GET", request.scope["path"], None)
        return JSONResponse(self._hive.approvals[request.path_params["id"]])

    async def decide(self, request: Request) -> Response:
        body = await self._body(request)
        number, verb = request.path_params["id"], request.path_params["verb"]
        row = self._hive.approvals[number]
        if verb == "approve" and row["commit"] != body.get("commit"):
            return error(409, "wrong_state", "you were shown another commit", "Look at it once more")
        status = {"approve": "approved", "deny": "denied"}[verb]
        return JSONResponse(
            self._hive.change_approval(number, status=status, decidedBy="operator", reason=body.get("reason"))
        )

    async def tombstones(self, _request: Request) -> Response:
        return JSONResponse({"tombstones": self._hive.tombstones})

    async def tombstone(self, request: Request) -> Response:
        body = await self._body(request)
        hive, name, verb = self._hive, request.path_params["name"], request.path_params["verb"]
        if verb == "purge" and body["name"] != name:
            return error(422, "malformed", "the name in the body is another one")
        hive.tombstones = [one for one in hive.tombstones if one["name"] != name]
        if verb == "revive":
            hive.change_agent(name, state="starting")
        hive.decide(verb, name)
        return JSONResponse({"id": 1, "agent": name, "kind": verb, "status": "done", "endedAt": at()})

    async def audit(self, request: Request) -> Response:
        before, limit = int(request.query_params.get("before", 1 << 60)), int(request.query_params.get("limit", 200))
        return JSONResponse({"audit": [row for row in reversed(self._hive.audit) if row["id"] < before][:limit]})

    async def journal(self, request: Request) -> Response:
        self._hive.note("GET", request.scope["path"], None)
        lines = self._hive.journals.get(request.path_params["name"], [])
        return JSONResponse({"lines": lines[-int(request.query_params.get("lines", 200)) :]})

    async def journal_stream(self, request: Request) -> Response:
        hive, name = self._hive, request.path_params["name"]

        async def frames() -> AsyncIterator[str]:
            hive.followers += 1
            hive.unfollowed.clear()
            known = 0
            try:
                while not hive.closing:
                    news, lines = hive.news, hive.journals.get(name, [])
                    yield f"data: {json.dumps({'lines': lines[known:]})}\n\n"
                    known = len(lines)
                    await news.wait()
            finally:
                hive.followers -= 1
                if not hive.followers:
                    hive.unfollowed.set()

        return StreamingResponse(frames(), media_type="text/event-stream")

    async def config(self, request: Request) -> Response:
        nothing = {"files": [], "note": "It has no configuration of its own yet."}
        return JSONResponse(self._hive.configs.get(request.path_params["name"], nothing))

    async def page_url(self, request: Request) -> Response:
        return JSONResponse({"url": self._hive.pages[request.path_params["name"]]})


class _AgentApi(_Api):
    """What is served on one agent's page, and below `/agents/{name}` of the dashboard."""

    async def state(self, request: Request) -> Response:
        hive, name = self._hive, request.path_params["name"]
        mine = [message for message in reversed(hive.messages) if name in {message["from"], message["to"]}]
        return JSONResponse(
            {
                "epoch": hive.epoch,
                "seq": hive.seq,
                "hive": {"name": "apiary", "version": "0.1.0", "runtime": "bubblewrap"},
                "operator": {"name": "Ada"},
                "warnings": hive.warnings,
                "agent": hive.agents[name],
                "messages": mine[:100],
                "questions": [
                    row for row in hive.questions.values() if row["asker"] == name and row["status"] == "open"
                ],
            }
        )

    async def stream(self, request: Request) -> Response:
        name = request.path_params["name"]

        def wanted(frame: dict[str, Any]) -> bool:
            kind, data = frame["type"], frame["data"]
            return kind == "resync" or (
                kind in {"agent", "message", "event", "question", "operation"}
                and name in {data.get(key) for key in ("name", "agent", "from", "to", "asker")}
            )

        return self._stream(request, wanted)

    async def events(self, request: Request) -> Response:
        query = request.query_params
        log = self._hive.events.get(request.path_params["name"], [])
        found = [event for event in reversed(log) if event["seq"] < int(query.get("before", 1 << 60))]
        return JSONResponse({"events": found[: int(query.get("limit", 100))]})

    async def messages(self, request: Request) -> Response:
        name = request.path_params["name"]
        if request.method == "POST":
            keys, body = self._hive.keys, await self._body(request)
            if body["idempotencyKey"] not in keys:
                message = self._hive.arrive("operator", name, body["body"])
                keys[body["idempotencyKey"]] = {"id": message["id"], "recipients": [name]}
            return JSONResponse(keys[body["idempotencyKey"]], 201)
        query = request.query_params
        found = [
            message
            for message in reversed(self._hive.messages)
            if message["id"] < int(query.get("before", 1 << 60)) and name in {message["from"], message["to"]}
        ]
        return JSONResponse({"messages": found[: int(query.get("limit", 100))]})

    async def model(self, request: Request) -> Response:
        body, name = await self._body(request), request.path_params["name"]
        if body["model"] not in MODELS:
            return error(422, "malformed", f"there is no model {body['model']!r}", f"There are: {', '.join(MODELS)}")
        self._hive.change_agent(name, model=body["model"])
        return JSONResponse({"id": 1, "agent": name, "kind": "model", "status": "done", "endedAt": at()})

    async def login(self, request: Request) -> Response:
        """Takes the step; what follows is the test's to tell."""
        await self._body(request)
        phase = {"start": "starting", "code": "checking", "cancel": "cancelled"}[request.path_params["step"]]
        self._hive.change_agent(request.path_params["name"], login={"phase": phase, "since": at()})
        return JSONResponse({"ok": True})

    async def act(self, request: Request) -> Response:
        await self._body(request)
        hive, name, verb = self._hive, request.path_params["name"], request.path_params["verb"]
        if name not in hive.agents:
            return error(404, "unknown_agent", f"there is no agent {name!r}")
        if verb not in _ACTIONS:
            return error(404, "not_found", f"there is no action {verb!r}")
        ended = {"id": 1, "agent": name, "kind": verb, "status": "done", "startedAt": at(), "endedAt": at()}
        hive.decide(verb, name)
        if verb == "destroy":
            hive.tombstones.append(tombstone(name))
            hive.remove_agent(name)
            return JSONResponse(ended)
        if verb in {"compact", "new-session"} and hive.agents[name]["state"] == "thinking":
            return error(409, "wrong_state", f"{name} is thinking", "Cancel the turn or wait for its end")
        wanted = {"stop": "stopped", "pause": "paused"}.get(verb, "running")
        hive.change_agent(name, state=_ACTIONS[verb], wanted=wanted)
        return JSONResponse({**ended, "status": "running", "endedAt": None}, 202)


class Server:
    """The stand-in on a port of its own, in a thread of its own; it can be stopped and started again."""

    def __init__(self, hive: Hive, port: int = 0, alone: str | None = None) -> None:
        self.hive, self.port, self.alone = hive, port, alone
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; returns when connections are taken."""
        config = uvicorn.Config(
            create_app(self.hive, self.alone),
            host="127.0.0.1",
            port=self.port,
            log_level="error",
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        listening = config.bind_socket()
        self.port = listening.getsockname()[1]
        started = threading.Event()

        async def serve() -> None:
            task = asyncio.create_task(server.serve(sockets=[listening]), name="serve")
            while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            started.set()
            await task

        self._server = server
        if self.alone:
            # Streams of one hive belong to one loop.
            assert self.hive.loop is not None
            asyncio.run_coroutine_threadsafe(serve(), self.hive.loop)
        else:
            self._thread = threading.Thread(target=lambda: asyncio.run(serve()), name="stand-in", daemon=True)
            self._thread.start()
        if not started.wait(PATIENCE):
            msg = "the stand-in did not start"
            raise TimeoutError(msg)

    def stop(self, *, wait: bool = True) -> None:
        """End every connection and the server; at the end of a test nobody has to wait for that."""
        if self._server is None:
            return
        self.hive.closing = True
        self.hive.on_loop(self.hive.wake)
        self._server.should_exit = True
        if self._thread is not None and wait:
            self._thread.join(PATIENCE)
            if self._thread.is_alive():
                msg = "the stand-in did not end"
                raise TimeoutError(msg)
        self._server = self._thread = None


async def _keep_busy(hive: Hive) -> None:
    """Something happens every few seconds, for whoever looks at the page by hand."""
    for number in range(1, 100_000):
        await asyncio.sleep(3)
        hive.happen("alice", "tool_call", {"name": "Read", "input": {"file_path": f"/shared/log/{number}.txt"}}, number)
        hive.happen("alice", "tool_result", {"content": f"line {number}\nanother"}, number)
        hive.change_agent("frank", state="thinking" if number % 2 else "idle", unread=number % 4)
        message = hive.arrive("alice", "manager", f"{number} of 12 commits are good.")
        await asyncio.sleep(2)
        hive.change_message(message["id"], state="settled", outcome="settled", settledAt=at(), deliveries=1)


def main() -> None:
    """Serve until interrupted."""
    hive = Hive()
    populate(hive)
    server = Server(hive, 7999)
    server.start()
    print(f"{server.url}/#token={TOKEN}")  # noqa: T201 - for whoever runs it by hand
    asyncio.run(_keep_busy(hive))


if __name__ == "__main__":
    main()
