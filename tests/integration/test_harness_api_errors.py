"""Each way in which the API may answer, with the real `claude`: the message, the state and the events that follow."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from harness_place import QUICK, Place, place

from hyperhive.clock import utc_now

if TYPE_CHECKING:
    from pathlib import Path

RESETS = int(utc_now().timestamp()) + 3600


def refusal(status: int, message: str = "no", *, times: int = 99, **headers: str) -> dict[str, Any]:
    """A refusal of the API; `retry_after` is the header `retry-after`."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return {"error": {"status": status, "message": message, "headers": named}, "times": times}


def unified(status: str, utilization: str) -> dict[str, str]:
    """The headers that tell of the limits of a subscription."""
    window = "anthropic-ratelimit-unified"
    return {
        f"{window}-status": status,
        f"{window}-reset": str(RESETS),
        f"{window}-representative-claim": "five_hour",
        f"{window}-5h-status": status,
        f"{window}-5h-reset": str(RESETS),
        f"{window}-5h-utilization": utilization,
        f"{window}-5h-surpassed-threshold": "0.9",
    }


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: what the API does.
        steps: how the model plays that.
        outcome: the first outcome of the message.
        state: the state afterwards, and whose limit it is.
        says: in the reason of the outcome, and in the problem, if the agent rests.
        notes: in the notes of the turn.
        login: with which login, `key`, `token` or `stored`.
        requests: how often the API is asked in the first turn.
    """

    name: str
    steps: list[Any]
    outcome: str
    state: str = "idle"
    scope: str | None = None
    says: str = ""
    notes: list[str] = field(default_factory=list)
    login: str = "key"
    requests: int | None = None


LIMIT = {"error": {"status": 429, "message": "limit", "headers": unified("rejected", "1")}, "times": 1}
#: In the words of the newest program, and of the oldest that is supported.
_USED_UP = "5-hour limit|session limit"
RETRY = "the API answered 529; try 1 of 1 failed"

ROWS = [
    Row("401", [refusal(401)], "returned", "needs_login", says="401", notes=["login was refused"], requests=2),
    Row("401-token", [refusal(401)], "returned", "needs_login", says="401", login="token"),
    Row("401-stored", [refusal(401)], "returned", "needs_login", says="Log this agent in again", login="stored"),
    Row(
        "403-revoked",
        [refusal(403, "OAuth token has been revoked. Please obtain a new token.")],
        "returned",
        "needs_login",
        says="OAuth token revoked|does not have access to Claude",
    ),
    Row(
        "429-soon",
        [refusal(429, times=1, retry_after="1"), "after all"],
        "settled",
        notes=["the API answered 429"],
        requests=2,
    ),
    Row("429-late", [refusal(429, retry_after="3600")], "returned", "rate_limited", "account", "429", requests=1),
    Row("429-used-up", [LIMIT, "ok"], "returned", "rate_limited", "account", _USED_UP, ["is used up"], "token"),
    Row(
        "200-nearly-used-up",
        [{"headers": unified("allowed_warning", "0.9")}, "ok"],
        "settled",
        notes=["is nearly used up"],
        login="token",
    ),
    Row("529", [refusal(529)], "returned", "rate_limited", "endpoint", "529", [RETRY], requests=2),
    Row("529-recovers", [refusal(529, times=1), "after all"], "settled", notes=[RETRY], requests=2),
    Row("500", [refusal(500)], "returned", "rate_limited", "endpoint", "500", ["the API answered 500"], requests=2),
    Row("502", [refusal(502)], "returned", "rate_limited", "endpoint", "502", requests=2),
    Row("503", [refusal(503)], "returned", "rate_limited", "endpoint", "503", requests=2),
    Row("504", [refusal(504)], "returned", "rate_limited", "endpoint", "504", requests=2),
    Row(
        "dropped",
        [{"drop": True, "times": 99}],
        "returned",
        "rate_limited",
        "endpoint",
        "Connection dropped|ECONNRESET",
    ),
    Row("dropped-once", [{"drop": True, "times": 1}, "ok"], "settled", notes=["answered no connection"], requests=2),
    Row("400", [refusal(400, "something else")], "failed", says="something else"),
    Row(
        "400-credit",
        [refusal(400, "Your credit balance is too low to access the Anthropic API.")],
        "returned",
        "rate_limited",
        "account",
        "Credit balance is too low",
    ),
    Row("404-model", [refusal(404, "model: claude-none")], "returned", says="refuses the model"),
    Row("413", [refusal(413, "Request too large")], "failed", says="Request too large", notes=["shorter conversation"]),
    Row("error-in-stream", ["half", refusal(529, times=1), "the rest"], "settled"),
    Row("max-tokens", ["part one", {"stop": "max_tokens"}, "part two"], "settled", requests=2),
    Row(
        "refusal",
        [{"stop": "refusal"}, {"stop": "refusal"}],
        "failed",
        says="can't help with this|unable to respond to this request",
    ),
]


def log_in(here: Place, login: str) -> None:
    """Give the agent a login of this kind."""
    environment = {key: value for key, value in here.hive.me.environment.items() if key != "ANTHROPIC_API_KEY"}
    if login == "key":
        return
    if login == "token":
        environment["CLAUDE_CODE_OAUTH_TOKEN"] = "made-up-token"
    else:
        tokens = {"accessToken": "made-up", "refreshToken": "made-up", "expiresAt": (RESETS + 9000) * 1000}
        scopes = {"scopes": ["user:inference"], "subscriptionType": "max", "refreshTokenExpiresAt": RESETS * 1000}
        stored = here.root / "claude" / ".credentials.json"
        stored.write_text(json.dumps({"claudeAiOauth": {**tokens, **scopes}}))
    here.set(environment=environment)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_row(tmp_path: Path, row: Row) -> None:
    async with place(tmp_path, {"when": "hello", "steps": row.steps}) as here:
        # The rest that follows is not waited for here.
        here.timings = replace(QUICK, rate_limit=60, overloaded=60, login_retry=60, model_retry=60)
        log_in(here, row.login)
        here.start()
        number = await here.hive.put("hello")
        assert await here.outcomes(1) == [row.outcome]
        await here.hive.until(lambda: here.hive.data("turn_end") and ended(here) == row.state)
        assert here.hive.outcomes[0].ids == [number]
        report = here.hive.reported(state=row.state)[-1]
        assert report["limitScope"] == row.scope
        reason = str(here.hive.outcomes[0].reason)
        assert re.search(row.says, reason + str(report["problem"]))
        rests = row.outcome == "returned"
        assert bool(report["problem"]) == rests
        assert bool(report["until"]) == (rests and row.login != "stored")
        notes = [note["text"] for note in here.hive.data("note")]
        for words in row.notes:
            assert any(words in note for note in notes), notes
        end = here.hive.data("turn_end")[0]
        assert (end["ok"], end["outcome"]) == (row.outcome == "settled", row.outcome)
        assert end["ok"] or end["note"] in reason
        assert row.requests in {None, here.model.count("alice")}
        assert [delivery.id for delivery in here.hive.queue] == ([number] if rests else [])
        if row.login == "stored":
            assert [one["loginExpiresAt"] for one in here.hive.reports if one.get("loginExpiresAt")]


def ended(here: Place) -> str | None:
    """The state after the end of the first turn."""
    ends = [index for index, report in enumerate(here.hive.reports) if report.get("lastTurn")]
    after = [report["state"] for report in here.hive.reports[ends[0] :] if report.get("state")] if ends else []
    return after[-1] if after and after[-1] != "thinking" else None


async def test_without_any_credential_no_message_is_taken_and_the_api_is_not_asked(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.set(environment={"ANTHROPIC_BASE_URL": here.model.base_url("alice")})
        here.start()
        await here.hive.put("hello")
        await here.hive.until(lambda: here.hive.reported(state="needs_login"))
        assert "not logged in" in here.hive.reported(state="needs_login")[0]["problem"]
        assert (here.model.count("alice"), here.hive.receiving, len(here.hive.queue)) == (0, 0, 1)


async def test_an_endpoint_that_is_not_there_costs_no_message(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    async with place(tmp_path) as here:
        before = here.hive.me.environment
        here.set(environment=before | {"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}"})
        here.start()
        await here.hive.put("hello")
        assert await here.outcomes(1) == ["returned"]
        await here.hive.until(lambda: here.hive.reported(state="rate_limited", limitScope="endpoint"))
        assert re.search("ECONNREFUSED|ConnectionRefused", here.hive.reported(state="rate_limited")[0]["problem"])
        here.set(environment=before)
        await here.hive.until(lambda: here.hive.outcomes[-1].outcome == "settled")
        assert {request.outcome for request in here.hive.outcomes[:-1]} == {"returned"}


async def test_a_conversation_that_the_model_refuses_twice_in_a_row_is_given_up(tmp_path: Path) -> None:
    async with place(tmp_path, {"when": "bad", "steps": [{"stop": "refusal"}, {"stop": "refusal"}]}) as here:
        here.start()
        for count in (1, 2):
            await here.hive.put("bad")
            assert await here.outcomes(count) == ["failed"] * count
        await here.hive.until(lambda: here.hive.data("session_new"))
        await here.hive.put("good")
        await here.outcomes(3)
        assert "the model refused to go on with it" in here.model.requests[-1].prompt
        assert "bad" not in str(here.model.requests[-1].body)
