"""The agent API, served on each agent's own socket; the agent's name comes from the socket's gate alone."""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from starlette.responses import Response

from hyperhive.hive.hive import Hive
from hyperhive.hive.views import clean
from hyperhive.store.events import EventBatch, NewEvent
from hyperhive.web.answers import make_app
from hyperhive.web.api.caller import Caller, calling_agent
from hyperhive.web.api.direct import add_direct
from hyperhive.web.api.manager import add_manager
from hyperhive.web.api.open_ends import add_open_ends
from hyperhive.web.api.proposals import add_proposals
from hyperhive.wire import (
    AnswerRequest,
    AskRequest,
    CommandsAnswer,
    CommandsRequest,
    EventsRequest,
    Id,
    Ok,
    OutcomeAnswer,
    OutcomeRequest,
    PeersAnswer,
    QuestionAnswer,
    RecvAnswer,
    RecvRequest,
    ReportRequest,
    SelfInfo,
    SendAnswer,
    SendRequest,
)

T = TypeVar("T")


class ClientGoneError(Exception):
    """The caller closed its connection while it was parked."""


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Await `work`, and end it when the client goes away: nothing may be handed to a closed connection.

    Raises:
        ClientGoneError: the client went first.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGoneError
        return task.result()
    finally:
        for one in (task, gone):
            if not one.done():
                one.cancel()
                with suppress(asyncio.CancelledError):
                    await one


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def agent_app(hive: Hive) -> FastAPI:
    """The application that all agents' sockets share."""
    app = make_app("hyperhive agent API")
    app.state.hive = hive

    @app.exception_handler(ClientGoneError)
    async def gone(_request: Request, _error: Exception) -> Response:
        return Response(status_code=499)

    _add_messages(app, hive)
    _add_questions(app, hive)
    add_open_ends(app, hive)
    _add_self(app, hive)
    add_manager(app, hive)
    add_proposals(app, hive)
    return app


def _add_messages(app: FastAPI, hive: Hive) -> None:
    async def send(agent: Caller, body: SendRequest, request: Request) -> SendAnswer:  # noqa: ARG001
        """Send a message; answered once it is on disk."""
        made = await hive.broker.send(
            agent.name, body.to, body.body, in_reply_to=body.in_reply_to, idempotency_key=body.idempotency_key
        )
        return SendAnswer(id=made.ids[0], broadcast_id=made.broadcast_id, recipients=list(made.recipients))

    async def recv(agent: Caller, body: RecvRequest, request: Request) -> RecvAnswer:
        """Receive messages, waiting for one if asked to."""
        deliveries, unread = await unless_gone(
            request,
            hive.broker.recv(
                agent.name, wait=body.wait_seconds, most=body.max, holding=body.holding, instance=body.instance
            ),
        )
        return RecvAnswer(deliveries=deliveries, unread=unread)

    async def outcome(agent: Caller, body: OutcomeRequest, request: Request) -> OutcomeAnswer:  # noqa: ARG001
        """Say how a turn ended."""
        done = await hive.broker.outcome(agent.name, body.ids, body.outcome, body.reason)
        return OutcomeAnswer(accepted=done.accepted, dead_letters=done.dead)

    async def commands(agent: Caller, body: CommandsRequest, request: Request) -> CommandsAnswer:
        """Report finished commands and wait for new ones."""
        given = await unless_gone(request, hive.commands.poll(agent.name, body))
        return CommandsAnswer(commands=given)

    add_direct(app, "/v1/messages", SendRequest, calling_agent, send, 201)
    add_direct(app, "/v1/recv", RecvRequest, calling_agent, recv)
    add_direct(app, "/v1/outcome", OutcomeRequest, calling_agent, outcome)
    # What an idle hive does: every agent asks again now and then.
    add_direct(app, "/v1/commands", CommandsRequest, calling_agent, commands)


def _add_questions(app: FastAPI, hive: Hive) -> None:
    @app.post("/v1/questions", status_code=201)
    async def ask(agent: Caller, body: AskRequest) -> QuestionAnswer:
        """Ask the operator or another agent; answered once it is on disk, the end comes as a message."""
        return _question(await hive.questions.ask(agent.name, body))

    @app.post("/v1/questions/{number}/answer")
    async def answer(agent: Caller, number: Id, body: AnswerRequest) -> QuestionAnswer:
        """Answer what the calling agent was asked."""
        return _question(await hive.questions.answer(number, agent.name, body.choices, body.text))

    @app.post("/v1/questions/{number}/cancel")
    async def cancel(agent: Caller, number: Id) -> QuestionAnswer:
        """Cancel what the calling agent has asked."""
        return _question(await hive.questions.cancel(number, agent.name))


def _question(row: Any) -> QuestionAnswer:  # noqa: ANN401 - a row of the store
    return QuestionAnswer(id=row.id, asker=row.asker, to=row.recipient, status=row.status, deadline=row.deadline)


def _add_self(app: FastAPI, hive: Hive) -> None:
    @app.get("/v1/self")
    async def self_info(agent: Caller) -> SelfInfo:
        """What makes the calling agent this agent."""
        return hive.roster.self_info(agent)

    @app.get("/v1/peers")
    async def peers(agent: Caller) -> PeersAnswer:
        """Everybody the calling agent can write to."""
        return PeersAnswer(peers=hive.roster.peers_of(agent.name))

    @app.post("/v1/events")
    async def events(agent: Caller, body: EventsRequest) -> Ok:
        """Hand over events of turns."""
        made = tuple(NewEvent(e.n, e.at, e.kind, e.turn, clean(e.data)) for e in body.events)
        await hive.take_events(EventBatch(agent.name, body.instance, made))
        return Ok()

    @app.post("/v1/report")
    async def report(agent: Caller, body: ReportRequest) -> Ok:
        """Say what the harness is doing, and what a turn used; answered once that is on disk."""
        await hive.ledger.take(agent, body)
        hive.roster.report(agent, body)
        return Ok()
