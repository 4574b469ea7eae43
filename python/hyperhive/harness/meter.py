"""What a turn used, in tokens and dollars: pure arithmetic on what `claude` says.

Claude's totals are cumulative: over the turns of one process, and mostly over its resumed successors too. What a turn
used is therefore a difference of totals. It counts all models, subagents and a response that was broken off, which
`usage` of a result leaves out. A turn that ended without a result is counted by the responses that were seen of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hyperhive.wire import Usage

#: What a token of each kind costs, in tokens of input; the same for all models of Anthropic's price list.
_WEIGHTS: Final = (1.0, 5.0, 0.1, 1.25)
_LARGEST: Final = 2**53


class Tokens(NamedTuple):
    """Tokens by kind."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    @property
    def weight(self) -> float:
        """As many tokens of input cost the same."""
        return sum(weight * count for weight, count in zip(_WEIGHTS, self, strict=True))

    def plus(self, other: Tokens) -> Tokens:
        """The sum."""
        return Tokens(*map(sum, zip(self, other, strict=True)))

    def less(self, other: Tokens) -> Tokens:
        """The difference, never below nothing."""
        return Tokens(*(max(one - two, 0) for one, two in zip(self, other, strict=True)))


class Total(NamedTuple):
    """What a conversation has used so far; None where that is not known."""

    cost: float | None = 0.0
    tokens: Tokens | None = Tokens()


class Spent(NamedTuple):
    """What was used since the last look."""

    cost: float = 0.0
    tokens: Tokens = Tokens()


def tokens_of(usage: dict[str, Any] | None) -> Tokens:
    """The tokens of one response, or of one result."""
    keys = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return Tokens(*(_count((usage or {}).get(key)) for key in keys))


def total_of(cost: float | None, model_usage: dict[str, Any] | None) -> Total:
    """The running totals that a result carries; programs that are old leave `model_usage` out."""
    keys = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
    each = [about for about in (model_usage or {}).values() if isinstance(about, dict)]
    parts = [Tokens(*(_count(about.get(key)) for key in keys)) for about in each]
    return Total(cost, combined(parts) if parts else None)


def combined(parts: Iterable[Tokens]) -> Tokens:
    """The sum of all."""
    whole = Tokens()
    for part in parts:
        whole = whole.plus(part)
    return whole


def spent(before: Total, now: Total, turn: Tokens) -> Spent:
    """What was added between two totals.

    A process that resumes a conversation goes on with its totals only if its predecessor ended properly; otherwise they
    begin anew. `turn`, the tokens of the last result alone, tells which it was.

    Args:
        before: as they were, the start of a conversation being nothing.
        now: as they are.
        turn: what the last result says of its own turn.
    """
    if before.tokens is None or now.tokens is None:
        return Spent(_cost(before.cost, now.cost, anew=False), turn)
    anew = sum(now.tokens) < sum(before.tokens) + sum(turn)
    tokens = now.tokens if anew else now.tokens.less(before.tokens)
    return Spent(_cost(before.cost, now.cost, anew=anew), tokens)


def _cost(before: float | None, now: float | None, *, anew: bool) -> float:
    if now is None or (before is None and not anew):
        return 0.0
    return now if anew or before is None or now < before else now - before


def add(usage: Usage, more: Spent) -> None:
    """Add to the usage of a turn."""
    usage.input_tokens += more.tokens.input
    usage.output_tokens += more.tokens.output
    usage.cache_read_tokens += more.tokens.cache_read
    usage.cache_write_tokens += more.tokens.cache_write
    usage.cost_usd += more.cost


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < _LARGEST else 0
