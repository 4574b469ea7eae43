"""The part of the operator API that one agent's page needs: that agent, and nothing of the others.

On the agent's own port the gate lets just these routes through, and only of the port's agent, so nothing here may take
another agent's name from a query or a body.
"""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
from typing import Annotated

from fastapi import FastAPI, Query
from pydantic import Field
from starlette.responses import StreamingResponse

from hyperhive.hive.hive import Hive
from hyperhive.names import OPERATOR, web_port
from hyperhive.shapes import MessagesAnswer, PageSnapshot, PageUrl, Sent
from hyperhive.store import messages
from hyperhive.web.api.questions import open_questions
from hyperhive.web.api.reading import followed, hive_info, message_page
from hyperhive.wire import Id, OperatorInfo, Request

Limit = Annotated[int, Query(ge=1, le=2000)]
Before = Annotated[Id | None, Query()]


class PageSend(Request):
    """`POST /api/agents/{n}/messages`: the operator writes to the agent whose page it is."""

    body: str
    in_reply_to: Id | None = None
    idempotency_key: str | None = Field(None, min_length=1, max_length=200)


def add_page(app: FastAPI, hive: Hive) -> None:
    """Add what an agent's page reads and writes. Before the actions, whose route takes every word."""
    _add_reading(app, hive)
    _add_messages(app, hive)

    @app.get("/api/agents/{name}/page-url")
    async def page_url(name: str) -> PageUrl:
        """The address of an agent's page on its own port, with its token; at the dashboard where it has no port."""
        agent = hive.lifecycle.find(name)
        if hive.ports.is_open(agent.name):
            return PageUrl(url=f"http://localhost:{web_port(agent.name)}/#token={hive.ports.token(agent.name)}")
        base = f"http://localhost:{hive.settings.dashboard.port}"
        return PageUrl(url=f"{base}/agents/{agent.name}/#token={hive.token}")


def _add_reading(app: FastAPI, hive: Hive) -> None:
    @app.get("/api/agents/{name}/state")
    async def state(name: str) -> PageSnapshot:
        """One agent at one instant; follow its stream from `seq` on."""
        agent = hive.lifecycle.find(name)
        # The number first: what happens while the messages are read comes again with the stream, which harms nobody.
        seq = hive.stream.seq
        recent = await message_page(hive, messages.Filter(agent=agent.name, limit=100))
        return PageSnapshot(
            epoch=hive.stream.epoch,
            seq=seq,
            hive=hive_info(hive, whole=False),
            operator=OperatorInfo(**hive.settings.operator.model_dump()),
            agent=hive.roster.row(agent, hive.broker.unread(agent.name)),
            messages=recent,
            questions=await open_questions(hive, agent.name),
        )

    @app.get("/api/agents/{name}/stream", response_class=StreamingResponse)
    async def stream(name: str, since: Before = None, epoch: str | None = None) -> StreamingResponse:
        """Like `/api/stream`, but only what is about this agent."""
        return followed(hive, since, epoch, hive.lifecycle.find(name).name)


def _add_messages(app: FastAPI, hive: Hive) -> None:
    @app.get("/api/agents/{name}/messages")
    async def listing(name: str, before: Before = None, limit: Limit = 100) -> MessagesAnswer:
        """Messages of or to this agent, newest first."""
        wanted = messages.Filter(agent=hive.lifecycle.find(name).name, before=before, limit=limit)
        return MessagesAnswer(messages=await message_page(hive, wanted))

    @app.post("/api/agents/{name}/messages", status_code=201)
    async def send(name: str, body: PageSend) -> Sent:
        """Write to this agent as the operator; answered once it is on disk."""
        agent = hive.lifecycle.find(name)
        made = await hive.broker.send(
            OPERATOR, agent.name, body.body, in_reply_to=body.in_reply_to, idempotency_key=body.idempotency_key
        )
        return Sent(id=made.ids[0], broadcast_id=made.broadcast_id, recipients=list(made.recipients))
