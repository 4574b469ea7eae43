"""What agents use, and their budgets."""

from __future__ import annotations

from pydantic import Field

from hyperhive.clock import Instant
from hyperhive.wire import Answer, Request


class Spent(Answer):
    """What was used: turns, tokens and dollars.

    `failed` did not end well; what was refused before anything was used, at a limit or without a login, is failed and
    no turn. `lost` are turns whose harness died before it could report: what they used is not known.
    """

    turns: int = 0
    failed: int = 0
    lost: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0


class UsageSum(Spent):
    """What an agent has used in all its turns; how full its context was after the last one."""

    context_tokens: int | None = None
    context_window: int | None = None


class BudgetPart(Answer):
    """One of a budget's limits: what was used today of what is allowed. `raised`: the operator changed it for today."""

    used: float
    allowed: float
    raised: bool = False


class BudgetRow(Answer):
    """A budget and how much of it is used today. `share` is of the limit that most is used of; at 1 no turn begins.

    Tokens are those that were sent, written to the cache or received, not those that were read again from the cache.
    `until` is when the next day begins.
    """

    usd: BudgetPart | None = None
    tokens: BudgetPart | None = None
    turns: BudgetPart | None = None
    share: float
    until: Instant


class HiveUsage(Answer):
    """What the whole hive has used today, and its budget, if it has one; the stream's type `usage` carries it, too."""

    today: Spent = Field(default_factory=Spent)
    budget: BudgetRow | None = None


class UsageRow(Spent):
    """What one agent used on one day with one model. Of purged agents only the sum is known, under `(purged)`."""

    day: str
    agent: str
    model: str


class UsageAnswer(Answer):
    """`GET /api/usage`, newest day first; `total` is the sum of the rows. `day` is today, in `timezone`.

    `today` and `budget` are those of the agent that was asked for, else of the hive.
    """

    timezone: str
    day: str
    until: Instant
    usage: list[UsageRow]
    total: Spent
    today: Spent
    budget: BudgetRow | None = None


class TodaysBudget(Request):
    """What is allowed for the rest of the day instead of what the settings say; null is as they say."""

    usd: float | None = Field(None, ge=0, le=1e9)
    tokens: int | None = Field(None, ge=0, le=10**15)
    turns: int | None = Field(None, ge=0, le=10**15)


class BudgetRequest(Request):
    """`POST /api/agents/{n}/budget`, for the hive `POST /api/budget`; what is not named stays as it is."""

    today: TodaysBudget


class BudgetAnswer(Answer):
    """How the budget stands now."""

    budget: BudgetRow | None = None
