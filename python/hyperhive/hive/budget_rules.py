"""What a budget allows on a day and what is left of it: pure, so that every bound can be tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hyperhive.shapes import BudgetPart, BudgetRow

if TYPE_CHECKING:
    from datetime import datetime

    from hyperhive.config import Budget
    from hyperhive.store.usage import BudgetDay, Sums

#: The share of a budget at which the operator is told that little is left.
WARN_AT: Final = 0.8
#: The largest share that is told.
_MOST: Final = 1000.0
MICROS: Final = 1_000_000
KINDS: Final = ("usd", "tokens", "turns")


def counted_tokens(sums: Sums) -> int:
    """Tokens as budgets count them: what was read again from the cache, a tenth of the price, would hide the rest."""
    return sums.input_tokens + sums.output_tokens + sums.cache_write_tokens


def budget_row(declared: Budget, today: BudgetDay | None, sums: Sums, until: datetime) -> BudgetRow | None:
    """How a budget stands; None where there is none.

    Args:
        declared: what the settings allow a day.
        today: what the operator changed for today.
        sums: what was used today.
        until: when the day ends.
    """
    used = {"usd": sums.cost_micros / MICROS, "tokens": counted_tokens(sums), "turns": sums.turns}
    raised = {
        "usd": None if today is None or today.cost_micros is None else today.cost_micros / MICROS,
        "tokens": today and today.tokens,
        "turns": today and today.turns,
    }
    parts: dict[str, BudgetPart] = {}
    for kind in KINDS:
        allowed = getattr(declared, kind) if raised[kind] is None else raised[kind]
        if allowed is not None:
            parts[kind] = BudgetPart(used=used[kind], allowed=allowed, raised=raised[kind] is not None)
    if not parts:
        return None
    return BudgetRow(**parts, share=max(share_of(part) for part in parts.values()), until=until)


def share_of(part: BudgetPart) -> float:
    """What is used of one limit: 1 and more where nothing is left."""
    if part.used >= part.allowed:
        # Of a limit near nothing, the share could be a number that JSON does not know.
        return 1.0 if part.allowed == 0 else max(1.0, min(part.used / part.allowed, _MOST))
    return min(part.used / part.allowed, 1.0 - 1e-9)


def is_over(row: BudgetRow) -> bool:
    """Whether no turn may begin."""
    return row.share >= 1


def in_words(row: BudgetRow) -> str:
    """The limits of which at least as much is used as makes a warning, for example `3 of 3 turns`."""
    said = []
    for kind in KINDS:
        part: BudgetPart | None = getattr(row, kind)
        if part is not None and share_of(part) >= WARN_AT:
            said.append(_part(kind, part))
    return " and ".join(said)


def _part(kind: str, part: BudgetPart) -> str:
    if kind == "usd":
        return f"{part.used:.2f} of {part.allowed:.2f} USD"
    return f"{part.used:,.0f} of {part.allowed:,.0f} {kind}"
