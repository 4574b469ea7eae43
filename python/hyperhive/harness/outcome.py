"""What the end of a turn means for its messages and for the harness: a pure function over a table of rules.

`judge` takes the facts of the end, `TurnEnd`, and answers with a `Verdict`: the outcome for the hive, a reason for
people, and what the harness does next. The first rule that fits decides. `docs/turn-loop.md` shows the table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hyperhive.harness.settings import Timings
    from hyperhive.wire import LimitScope, OutcomeKind, TurnState

#: Lines of stderr that the reason of a failure carries.
STDERR_LINES: Final = 20
#: Characters of a reason; the wire takes 4,000.
_REASON: Final = 3900
#: A reset further away than this is a mistake or a mischief, not a time to wait for.
_LONGEST_LIMIT: Final = timedelta(days=8)

#: What Claude says when the model declines: the newest programs, and the oldest that are supported.
_REFUSALS: Final = ("Start a new session to continue", "unable to respond to this request, which appears to violate")

Halt = Literal["cancel", "stop", "overtime"]
"""Why a turn was made to end: the operator's cancel, the harness is stopping, it took longer than it may."""

Remedy = Literal["login", "compact"]
"""What is done before the same turn is tried once more: read the login anew, shorten the conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnd:
    """The facts of how a turn ended. Without a result, `answered` is False and `fault` says what was seen instead."""

    answered: bool = False
    is_error: bool = False
    status: int | None = None
    """HTTP status of the API's refusal."""
    error: str | None = None
    """Claude's own word for the kind of error."""
    terminal_reason: str | None = None
    text: str = ""
    rate_limited: bool = False
    """A rate limit event said `rejected` in this turn."""
    resets_at: datetime | None = None
    halt: Halt | None = None
    fault: BaseException | None = None
    stderr: tuple[str, ...] = ()
    tried: frozenset[Remedy] = frozenset()
    """What was done already before this try."""
    minutes: float | None = None
    """What the turn may take."""
    login: Literal["environment", "file"] | None = None
    """Where the login came from that this turn used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Park:
    """Take no message until `until`, or until the login changes, and say why."""

    state: TurnState
    problem: str
    until: datetime | None = None
    scope: LimitScope | None = None
    """Whose limit it is, where it is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome, why, and what comes next: go on, park, or apply a remedy and try the same turn once more."""

    outcome: OutcomeKind
    reason: str | None = None
    park: Park | None = None
    again: Remedy | None = None


def _well(end: TurnEnd) -> bool:
    return end.answered and not end.is_error


def _refused_login(end: TurnEnd) -> bool:
    return end.error == "authentication_failed" or end.status in {401, 403} or end.text.startswith("Not logged in")


def _limited(end: TurnEnd) -> bool:
    return end.status == 429 or end.error == "rate_limit" or (end.rate_limited and end.is_error)  # noqa: PLR2004


def _overloaded(end: TurnEnd) -> bool:
    return end.status == 529 or (end.is_error and bool(re.search(r"\b529\b|overloaded_error", end.text)))  # noqa: PLR2004


def too_long(end: TurnEnd) -> bool:
    """Whether the model could not take the conversation, because it has grown too long, or too large by its images."""
    said = end.is_error and end.text.startswith("Prompt is too long")
    return said or end.terminal_reason == "prompt_too_long" or end.status == 413  # noqa: PLR2004


def refused(end: TurnEnd) -> bool:
    """Whether the model declined to go on; it may do so again as long as the conversation is the same."""
    return end.is_error and any(words in end.text for words in _REFUSALS)


def _unreachable(end: TurnEnd) -> bool:
    """No answer, or one that says that who should answer is not there. What the message says has no part in it."""
    # Claude's words for a page of somebody else under the endpoint's name: a hotel's sign-in, a proxy's error.
    somebody_else = end.is_error and end.status is None and "empty or malformed response" in end.text
    # Any 5xx, and 408: claude has tried ten times by then, over minutes, and nothing was said of the message.
    broken = end.status is not None and (end.status >= 500 or end.status == 408)  # noqa: PLR2004
    return broken or (end.error == "server_error" and end.status is None) or somebody_else


def _no_claude(end: TurnEnd) -> bool:
    return isinstance(end.fault, HiveError) and end.fault.code == "claude_not_found"


def _settled(_end: TurnEnd, _now: datetime, _timings: Timings) -> Verdict:
    return Verdict(outcome="settled")


def _cancelled(_end: TurnEnd, _now: datetime, _timings: Timings) -> Verdict:
    return Verdict(outcome="cancelled", reason="cancelled by the operator")


def _stopped(_end: TurnEnd, _now: datetime, _timings: Timings) -> Verdict:
    return Verdict(outcome="returned", reason="the harness was stopped during the turn")


def _rest_until_login(end: TurnEnd, now: datetime, timings: Timings) -> Verdict:
    if "login" not in end.tried:
        return Verdict(outcome="returned", reason=_what(end), again="login")
    if end.login == "environment":
        problem = f"The login from the agent's environment or credentials was refused: {_what(end)}. It is tried again"
        park = Park(state="needs_login", problem=problem, until=now + timedelta(seconds=timings.login_retry))
    else:
        park = Park(state="needs_login", problem=f"The login was refused: {_what(end)}. Log this agent in again")
    return Verdict(outcome="returned", reason=_what(end), park=park)


def _rest_until_reset(end: TurnEnd, now: datetime, timings: Timings) -> Verdict:
    until = end.resets_at
    if until is None or not now < until <= now + _LONGEST_LIMIT:
        until = now + timedelta(seconds=timings.rate_limit)
    park = Park(state="rate_limited", problem=_what(end), until=until, scope="account")
    return Verdict(outcome="returned", reason=_what(end), park=park)


def _rest_a_little(end: TurnEnd, now: datetime, timings: Timings) -> Verdict:
    until = now + timedelta(seconds=timings.overloaded)
    park = Park(state="rate_limited", problem=_what(end), until=until, scope="endpoint")
    return Verdict(outcome="returned", reason=_what(end), park=park)


def _rest_until_other_model(end: TurnEnd, now: datetime, timings: Timings) -> Verdict:
    problem = f"The API refuses the model: {_what(end)}. Choose another one"
    until = now + timedelta(seconds=timings.model_retry)
    return Verdict(outcome="returned", reason=_what(end), park=Park(state="idle", problem=problem, until=until))


def _look_again(end: TurnEnd, now: datetime, timings: Timings) -> Verdict:
    until = now + timedelta(seconds=timings.no_claude)
    return Verdict(outcome="returned", reason=_what(end), park=Park(state="idle", problem=_what(end), until=until))


def _overtime(end: TurnEnd, _now: datetime, _timings: Timings) -> Verdict:
    limit = f"{end.minutes:g} minute{'' if end.minutes == 1 else 's'}" if end.minutes else "its time"
    return Verdict(outcome="failed", reason=f"the turn took longer than {limit} (maxTurnMinutes) and was interrupted")


def _shorten(end: TurnEnd, now: datetime, timings: Timings) -> Verdict:
    if "compact" in end.tried:
        return _failed(end, now, timings)
    return Verdict(outcome="failed", reason=_what(end), again="compact")


def _failed(end: TurnEnd, _now: datetime, _timings: Timings) -> Verdict:
    lines = [_what(end), *end.stderr[-STDERR_LINES:]]
    return Verdict(outcome="failed", reason="\n".join(lines)[:_REASON])


#: The rules, in order: the first that fits decides.
RULES: Final[tuple[tuple[Callable[[TurnEnd], bool], Callable[[TurnEnd, datetime, Timings], Verdict]], ...]] = (
    (_well, _settled),
    (lambda end: end.halt == "cancel", _cancelled),
    (lambda end: end.halt == "stop", _stopped),
    (lambda end: end.halt == "overtime", _overtime),
    (_no_claude, _look_again),
    (_limited, _rest_until_reset),
    (lambda end: end.error == "billing_error", _rest_until_reset),
    (_overloaded, _rest_a_little),
    (_unreachable, _rest_a_little),
    (lambda end: end.error == "model_not_found", _rest_until_other_model),
    (_refused_login, _rest_until_login),
    (too_long, _shorten),
    (lambda _end: True, _failed),
)


def judge(end: TurnEnd, now: datetime, timings: Timings) -> Verdict:
    """Decide what the end of a turn means."""
    rule = next(decide for fits, decide in RULES if fits(end))
    return rule(end, now, timings)


def _what(end: TurnEnd) -> str:
    """The end in one line for people."""
    if end.fault is not None:
        what = str(end.fault) or type(end.fault).__name__
    else:
        what = end.text.strip() or end.terminal_reason or "Claude ended the turn with an error and no explanation"
    return what[: _REASON // 4]
