"""The figures of the broker: delivery, sends, burst, and what an idle daemon costs."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from processes import Daemon, agent_names, daemon, load, measured
from raw_client import Line, get, post

from hyperhive.harness.settings import Timings
from hyperhive.wire import MAX_WAIT

if TYPE_CHECKING:
    from pathlib import Path

    from figures import Results


def _settings(names: list[str]) -> dict[str, Any]:
    return {"agents": {name: {} for name in names}, "manager": {"enable": False}}


async def delivery(results: Results, directory: Path, *, quick: bool) -> None:
    """One message at a time through a hive of 100 agents."""
    names = agent_names(4 if quick else 100)
    async with daemon(directory / "delivery", _settings(names), "--unlimited") as hive:
        samples = {"rounds": 2, "samples": 50} if quick else {"rounds": 5, "samples": 1000}
        rounds = await measured("delivery", hive.run, names=names, **samples)
    results.add("delivery_p50", [one["p50"] for one in rounds])
    results.add("delivery_p99", [one["p99"] for one in rounds])


async def sends(results: Results, directory: Path, *, quick: bool) -> None:
    """As many messages as go through; a new daemon each round, since the backlog of one would slow the next."""
    names = agent_names(4 if quick else 100)
    for number in range(1 if quick else 5):
        one = await _sends(directory / f"sends-{number}", names, results, quick=quick, receiving=False)
        results.add("sends", [one["per_second"]])
        results.add("sends_p99", [one["p99_ms"]])
    for number in range(1 if quick else 3):
        one = await _sends(directory / f"received-{number}", names, results, quick=quick, receiving=True)
        results.add("sends_received", [one["per_second"]])


async def _sends(state: Path, names: list[str], results: Results, *, quick: bool, receiving: bool) -> dict[str, float]:
    seconds = 0.3 if quick else 4
    async with daemon(state, _settings(names), "--unlimited") as hive:
        before = hive.scheduled()
        result = await measured(
            "sends", hive.run, names=names, senders=len(names) // 2, seconds=seconds, receiving=receiving
        )
        if not receiving:
            spent = hive.scheduled().nanoseconds - before.nanoseconds
            results.add("sends_cpu", [spent / 1000 / result["count"]])
            results.add("daemon_rss_loaded", [hive.rss()])
        stored = _stored(state / "hive.sqlite")
    assert stored == result["count"], f"{result['count']} sends were answered, and {stored} messages are there"
    return result


def _stored(path: Path) -> int:
    database = sqlite3.connect(path)
    try:
        return int(database.execute("SELECT count(*) FROM messages").fetchone()[0])
    finally:
        database.close()


async def burst(results: Results, directory: Path, *, quick: bool) -> None:
    """30 agents send 5 messages each at the same instant."""
    names = agent_names(3 if quick else 30)
    async with daemon(directory / "burst", _settings(names), "--unlimited") as hive:
        numbers = {"rounds": 1, "bursts": 2} if quick else {"rounds": 5, "bursts": 10}
        results.add("burst_p99", await measured("burst", hive.run, names=names, messages=5, **numbers))


async def idle(results: Results, directory: Path, *, quick: bool) -> None:
    """50 agents that wait: a parked recv each, and command polls of the length that the harness gives them."""
    for number in range(1 if quick else 3):
        hive = await _idle(directory / f"idle-{number}", quick=quick, poll=Timings().poll)
        results.add("daemon_rss", [hive["rss"]])
        results.add("idle_cpu", [hive["cpu"]])
        results.add("idle_wakeups", [hive["wakeups"]])
        results.add("idle_statements", [hive["statements"]])
        results.add("scrape", [hive["scrape"]])
        results.add("scrape_p95", [hive["scrape_p95"]])
    parked = await _idle(directory / "parked", quick=quick, poll=MAX_WAIT, staggered=False)
    results.add("parked_cpu", [parked["cpu"]])


async def _idle(state: Path, *, quick: bool, **rhythm: float) -> dict[str, float]:
    names = agent_names(3 if quick else 50)
    async with (
        daemon(state, _settings(names), "--unlimited", "--count") as hive,
        load("idle", hive.run, names=names, **rhythm),
    ):
        await asyncio.sleep(0.1 if quick else 3)
        counted, before, began = await hive.counters(), hive.scheduled(), time.monotonic()
        await asyncio.sleep(1 if quick else 30)
        after, took = hive.scheduled(), time.monotonic() - began
        statements = (await hive.counters())["statements"] - counted["statements"]
        return {
            "rss": hive.rss(),
            "cpu": (after.nanoseconds - before.nanoseconds) / took / 1e7,
            "wakeups": (after.switches - before.switches) / took,
            "statements": statements,
            **await _scrape(hive, names, 5 if quick else 100),
        }


async def _scrape(hive: Daemon, names: list[str], times: int) -> dict[str, float]:
    """Milliseconds that a monitor waits for all figures, where every agent has worked."""
    for name in names:
        line = await Line.open(hive.run / "agents" / name / "hive.sock")
        for number, model in enumerate(("claude-haiku-4-5", "claude-sonnet-5", "claude-opus-5")):
            used = {"inputTokens": 1000, "outputTokens": 2000, "costUsd": 0.25, "model": model}
            (await line.ask(post("/v1/report", {"instance": "bench", "n": number, "usage": used}))).json()
        line.close()
    line, took = await Line.open(hive.host_socket), []
    for _ in range(times):
        began = time.monotonic()
        answer = await line.ask(get("/metrics"))
        took.append((answer.at - began) * 1000)
        assert answer.body.count(b"hyperhive_tokens_total{") == 12 * len(names), answer.status
    line.close()
    return {"scrape": median(took), "scrape_p95": sorted(took)[int(len(took) * 0.95)]}
