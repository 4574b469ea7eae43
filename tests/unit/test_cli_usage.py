"""The commands about usage and budgets, and the library's methods, against a stand-in operator API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from operator_stand_in import AT, StandIn, agent, served
from starlette.responses import PlainTextResponse

from hyperhive.cli import main
from hyperhive.cli.usage import budget_words, tokens
from hyperhive.client import HiveClient
from hyperhive.errors import HiveError

_NOTHING = {
    "turns": 0, "failed": 0, "lost": 0, "inputTokens": 0, "outputTokens": 0, "cacheReadTokens": 0,
    "cacheWriteTokens": 0, "costUsd": 0.0,
}  # fmt: skip
_BUDGET = {
    "usd": {"used": 1.25, "allowed": 5, "raised": True}, "tokens": None,
    "turns": {"used": 3, "allowed": 200, "raised": False}, "share": 0.25, "until": AT,
}  # fmt: skip


def _row(day: str, name: str, model: str = "haiku", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {**_NOTHING, "day": day, "agent": name, "model": model, "turns": 1, "costUsd": 0.5, **more}


def _answer(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    total = {name: sum(row[name] for row in rows) for name in _NOTHING}
    return {
        "timezone": "UTC", "day": "2026-11-22", "until": AT, "usage": list(rows), "total": total, "today": total,
        "budget": None, "newInALaterVersion": 1, **more,
    }  # fmt: skip


def test_usage_is_shown_with_the_sums_of_each_agent(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/usage"] = _answer(
        _row("2026-11-22", "alice", "claude-haiku", inputTokens=500, cacheWriteTokens=1000, cacheReadTokens=2_500_000),
        _row("2026-11-21", "alice", failed=1, lost=1),
        _row("2026-11-22", "bob", "m\x1b[31mx"),
        budget=_BUDGET,
    )
    assert main(["usage", "--days", "2"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["DAY", "AGENT", "MODEL", "TURNS", "FAILED", "IN", "OUT", "CACHED", "USD"]
    assert lines[1] == ["2026-11-22", "bob", "mx", "1", "0", "0", "0", "0", "0.50"], "newest last, harmless"
    assert lines[2][:5] == ["2026-11-21", "alice", "haiku", "1", "1"]
    assert lines[3] == ["2026-11-22", "alice", "haiku", "1", "0", "1.5k", "0", "2.50M", "0.50"]
    assert lines[4] == ["all", "alice", "2", "1", "1.5k", "0", "2.50M", "1.00"]
    assert lines[6] == ["all", "3", "1", "1.5k", "0", "2.50M", "1.50"]
    said = " ".join(lines[8])
    assert "today, the hive: 3 turns, 1.50 USD; budget: 1.25 of 5.00 USD (for today), 3 of 200 turns" in said
    assert lines[9][:2] == ["1", "turn"]


def test_one_agent_on_one_day_needs_no_sums(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/usage"] = _answer(_row("2026-11-22", "alice"))
    assert main(["usage", "--agent", "alice"]) == 0
    out = capsys.readouterr().out
    assert "all" not in out
    assert "today, alice: 1 turns, 0.50 USD; no budget" in out


def test_nothing_was_used(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/usage"] = _answer()
    assert main(["usage"]) == 0
    assert "Nothing was used in 7 days." in capsys.readouterr().err


def test_usage_as_json_is_the_answer(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    answer = hive.answers["GET /api/usage"] = _answer(_row("2026-11-22", "alice"))
    assert main(["usage", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == answer


@pytest.mark.parametrize(
    ("words", "path", "today"),
    [
        (["alice", "--usd", "5"], "/api/agents/alice/budget", {"usd": 5.0}),
        (["--turns", "0", "--tokens", "9"], "/api/budget", {"turns": 0, "tokens": 9}),
        (["alice", "--declared"], "/api/agents/alice/budget", {"usd": None, "tokens": None, "turns": None}),
    ],
)
def test_a_budget_is_set_for_today(
    hive: StandIn, capsys: pytest.CaptureFixture[str], words: list[str], path: str, today: dict[str, Any]
) -> None:
    hive.answers[f"POST {path}"] = {"budget": _BUDGET}
    assert main(["budget", *words]) == 0
    assert hive.requests[-1] == (f"POST {path}", {"today": today})
    assert "1.25 of 5.00 USD (for today), 3 of 200 turns; a new day begins at" in capsys.readouterr().out


def test_a_budget_is_only_looked_at_without_options(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/usage"] = _answer(budget=None)
    assert main(["budget"]) == 0
    assert capsys.readouterr().out == "the hive: no budget\n"
    assert main(["budget", "alice", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"budget": None}


@pytest.mark.parametrize("words", [["--usd", "1", "--declared"], ["--usd", "-1"], ["--turns", "1.5"], ["Bad/Name"]])
def test_what_is_no_budget_is_bad_input(hive: StandIn, words: list[str]) -> None:
    hive.answers["GET /api/usage"] = HiveError("unknown_agent", "there is no such agent", "See")
    assert main(["budget", *words]) == 2


def test_metrics_are_printed_as_they_are(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /metrics"] = PlainTextResponse("# HELP a b\na 1\n")
    assert main(["metrics"]) == 0
    assert capsys.readouterr().out == "# HELP a b\na 1\n"


def test_the_scrape_config_names_the_port_and_the_file_but_no_token(
    hive: StandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hive.answers["GET /api/dashboard-url"] = {"url": "http://localhost:7100/#token=secret"}
    state = {"hive": {"metricsTokenFile": "/srv/hive/metrics-token"}}
    monkeypatch.setattr(hive, "state", lambda: state)
    assert main(["metrics", "--scrape-config"]) == 0
    out = capsys.readouterr().out
    assert "credentials_file: /srv/hive/metrics-token" in out
    assert 'targets: ["localhost:7100"]' in out
    assert "secret" not in out


def test_an_agent_shows_its_day(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/agents/alice"] = agent("alice", today={**_NOTHING, "turns": 3}, budget=_BUDGET)
    hive.answers["GET /api/agents/alice/events"] = {"events": []}
    assert main(["show", "alice"]) == 0
    assert "3 turns, 0.00 USD; budget: 1.25 of 5.00 USD (for today)" in capsys.readouterr().out


async def test_the_library_reads_and_sets() -> None:
    stand_in = StandIn()
    async with served(stand_in) as socket, HiveClient(socket) as client:
        stand_in.answers["GET /api/usage"] = _answer(_row("2026-11-22", "alice"), budget=_BUDGET)
        stand_in.answers["POST /api/agents/alice/budget"] = {"budget": _BUDGET}
        stand_in.answers["POST /api/budget"] = {"budget": None}
        stand_in.answers["GET /metrics"] = PlainTextResponse("a 1\n")
        found = await client.usage(days=3, agent="alice")
        assert (found.usage[0].agent, found.usage[0].cost_usd, found.total.turns) == ("alice", 0.5, 1)
        row = await client.set_budget("alice", usd=5, turns=None)
        assert row is not None
        assert row.usd is not None
        assert (row.usd.allowed, row.share) == (5, 0.25)
        assert stand_in.requests[-1][1] == {"today": {"usd": 5, "turns": None}}
        assert await client.set_budget(turns=1) is None
        assert await client.metrics() == "a 1\n"


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (12_345, "12.3k"), (10**6, "1.00M"), (10**9, "1000.00M")],
)
def test_tokens_take_little_room(count: int, said: str) -> None:
    assert tokens(count) == said


def test_no_budget_is_said() -> None:
    assert budget_words(None) == "no budget"
