"""The part of the operator API about what agents use, and what they may use."""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
from typing import Annotated, Any

from fastapi import FastAPI, Query
from starlette.responses import Response

from hyperhive.errors import HiveError
from hyperhive.hive.budgets import HIVE
from hyperhive.hive.hive import Hive
from hyperhive.hive.usage import spent, sums_of
from hyperhive.names import nearest
from hyperhive.shapes import BudgetAnswer, BudgetRequest, UsageAnswer, UsageRow
from hyperhive.store import usage
from hyperhive.store.usage import PURGED, Sums
from hyperhive.web.metrics import CONTENT_TYPE, Metrics

Number = Annotated[int, Query(ge=1, le=3660)]


def add_usage(app: FastAPI, hive: Hive) -> None:
    """Add those routes. Before the actions, whose route takes every word."""
    figures = Metrics(hive)

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """The hive's figures in Prometheus' text format."""
        return Response(figures.text(), media_type=CONTENT_TYPE)

    @app.get("/api/usage")
    async def listing(days: Number = 7, agent: str | None = None) -> UsageAnswer:
        """What was used on the last days, today included, by day, agent and model."""
        if agent is not None:
            _known(hive, agent)
        ledger, now = hive.ledger, hive.clock()
        ledger.roll()
        rows = await hive.store.read(usage.days, ledger.days.before(now, days - 1), agent)
        return UsageAnswer(
            timezone=ledger.days.name,
            day=ledger.day,
            until=ledger.days.end(now),
            usage=[_row(row) for row in rows],
            total=spent(sum((sums_of(row) for row in rows), Sums())),
            today=spent(ledger.hive_today if agent is None else ledger.today(agent)),
            budget=hive.budgets.row(agent or HIVE),
        )

    @app.post("/api/budget")
    async def whole(body: BudgetRequest) -> BudgetAnswer:
        """Allow the hive something else for the rest of today."""
        return BudgetAnswer(budget=await hive.budgets.set_today(HIVE, body.today))

    @app.post("/api/agents/{name}/budget")
    async def own(name: str, body: BudgetRequest) -> BudgetAnswer:
        """Allow an agent something else for the rest of today; what waits for it goes on at once."""
        agent = hive.lifecycle.find(name)
        return BudgetAnswer(budget=await hive.budgets.set_today(agent.name, body.today))


def _known(hive: Hive, name: str) -> None:
    if name != PURGED and name not in hive.roster.agents:
        near = nearest(name, list(hive.roster.agents))
        hint = f"Did you mean {' or '.join(near)}?" if near else "See: hyperhive list"
        raise HiveError("unknown_agent", f"there is no agent {name!r}", hint, nearest=near)


def _row(row: Any) -> UsageRow:  # noqa: ANN401 - a row of the store
    return UsageRow(day=row.day, agent=row.agent, model=row.model, **spent(sums_of(row)).model_dump())
