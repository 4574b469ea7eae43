"""`kill -9` of the daemon after each step of a deployment: it ends in exactly one of `deployed` and `failed`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from bare_http import GoneError, RawClient
from drawn import moments
from hive_bed import HiveProcess, hive_process, short_place
from sqlalchemy import create_engine, insert

from hyperhive.clock import utc_now
from hyperhive.errors import HiveError
from hyperhive.hive.layout import Layout
from hyperhive.hive.repos import Repos
from hyperhive.store.tables import ApprovalRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Table

pytestmark = pytest.mark.timeout(900)

_OLD, _NEW = (f"/nix/store/{letter * 32}-system" for letter in "on")
_SETTINGS: dict[str, Any] = {"systems": {"default": _OLD}}
_AGENTS: dict[str, Any] = {"alice": {}}
#: Seconds that a harness gets, where it is one that never comes and where it is one that does.
_PATIENCE = {"failed": 0.3, "deployed": 20.0}


@pytest.fixture(scope="module")
def approved() -> Iterator[tuple[Path, str]]:
    """A state directory with a commit that was approved, before anything was done about it; and the commit."""
    with short_place() as place:
        commit = asyncio.run(_approve(place))
        yield place, commit


async def _approve(place: Path) -> str:
    async with hive_process(place) as hive:
        await hive.start(_AGENTS, **_SETTINGS)
        await hive.kill()
    repos = Repos(Layout(place / "state", place / "run"))
    base = await repos.ensure("alice")
    commit = _git(place, "commit-tree", f"{base}^{{tree}}", "-p", base, "-m", "a change")
    await repos.tag("alice", "proposal", 1, commit)
    now = utc_now()
    row = {
        "id": 1,
        "kind": "apply",
        "agent": "alice",
        "status": "approved",
        "requested_by": "manager",
        "requested_at": now,
        "expires_at": now + timedelta(days=1),
        "decided_at": now,
        "decided_by": "operator",
        "commit_hash": commit,
        "base_hash": base,
        "truncated": False,
        "stale": False,
        "unfinished": False,
        "build": {"status": "ok", "system": _NEW, "units": []},
    }
    engine = create_engine(f"sqlite:///{place}/state/hive.sqlite")
    with engine.begin() as connection:
        connection.execute(insert(cast("Table", ApprovalRow.__table__)).values(row))  # type: ignore[attr-defined]
    engine.dispose()
    return commit


def _git(place: Path, *words: str) -> str:
    """What git says about alice's applied repository."""
    who = ("-c", "user.name=x", "-c", "user.email=x")
    command = ["git", *who, "-C", str(place / "state/applied/alice.git"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


class Alice:
    """A harness that outlives the daemon. Where the outcome is to be `failed`, it does not come on the new system."""

    def __init__(self, hive: HiveProcess, outcome: str) -> None:
        self._hive = hive
        self._outcome = outcome
        self._came: int | None = None

    async def live(self) -> None:
        while True:
            daemon = self._hive.running
            with contextlib.suppress(GoneError, OSError, HiveError):
                async with RawClient(self._hive.agent_socket("alice")) as client:
                    while self._comes(daemon):
                        await client.ask("POST", "/v1/commands", {})
                        await client.ask("POST", "/v1/report", {"state": "idle"})
                        self._came = daemon
            await asyncio.sleep(0.02)  # until there is a daemon again

    def _comes(self, daemon: int | None) -> bool:
        """Whether it connects; to a daemon that was told that it is idle only where it is one that always comes."""
        return self._outcome == "deployed" or (_runs_on(self._hive.place) == _OLD and self._came != daemon)


def _runs_on(place: Path) -> str | None:
    with contextlib.suppress(OSError):
        return dict(json.loads((place / "running.json").read_text())).get("alice")
    return None


async def _ends(hive: HiveProcess) -> None:
    """Wait until the deployment has ended, and what follows from that is done."""
    while True:
        with contextlib.closing(sqlite3.connect(f"file:{hive.database}?mode=ro", uri=True)) as connection:
            ended = "SELECT ended_at FROM deployments WHERE ended_at IS NOT NULL"
            finished = "SELECT id FROM approvals WHERE ended_at IS NOT NULL AND NOT unfinished"
            if connection.execute(ended).fetchone() and connection.execute(finished).fetchone():
                return
        await asyncio.sleep(0.02)  # of a daemon that may be killed at any moment nobody tells


async def _run(hive: HiveProcess, kill_at: int, outcome: str) -> bool:
    """Start the daemon; whether it was killed before the deployment had ended."""
    hook = {"killAt": kill_at, "patience": _PATIENCE[outcome]}
    (hive.place / "deploy.json").write_text(json.dumps(hook))
    await hive.spawn(_AGENTS, **_SETTINGS)
    over, ended = asyncio.create_task(hive.ended()), asyncio.create_task(_ends(hive))
    try:
        async with asyncio.timeout(60):
            await asyncio.wait({over, ended}, return_when=asyncio.FIRST_COMPLETED)
        return over.done()
    finally:
        for task in (over, ended):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _check(place: Path, commit: str, outcome: str) -> None:
    with contextlib.closing(sqlite3.connect(place / "state" / "hive.sqlite")) as connection:
        assert connection.execute("SELECT approval_id, step FROM deployments").fetchall() == [(1, outcome)]
        ((status, reason),) = connection.execute("SELECT status, reason FROM approvals").fetchall()
        ends = connection.execute("SELECT count(*) FROM audit WHERE subject LIKE '%approval 1%'").fetchone()
    assert status == outcome
    assert (reason is None) == (outcome == "deployed")
    assert ends == (1,), "its end is in the audit log once"
    assert _git(place, "tag").split() == sorted(["approved/1", f"{outcome}/1", "proposal/1"])
    main = _git(place, "rev-parse", "main")
    assert (main == commit) == (outcome == "deployed")
    assert _runs_on(place) == (_NEW if outcome == "deployed" else _OLD)


@pytest.mark.parametrize("outcome", ["deployed", "failed"])
async def test_killed_after_any_step_it_ends_once_and_right(approved: tuple[Path, str], outcome: str) -> None:
    before, commit = approved
    for kill_at in moments(60):
        with short_place() as place:
            shutil.copytree(before / "state", place / "state", symlinks=True, ignore=shutil.ignore_patterns("run"))
            async with hive_process(place) as hive:
                alice = asyncio.create_task(Alice(hive, outcome).live())
                try:
                    killed = await _run(hive, kill_at, outcome)
                    if killed:
                        assert not await _run(hive, 0, outcome)
                except BaseException:
                    print(f"after moment {kill_at}:\n{hive.text()}")  # noqa: T201 - what a failed test is looked into with
                    raise
                finally:
                    alice.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await alice
                await hive.kill()
                _check(place, commit, outcome)
        if not killed:
            assert kill_at > 12, "there are that many moments"
            return
    pytest.fail("it never came to its end by itself")
