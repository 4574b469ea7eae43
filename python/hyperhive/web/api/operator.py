"""The operator API, for the pages, the command line and whoever scripts a hive: one write path for all of them."""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query
from pydantic import Field
from starlette.responses import StreamingResponse

from hyperhive.hive import views
from hyperhive.hive.hive import Hive
from hyperhive.hive.roster import Agent
from hyperhive.names import OPERATOR
from hyperhive.shapes import (
    AckAnswer,
    AckRequest,
    AgentRow,
    AgentsAnswer,
    AuditAnswer,
    EventsAnswer,
    MessagesAnswer,
    PageUrl,
    Sent,
    StateSnapshot,
)
from hyperhive.store import audit, events, messages
from hyperhive.web.answers import make_app
from hyperhive.web.api.approvals import add_approvals, open_approvals
from hyperhive.web.api.config import add_config
from hyperhive.web.api.journal import add_journal
from hyperhive.web.api.lifecycle import add_lifecycle
from hyperhive.web.api.page import add_page
from hyperhive.web.api.questions import add_questions, open_questions
from hyperhive.web.api.reading import followed, hive_info, message_page
from hyperhive.web.api.reminders import add_reminders
from hyperhive.web.api.sessions import add_sessions
from hyperhive.web.api.usage import add_usage
from hyperhive.web.files import add_pages
from hyperhive.wire import Id, OperatorInfo, SendRequest

#: Seconds that an answer waits for an agent's directories to be counted.
_COUNTED: Final = 1.0

Limit = Annotated[int, Query(ge=1, le=2000)]
Before = Annotated[Id | None, Query()]


def operator_app(hive: Hive) -> FastAPI:
    """The application behind the dashboard's port and host.sock."""
    app = make_app("hyperhive operator API")
    _add_overview(app, hive)
    _add_agents(app, hive)
    add_journal(app, hive)
    add_page(app, hive)
    add_sessions(app, hive)
    add_usage(app, hive)
    add_lifecycle(app, hive)
    _add_messages(app, hive)
    add_questions(app, hive)
    add_reminders(app, hive)
    add_approvals(app, hive)
    add_config(app, hive)
    _add_dead_letters(app, hive)
    _add_history(app, hive)
    add_pages(app)
    return app


def _row(hive: Hive, agent: Agent) -> AgentRow:
    return hive.roster.row(agent, hive.broker.unread(agent.name))


def _add_overview(app: FastAPI, hive: Hive) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        """Whether the hive answers; no details, no token."""
        return {"ok": True}

    @app.get("/api/state")
    async def state() -> StateSnapshot:
        """Everything at one instant; follow the stream from its `seq` on."""
        # The number first: what happens while the messages are read comes again with the stream, which harms nobody.
        seq = hive.stream.seq
        recent = await message_page(hive, messages.Filter(limit=100))
        return StateSnapshot(
            epoch=hive.stream.epoch,
            seq=seq,
            hive=hive_info(hive, whole=True),
            operator=OperatorInfo(**hive.settings.operator.model_dump()),
            agents=[_row(hive, agent) for agent in hive.roster.agents.values() if not agent.tombstone],
            messages=recent,
            waiting=hive.waiting.items(),
            questions=await open_questions(hive),
            approvals=await open_approvals(hive),
            warnings=hive.warnings,
            usage=hive.usage_today(),
        )

    @app.get("/api/stream", response_class=StreamingResponse)
    async def stream(since: Before = None, epoch: str | None = None) -> StreamingResponse:
        """Server-sent events: every change after `since`, then as they come."""
        return followed(hive, since, epoch)

    @app.get("/api/dashboard-url")
    async def dashboard_url() -> PageUrl:
        """The page's address with the operator's token in its fragment."""
        return PageUrl(url=f"http://localhost:{hive.settings.dashboard.port}/#token={hive.token}")


def _add_agents(app: FastAPI, hive: Hive) -> None:
    @app.get("/api/agents")
    async def agents() -> AgentsAnswer:
        """All agents, by name."""
        live = [agent for _name, agent in sorted(hive.roster.agents.items()) if not agent.tombstone]
        # Not what holds for as long as this hive runs: that is said once, when it starts.
        news = [warning for warning in hive.warnings if warning not in hive.runtime.warnings]
        return AgentsAnswer(agents=[_row(hive, agent) for agent in live], warnings=news)

    @app.get("/api/agents/{name}")
    async def agent(name: str) -> AgentRow:
        """One agent, with what its directories take on the disk."""
        found = hive.lifecycle.find(name)
        taken = await hive.sizes.of(found.name, hive.layout.of_agent(found.name), _COUNTED)
        return _row(hive, found).model_copy(update={"state_bytes": taken})

    @app.get("/api/agents/{name}/events")
    async def agent_events(name: str, limit: Limit = 200, before: Before = None) -> EventsAnswer:
        """What happened in an agent's turns, newest first."""
        rows = await hive.store.read(events.page, hive.lifecycle.find(name).name, before, limit)
        return EventsAnswer(events=[views.event_row(row) for row in rows])


class OperatorSend(SendRequest):
    """`POST /api/messages`: the operator writes."""

    to: str = Field(max_length=64, description="an agent's name, or * for all")


def _add_messages(app: FastAPI, hive: Hive) -> None:
    @app.post("/api/messages", status_code=201)
    async def send(body: OperatorSend) -> Sent:
        """Write to an agent as the operator; answered once it is on disk."""
        made = await hive.broker.send(
            OPERATOR, body.to, body.body, in_reply_to=body.in_reply_to, idempotency_key=body.idempotency_key
        )
        return Sent(id=made.ids[0], broadcast_id=made.broadcast_id, recipients=list(made.recipients))

    @app.get("/api/messages")
    async def listing(
        agent: str | None = None,
        sender: Annotated[str | None, Query(alias="from")] = None,
        to: str | None = None,
        before: Before = None,
        limit: Limit = 100,
    ) -> MessagesAnswer:
        """Messages, newest first."""
        wanted = messages.Filter(agent=agent, sender=sender, recipient=to, before=before, limit=limit)
        return MessagesAnswer(messages=await message_page(hive, wanted))

    @app.get("/api/inbox")
    async def inbox(limit: Limit = 200) -> MessagesAnswer:
        """What agents wrote to the operator and was not acked, newest first."""
        wanted = messages.Filter(recipient=OPERATOR, state="waiting", limit=limit)
        return MessagesAnswer(messages=await message_page(hive, wanted))

    @app.post("/api/inbox/ack")
    async def ack(body: AckRequest) -> AckAnswer:
        """Take messages out of the operator's inbox."""
        return AckAnswer(acked=await hive.broker.acknowledge(body.ids))


def _add_dead_letters(app: FastAPI, hive: Hive) -> None:
    @app.get("/api/dead-letters")
    async def dead_letters(limit: Limit = 200) -> MessagesAnswer:
        """Messages that failed too often, newest first."""
        return MessagesAnswer(messages=await message_page(hive, messages.Filter(state="dead", limit=limit)))

    @app.post("/api/dead-letters/{number}/requeue")
    async def requeue(number: Id) -> dict[str, Any]:
        """Let a dead letter wait for its agent again."""
        await hive.dead_letters.requeue(number)
        return {"ok": True}

    @app.post("/api/dead-letters/{number}/discard")
    async def discard(number: Id) -> dict[str, Any]:
        """Give a dead letter up."""
        await hive.dead_letters.discard(number)
        return {"ok": True}


def _add_history(app: FastAPI, hive: Hive) -> None:
    @app.get("/api/audit")
    async def audit_log(limit: Limit = 200, before: Before = None) -> AuditAnswer:
        """Who decided what, newest first."""
        rows = await hive.store.read(audit.page, before, limit)
        return AuditAnswer(audit=[views.audit_row(row) for row in rows])
