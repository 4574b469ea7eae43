"""Each row of the outcome table in `docs/turn-loop.md`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hyperhive.errors import HiveError
from hyperhive.harness.outcome import TurnEnd, Verdict, judge, refused
from hyperhive.harness.settings import Timings

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WAITS = Timings()


def ended(**facts: object) -> Verdict:
    return judge(TurnEnd(**facts), NOW, WAITS)  # type: ignore[arg-type]


def failed(text: str, **facts: object) -> Verdict:
    return ended(answered=True, is_error=True, text=text, **facts)


def test_a_good_end_settles() -> None:
    assert ended(answered=True, text="fine") == Verdict(outcome="settled")


@pytest.mark.parametrize("halt", ["cancel", "stop"])
def test_a_turn_that_ended_well_before_the_halt_took_effect_is_settled(halt: str) -> None:
    assert ended(answered=True, halt=halt).outcome == "settled"


@pytest.mark.parametrize("facts", [{"answered": True, "is_error": True}, {"fault": RuntimeError("gone")}])
def test_the_operators_cancel(facts: dict[str, object]) -> None:
    verdict = ended(halt="cancel", **facts)
    assert (verdict.outcome, verdict.park) == ("cancelled", None)


def test_a_stop_returns_the_message() -> None:
    assert ended(halt="stop", fault=RuntimeError("gone")).outcome == "returned"


@pytest.mark.parametrize(
    "facts",
    [{"status": 429}, {"error": "rate_limit"}, {"rate_limited": True}, {"error": "billing_error", "status": 400}],
)
def test_a_limit_without_a_time_rests_for_five_minutes(facts: dict[str, object]) -> None:
    verdict = failed("API Error: Request rejected (429)", **facts)
    assert verdict.outcome == "returned"
    assert verdict.park
    assert (verdict.park.state, verdict.park.until) == ("rate_limited", NOW + timedelta(seconds=300))
    assert "429" in verdict.park.problem


@pytest.mark.parametrize(
    ("named", "until"),
    [
        (NOW + timedelta(hours=3), NOW + timedelta(hours=3)),
        (NOW - timedelta(hours=3), NOW + timedelta(seconds=300)),
        (NOW + timedelta(days=300), NOW + timedelta(seconds=300)),
    ],
)
def test_a_limit_rests_until_the_time_it_names_if_that_makes_sense(named: datetime, until: datetime) -> None:
    verdict = failed("limit", rate_limited=True, status=429, resets_at=named)
    assert verdict.park
    assert verdict.park.until == until


@pytest.mark.parametrize("facts", [{"status": 529}, {"error": "server_error"}])
def test_an_overloaded_api_rests_for_a_minute(facts: dict[str, object]) -> None:
    verdict = failed("API Error: 529 Overloaded. This is a server-side issue", **facts)
    assert verdict.outcome == "returned"
    assert verdict.park
    assert verdict.park.until == NOW + timedelta(seconds=60)


@pytest.mark.parametrize(
    "facts",
    [
        {"status": 500, "error": "server_error", "text": "API Error: 500 Internal server error"},
        {"status": 502, "error": "server_error", "text": "API Error: 502 Bad Gateway"},
        {"status": 524, "error": "server_error", "text": "API Error: 524 A timeout occurred"},
        {"status": 408, "error": "unknown", "text": "API Error: 408 Request Timeout"},
        {"error": "server_error", "text": "API Error: Can't reach the API server (ENOTFOUND)"},
        {"error": "unknown", "text": "API Error: API returned an empty or malformed response (HTTP 200)"},
    ],
)
def test_where_nobody_answers_or_somebody_else_the_message_is_not_counted(facts: dict[str, object]) -> None:
    verdict = failed(**facts)  # type: ignore[arg-type]
    assert verdict.outcome == "returned"
    assert verdict.park
    assert (verdict.park.state, verdict.park.scope) == ("rate_limited", "endpoint")


REFUSALS = [
    {"status": 401, "text": "Invalid API key"},
    {"status": 403, "text": "OAuth token revoked"},
    {"text": "Not logged in · Please run /login"},
    {"error": "authentication_failed", "text": "whatever"},
]


@pytest.mark.parametrize("facts", REFUSALS)
def test_a_refused_login_is_tried_once_more(facts: dict[str, object]) -> None:
    verdict = ended(answered=True, is_error=True, login="file", **facts)
    assert verdict.again == "login"
    assert verdict.park is None


@pytest.mark.parametrize("facts", REFUSALS)
def test_a_login_refused_twice_waits_for_another_one(facts: dict[str, object]) -> None:
    verdict = ended(answered=True, is_error=True, login="file", tried=frozenset({"login"}), **facts)
    assert (verdict.outcome, verdict.again) == ("returned", None)
    assert verdict.park
    assert (verdict.park.state, verdict.park.until) == ("needs_login", None)
    assert str(facts["text"]) in verdict.park.problem


def test_a_refused_login_from_the_environment_is_tried_again_after_a_while() -> None:
    verdict = failed("Invalid API key", status=401, login="environment", tried=frozenset({"login"}))
    assert verdict.park
    assert verdict.park.state == "needs_login"
    assert verdict.park.until == NOW + timedelta(seconds=300)
    assert "environment" in verdict.park.problem


def test_a_missing_program_returns_the_message_and_shows_where_it_was_looked_for() -> None:
    fault = HiveError("claude_not_found", "there is no claude program: none on the PATH (/bin)")
    verdict = ended(fault=fault)
    assert verdict.outcome == "returned"
    assert verdict.park
    assert verdict.park.state == "idle"
    assert verdict.park.until == NOW + timedelta(seconds=30)
    assert "/bin" in verdict.park.problem


def test_a_refused_model_is_the_agents_problem_and_keeps_the_message() -> None:
    verdict = failed("There's an issue with the selected model (x).", status=404, error="model_not_found")
    assert verdict.outcome == "returned"
    assert verdict.park
    assert (verdict.park.state, verdict.park.until) == ("idle", NOW + timedelta(seconds=300))
    assert "selected model (x)" in verdict.park.problem


@pytest.mark.parametrize(
    "facts", [{"terminal_reason": "prompt_too_long", "text": "x"}, {"text": "Prompt is too long · 400"}]
)
def test_a_conversation_that_is_too_long_is_shortened_once_and_then_fails(facts: dict[str, object]) -> None:
    assert ended(answered=True, is_error=True, status=400, **facts).again == "compact"
    again = ended(answered=True, is_error=True, status=400, tried=frozenset({"compact"}), **facts)
    assert (again.outcome, again.again, again.reason) == ("failed", None, facts["text"])


@pytest.mark.parametrize(("minutes", "said"), [(60, "60 minutes"), (1, "1 minute "), (0.5, "0.5 minutes")])
def test_a_turn_that_takes_too_long_fails_with_the_setting_as_its_reason(minutes: float, said: str) -> None:
    verdict = ended(halt="overtime", fault=RuntimeError("gone"), minutes=minutes)
    assert verdict.outcome == "failed"
    assert f"longer than {said}".strip() in str(verdict.reason)
    assert "maxTurnMinutes" in str(verdict.reason)


@pytest.mark.parametrize("status", [400, 404, 409, 499, None])
def test_any_other_error_fails_with_its_text(status: int | None) -> None:
    verdict = failed("API Error: something else", status=status)
    assert (verdict.outcome, verdict.park) == ("failed", None)
    assert verdict.reason == "API Error: something else"


def test_a_killed_process_fails_with_the_last_lines_of_stderr() -> None:
    lines = tuple(f"line {number}" for number in range(30))
    verdict = ended(fault=RuntimeError("exit code -9"), stderr=lines)
    assert verdict.outcome == "failed"
    assert verdict.reason
    assert verdict.reason.splitlines() == ["exit code -9", *lines[-20:]]


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("API Error: Haiku can't help with this. Start a new session to continue", True),
        (
            "API Error: Claude Code is unable to respond to this request, which appears to violate our Usage Policy",
            True,
        ),
        ("API Error: something else", False),
    ],
)
def test_a_refusal_of_the_model_is_known_in_the_words_of_old_programs_too(text: str, is_one: bool) -> None:  # noqa: FBT001
    assert refused(TurnEnd(answered=True, is_error=True, text=text)) == is_one


def test_a_reason_fits_the_wire() -> None:
    verdict = ended(fault=RuntimeError("x" * 9000), stderr=("y" * 9000,) * 20)
    assert verdict.reason
    assert len(verdict.reason) <= 4000


def test_an_error_without_words_still_has_a_reason() -> None:
    assert failed("", terminal_reason="max_turns").reason == "max_turns"
    assert failed("").reason
