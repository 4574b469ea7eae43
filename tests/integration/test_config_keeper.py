"""Each agent has its repository and the manager's directory for it, from the moment that there is the agent."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
from typing import TYPE_CHECKING, Any

import pytest
from broker_bed import DEADLINE, lay_out
from hive_bed import RunningHive, running_hive

from hyperhive.hive.repos import Repos
from hyperhive.names import MANAGER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hyperhive.runtime.base import Owner


async def _until(hive: RunningHive, wanted: str) -> list[str]:
    """The warnings, as soon as one of them has `wanted` in it."""
    operator = await hive.operator()
    async with asyncio.timeout(DEADLINE), operator.stream("GET", "/api/stream", params={"since": 0}) as answer:
        state: dict[str, Any] = (await operator.get("/api/state")).json()
        if any(wanted in warning for warning in state["warnings"]):
            return list(state["warnings"])
        async for line in answer.aiter_lines():
            if line.startswith("data: ") and wanted in line and json.loads(line[6:])["type"] == "warnings":
                return list(json.loads(line[6:])["data"]["warnings"])
    raise AssertionError


@pytest.fixture
def provided(monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[str]:
    """The agents for which everything was made, or could not be made."""
    done: asyncio.Queue[str] = asyncio.Queue()
    real = Repos.provide

    async def provide(repos: Repos, agent: str, manager: Owner, wanted: Callable[[], bool]) -> None:
        try:
            await real(repos, agent, manager, wanted)
        finally:
            done.put_nowait(agent)

    monkeypatch.setattr(Repos, "provide", provide)
    return done


async def test_every_agent_gets_a_repository_and_the_manager_a_directory_for_it(
    place: Path, provided: asyncio.Queue[str]
) -> None:
    async with running_hive(place, agents={"alice": {}, "bob": {}}):
        state = place / "state"
        async with asyncio.timeout(DEADLINE):
            names = [await provided.get(), await provided.get()]
        assert {"alice", "bob"} >= set(names) - {MANAGER}
        for name in names:
            assert (state / "applied" / f"{name}.git" / "HEAD").is_file()
            made = (state / "proposed" / name).stat()
            assert (made.st_uid, stat.S_IMODE(made.st_mode)) == (os.geteuid(), 0o700)
            assert list((state / "proposed" / name).iterdir()) == []


async def test_what_the_manager_put_in_a_directorys_place_is_left_alone(place: Path) -> None:
    outside = place / "outside"
    outside.mkdir(mode=0o755)
    (place / "state" / "proposed").mkdir(parents=True)
    (place / "state" / "proposed" / "alice").symlink_to(outside)
    async with running_hive(place, agents={"alice": {}}) as hive:
        warnings = await _until(hive, "configuration as git")
        assert any("'alice'" in warning for warning in warnings)
        assert (place / "state" / "applied" / "alice.git").is_dir()
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755
    assert (place / "state" / "proposed" / "alice").is_symlink()


async def test_without_git_the_hive_runs_on_and_says_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERHIVE_GIT", "/nowhere/git")
    lay_out(place)
    shutil.rmtree(place / "state" / "applied")  # not even the template
    async with running_hive(place, agents={"alice": {}}) as hive:
        warnings = await _until(hive, "configuration as git")
        assert any("git cannot be run" in warning for warning in warnings)
        sent = await (await hive.operator()).post("/api/messages", json={"to": "alice", "body": "hello"})
        assert sent.status_code == 201
