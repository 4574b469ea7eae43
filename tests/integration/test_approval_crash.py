"""`kill -9` of the daemon while proposals come in and are decided: real git, a real database, one end each.

The short form runs with the suite; `HYPERHIVE_CRASH_ROUNDS=200` (that is `make crash`) is the long one.
"""

# ruff: noqa: S311 - moments are drawn, not secrets

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sqlite3
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
from hive_bed import HiveProcess, hive_process, over, short_place
from repo_bed import Proposed

from hyperhive.hive.git import program

if TYPE_CHECKING:
    from pathlib import Path

_KILLS = max(4, int(os.environ.get("HYPERHIVE_CRASH_ROUNDS", "4")))
#: Seconds between the start of a daemon and its kill, at most; and those that anything may take.
_LONGEST = 0.6
_SECONDS = 60
_AGENTS: dict[str, Any] = {"alice": {}}
_ENDS = {"deployed", "denied"}


class Work:
    """A manager and an operator, who know what they were told."""

    def __init__(self, hive: HiveProcess, repository: Proposed) -> None:
        self.hive = hive
        self.repository = repository
        self.commits = 0
        #: Decisions that were answered.
        self.decided: dict[int, str] = {}
        self._key: tuple[str, bytes, str] | None = None

    async def propose(self, client: httpx.AsyncClient) -> None:
        """Propose one commit after the other; one that was not answered is proposed again."""
        while True:
            if not await self.propose_one(client):
                await asyncio.sleep(0.01)  # whoever is told that there are too many waits

    async def propose_one(self, client: httpx.AsyncClient) -> bool:
        """Whether the next commit, or the one that was not answered, was taken."""
        if self._key is None:
            self.commits += 1
            commit = self.repository.commit({"agent.nix": f"{{ }} # {self.commits}\n"})
            self._key = commit, self.repository.bundle(commit).read_bytes(), f"k{self.commits}"
        commit, bundle, key = self._key
        query = {"agent": "alice", "commit": commit, "idempotencyKey": key}
        answer = await client.post("/v1/config-proposals", params=query, content=bundle)
        if answer.status_code == 201:
            self._key = None
            return True
        assert answer.json()["error"]["code"] in {"too_many_approvals", "shutting_down"}, answer.text
        return False

    async def decide(self, client: httpx.AsyncClient) -> None:
        """Decide about whatever waits."""
        while True:
            for row in await self.pending(client):
                await self.say(client, row, random.choice(["approve", "approve", "deny"]))
            await asyncio.sleep(0.005)  # the operator looks again

    async def pending(self, client: httpx.AsyncClient) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await client.get("/api/approvals?status=pending")).json()["approvals"]
        return rows

    async def say(self, client: httpx.AsyncClient, row: dict[str, Any], verb: str) -> None:
        body = {"commit": row["commit"]} if verb == "approve" else {"reason": "no"}
        answer = await client.post(f"/api/approvals/{row['id']}/{verb}", json=body)
        if answer.status_code == 200:
            self.decided[row["id"]] = verb
        else:
            assert answer.json()["error"]["code"] in {"wrong_state", "shutting_down"}, answer.text


async def test_whenever_it_is_killed_each_proposal_ends_once() -> None:
    with short_place() as place:
        async with hive_process(place) as hive:
            await _rounds(place, hive)


async def _rounds(place: Path, hive: HiveProcess) -> None:
    work: Work | None = None
    for _ in range(_KILLS):
        await hive.start(_AGENTS, manager={"enable": True})
        if work is None:
            applied = place / "state" / "applied" / "alice.git"
            async with asyncio.timeout(_SECONDS):
                while not applied.is_dir():  # noqa: ASYNC110 - another process makes it
                    await asyncio.sleep(0.05)  # it is made in the background
            work = Work(hive, Proposed(place / "proposed", applied))
        async with over(hive.agent_socket("manager")) as manager, over(hive.host_socket) as operator:
            tasks = [asyncio.create_task(work.propose(manager)), asyncio.create_task(work.decide(operator))]
            await asyncio.wait(tasks, timeout=random.uniform(0.05, _LONGEST), return_when=asyncio.FIRST_COMPLETED)
            await hive.kill()
            for task in tasks:
                task.cancel()
            for task in tasks:
                with contextlib.suppress(asyncio.CancelledError, httpx.TransportError):
                    await task
    assert work is not None
    await hive.start(_AGENTS, manager={"enable": True})
    async with over(hive.agent_socket("manager")) as manager, over(hive.host_socket) as operator:
        await work.propose_one(manager)
        await _settle(work, operator)
    await _holds(work, place)


async def _settle(work: Work, operator: httpx.AsyncClient) -> None:
    """Decide about what is left, and wait until nothing is under way."""
    async with asyncio.timeout(_SECONDS):
        while True:
            rows = (await operator.get("/api/approvals?limit=2000")).json()["approvals"]
            if all(row["status"] in _ENDS for row in rows) and rows and not await asyncio.to_thread(_unfinished, work):
                return
            for row in rows:
                if row["status"] == "pending":
                    await work.say(operator, row, "approve")
            await asyncio.sleep(0.02)


def _unfinished(work: Work) -> bool:
    return bool(_query(work, "SELECT count(*) FROM approvals WHERE unfinished")[0][0])


def _query(work: Work, statement: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(work.hive.database)) as connection:
        return connection.execute(statement).fetchall()


async def _holds(work: Work, place: Path) -> None:
    rows = _query(work, "SELECT id, status, commit_hash FROM approvals ORDER BY id")
    assert rows
    for number, verb in work.decided.items():
        status = next(status for found, status, _ in rows if found == number)
        assert status == {"approve": "deployed", "deny": "denied"}[verb], "what was answered holds"
    told = Counter(
        (event["id"], event["status"])
        for (body,) in _query(work, "SELECT body FROM messages WHERE recipient = 'manager' AND sender = 'system'")
        if body.startswith("{") and (event := json.loads(body))["event"] == "approval_resolved"
    )
    assert told == Counter({(number, status): 1 for number, status, _ in rows}), "told once each"
    decided = Counter(
        subject for (subject,) in _query(work, "SELECT subject FROM audit WHERE action IN ('approve', 'deny')")
    )
    assert decided == Counter({f"approval {number}": 1 for number, _, _ in rows})
    tags = _refs(place / "state" / "applied" / "alice.git")
    for number, status, commit in rows:
        assert tags[f"refs/tags/proposal/{number}"] == tags[f"refs/tags/{status}/{number}"] == commit
        ends = [
            name for name in tags if name in {f"refs/tags/{end}/{number}" for end in ("deployed", "denied", "failed")}
        ]
        assert len(ends) == 1
    deployments = _query(work, "SELECT commit_hash, step FROM deployments ORDER BY id")
    assert {step for _, step in deployments} == {"deployed"}
    assert len(deployments) == sum(status == "deployed" for _, status, _ in rows)
    assert tags["refs/heads/main"] == deployments[-1][0], "main is what runs"


def _refs(repository: Path) -> dict[str, str]:
    listed = subprocess.run(
        [
            program(),
            "for-each-ref",
            "--format=%(refname) %(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)",
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split() for line in listed.stdout.splitlines())
