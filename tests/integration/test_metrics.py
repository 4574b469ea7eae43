"""/metrics of a real daemon: who may read it, what it says, and what it costs."""

from __future__ import annotations

import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from hive_bed import RunningHive, running_hive, short_place
from prometheus_client.parser import text_string_to_metric_families

from hyperhive.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

#: The most that one agent adds, with one model and three limits.
_SERIES_AN_AGENT = 20


@pytest_asyncio.fixture
async def hive() -> AsyncIterator[RunningHive]:
    with short_place() as place:
        async with running_hive(place, {"alice": {"budget": {"turns": 4}}, "bob": {}}) as running:
            yield running


def _metrics_token(hive: RunningHive) -> str:
    return (hive.place / "state" / "metrics-token").read_text().strip()


async def _samples(client: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """Name and label values, in the order of the labels' names, to value."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(answer.text))
    assert all(family.documentation for family in families)
    return {
        (s.name, *(s.labels[name] for name in sorted(s.labels))): s.value for family in families for s in family.samples
    }


# --- who may read it


async def test_a_monitors_token_opens_metrics_and_nothing_else(hive: RunningHive) -> None:
    file = hive.place / "state" / "metrics-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(_metrics_token(hive)) >= 32
    assert _metrics_token(hive) != hive.token
    monitor, operator, nobody = [await hive.browser(token) for token in (_metrics_token(hive), hive.token, None)]
    for client, allowed in ((monitor, True), (operator, True), (nobody, False), (await hive.browser("x" * 43), False)):
        assert (await client.get("/metrics")).status_code == (200 if allowed else 401)
    for path in ("/api/state", "/api/usage", "/api/stream", "/api/dashboard-url", "/api//metrics", "/api/metrics"):
        assert (await monitor.get(path)).status_code == 401, path
    for path in ("/api/messages", "/api/budget", "/api/agents/alice/stop"):
        assert (await monitor.post(path, json={})).status_code == 401, path
    assert (await monitor.post("/metrics")).status_code == 405
    for path in ("//metrics", "/metrics/", "/static/../metrics", "/%6detrics"):
        answer = await nobody.get(path)
        assert "hyperhive_" not in answer.text, path
    assert (await monitor.get("/metrics", headers={"Host": "evil.example"})).status_code == 403
    assert (await (await hive.operator()).get("/metrics")).status_code == 200, "host.sock is the operator's"
    agent = await hive.agent("alice")
    assert (await agent.get("/metrics")).status_code == 404


async def test_the_token_can_come_from_a_file_that_prometheus_reads_too() -> None:
    with short_place() as place:
        file = place / "token"
        file.write_text("m" * 40 + "\n")
        async with running_hive(place, {}, metrics={"tokenFile": str(file)}) as hive:
            assert not (place / "state" / "metrics-token").exists()
            assert (await (await hive.browser("m" * 40)).get("/metrics")).status_code == 200
            state = (await (await hive.operator()).get("/api/state")).json()
            assert state["hive"]["metricsTokenFile"] == str(file)
            assert "m" * 40 not in str(state)


# --- what it says


async def test_everything_that_a_monitor_wants_to_know_is_there(hive: RunningHive) -> None:
    operator, alice = await hive.operator(), await hive.agent("alice")
    before = await _samples(operator)
    assert before["hyperhive_messages_waiting", "alice"] == 0
    assert before["hyperhive_messages_oldest_waiting_seconds", "alice"] == 0
    for _ in range(3):
        await operator.post("/api/messages", json={"to": "alice", "body": "x"})
    await alice.post("/v1/messages", json={"to": "operator", "body": "y"})
    await alice.post("/v1/commands", json={})
    (taken,) = (await alice.post("/v1/recv", json={"max": 1, "instance": "i"})).json()["deliveries"]
    usage = {
        "inputTokens": 10, "outputTokens": 20, "cacheReadTokens": 30, "cacheWriteTokens": 40, "costUsd": 0.5,
        "model": "opus",
    }  # fmt: skip
    for n, ok in enumerate((True, False)):
        turn = {"endedAt": utc_now().isoformat(), "ok": ok, "durationMs": 1}
        report = {"instance": "i", "n": n, "state": "idle", "usage": usage, "lastTurn": turn}
        assert (await alice.post("/v1/report", json=report)).status_code == 200
    await alice.post("/v1/outcome", json={"ids": [taken["id"]], "outcome": "settled"})
    found = await _samples(operator)
    wanted = {
        ("hyperhive_messages_total", "accepted"): 4,
        ("hyperhive_messages_total", "settled"): 1,
        ("hyperhive_messages_total", "dead"): 0,
        ("hyperhive_messages_waiting", "alice"): 2,
        ("hyperhive_turns_total", "alice"): 2,
        ("hyperhive_turns_failed_total", "alice"): 1,
        ("hyperhive_turns_lost_total", "alice"): 0,
        ("hyperhive_tokens_total", "alice", "input", "opus"): 20,
        ("hyperhive_tokens_total", "alice", "output", "opus"): 40,
        ("hyperhive_tokens_total", "alice", "cache_read", "opus"): 60,
        ("hyperhive_tokens_total", "alice", "cache_write", "opus"): 80,
        ("hyperhive_cost_usd_total", "alice", "opus"): 1.0,
        ("hyperhive_waiting_items", "mail"): 1,
        ("hyperhive_budget_used_ratio", "turns", "alice"): 0.5,
        ("hyperhive_operations", "running"): 0,
        ("hyperhive_stream_clients",): 0,
        ("hyperhive_agents", "idle"): 1,
    }
    assert {key: found.get(key) for key in wanted} == wanted
    assert found["hyperhive_messages_oldest_waiting_seconds", "alice"] > 0
    assert found["hyperhive_waiting_oldest_seconds",] > 0
    assert found["hyperhive_database_bytes",] > 10_000
    assert found["process_resident_memory_bytes",] > 10**7
    assert found["process_open_fds",] > 3


async def test_streams_are_counted_while_they_are_open(hive: RunningHive) -> None:
    operator = await hive.operator()
    async with operator.stream("GET", "/api/stream") as stream:
        lines = stream.aiter_lines()
        assert await anext(lines) == ": here"
        assert (await _samples(operator))["hyperhive_stream_clients",] == 1


async def test_an_agents_words_are_labels_only_where_there_are_few(hive: RunningHive) -> None:
    alice = await hive.agent("alice")
    for n in range(60):
        turn = {"endedAt": utc_now().isoformat(), "ok": True, "durationMs": 1}
        report = {"instance": "i", "n": n, "usage": {"model": f"made-up-{n}"}, "lastTurn": turn}
        assert (await alice.post("/v1/report", json=report)).status_code == 200
    found = await _samples(await hive.operator())
    assert len([key for key in found if key[0] == "hyperhive_cost_usd_total"]) <= 13


# --- what it costs


async def test_a_scrape_of_fifty_agents_is_cheap_and_its_size_is_bounded() -> None:
    agents: dict[str, Any] = {f"agent{n}": {"budget": {"usd": 9, "turns": 9}} for n in range(50)}
    with short_place() as place:
        async with running_hive(place, agents, dashboard={"port": 0, "agentPages": False}) as hive:
            for name in agents:
                client = await hive.agent(name)
                turn = {"endedAt": utc_now().isoformat(), "ok": True, "durationMs": 1}
                report = {"instance": "i", "n": 1, "state": "idle", "usage": {"costUsd": 1}, "lastTurn": turn}
                assert (await client.post("/v1/report", json=report)).status_code == 200
            operator = await hive.operator()
            found = await _samples(operator)
            ours = [key for key in found if key[0].startswith("hyperhive_")]
            assert len(ours) <= 51 * _SERIES_AN_AGENT + 50
            took = []
            for _ in range(20):
                # Of this process, which is both sides: others may be at work beside it.
                began = time.process_time()
                await operator.get("/metrics")
                took.append(time.process_time() - began)
            assert min(took) < 0.1, took


def test_a_hive_without_a_monitor_does_without_the_library() -> None:
    """It is imported by the first scrape; half a hundred hives in a test would not tell."""
    script = "import sys, hyperhive.web.api.operator, hyperhive.hive.daemon; print('prometheus_client' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == "False\n"


@pytest.mark.parametrize("text", ["short", ""])
async def test_a_bad_token_file_is_named(text: str) -> None:
    with short_place() as place:
        (place / "token").write_text(text)
        with pytest.raises(BaseException, match=r"the token of /metrics in .* is too short"):
            async with running_hive(place, {}, metrics={"tokenFile": str(place / "token")}):
                pass
