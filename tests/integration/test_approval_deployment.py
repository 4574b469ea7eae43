"""From the manager's bundle to what an agent runs on: real git, real approvals, real deployments, one daemon."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from approving_bed import Site, approving
from deployment_bed import HURRY
from lifecycle_bed import DEADLINE, life, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def site(place: Path) -> AsyncIterator[Site]:
    async with approving(place) as made:
        yield made


async def test_the_very_system_that_was_shown_is_put_in(site: Site) -> None:
    row = await site.propose("vim")
    assert (row["status"], row["build"]["status"], row["build"]["system"]) == ("pending", "ok", "/nix/store/vim")
    assert row["build"]["sizeBytes"] == 7
    assert "+vim" in row["diff"]
    assert [file["path"] for file in row["files"]] == ["agent.nix"]
    assert (await site.hive.waiting("approval"))[0]["ref"] == row["id"]
    await site.approve(row)
    await site.hive.watch.operation("alice", "deploy", "done")
    assert site.system() == "vim"
    assert (await site.get(row["id"]))["status"] == "deploying", "nobody knows yet whether it works"
    await site.hive.up("alice", "second")
    assert (await site.told())["status"] == "deployed"
    assert site.main() == "vim"
    number = row["id"]
    assert site.tags() == {f"{kind}/{number}" for kind in ("proposal", "building", "approved", "deployed")}


async def test_a_system_whose_harness_does_not_connect_is_taken_back_and_the_manager_reads_why(site: Site) -> None:
    site.hurry()
    row = await site.propose("mute")
    await site.approve(row)
    event = await site.told()
    assert (event["id"], event["status"]) == (row["id"], "failed")
    assert f"has not connected within {HURRY} s" in event["reason"]
    assert (site.system(), site.builder.roots) == ("old", {})
    assert site.main() != "mute"
    assert f"failed/{row['id']}" in site.tags()
    assert (await site.get(row["id"]))["decidedBy"] == "operator"


async def test_what_failed_overnight_waits_for_the_operator_until_it_is_dismissed(site: Site) -> None:
    site.hurry()
    row = await site.propose("mute")
    await site.approve(row)
    await site.until(row["id"], "failed")
    (item,) = await site.hive.waiting("deploy_failed")
    assert (item["id"], item["agent"], item["ref"]) == (f"deploy_failed-{row['id']}", "alice", row["id"])
    assert item["title"].startswith("the change to alice that you approved has failed: ")
    assert f"has not connected within {HURRY} s" in item["title"]
    ended = (await site.get(row["id"]))["endedAt"]
    assert item["since"] == ended
    await site.hive.operator.ask("POST", f"/api/waiting/{item['id']}/dismiss")
    assert await site.hive.waiting("deploy_failed") == []
    assert await refusal(site.hive.operator.ask("POST", f"/api/waiting/{item['id']}/dismiss")) == "not_found"


async def test_a_failure_is_shown_by_the_next_hive_and_not_after_it_was_dismissed_or_its_agent_purged(
    place: Path,
) -> None:
    at = "2026-01-01 00:00:00"
    agents: dict[str, Any] = {name: {} for name in ("alice", "bob")}
    async with life(place, agents):
        pass
    with contextlib.closing(sqlite3.connect(place / "state" / "hive.sqlite")) as connection:
        connection.executemany(
            "INSERT INTO approvals (id, kind, agent, status, requested_by, requested_at, expires_at, reason, truncated,"
            " stale, unfinished, shown_since) VALUES (?, ?, ?, 'failed', 'manager', ?, ?, 'no disk\ntwo', 0, 0, 0, ?)",
            [(n, kind, name, at, at, at) for n, kind, name in ((1, "apply", "alice"), (2, "spawn", "carl"))],
        )
        connection.execute(
            "INSERT INTO deployments (id, agent, commit_hash, step, error, begun_at, ended_at, shown_since)"
            " VALUES (7, 'bob', ?, 'failed', 'no sign of life', ?, ?, ?)",
            ("a" * 40, at, at, at),
        )
        connection.commit()
    async with life(place, agents) as hive:
        assert {item["id"]: item["title"] for item in await hive.waiting("deploy_failed")} == {
            "deploy_failed-1": "the change to alice that you approved has failed: no disk",
            "deploy_failed-2": "the new agent carl that you approved has failed: no disk",
            "deploy_failed-d7": "bob could not be brought to its system, built anew: no sign of life",
        }
        for number in ("2", "d7"):
            await hive.operator.ask("POST", f"/api/waiting/deploy_failed-{number}/dismiss")
    async with life(place, agents) as hive:
        assert [item["id"] for item in await hive.waiting("deploy_failed")] == ["deploy_failed-1"]
        await hive.do("alice", "destroy")
        await hive.purge("alice")
        assert await hive.waiting("deploy_failed") == []
    async with life(place, agents) as hive:
        assert await hive.waiting("deploy_failed") == []


async def test_what_does_not_build_is_not_asked_about(site: Site) -> None:
    row = await site.propose("broken")
    assert (row["status"], row["build"]["status"]) == ("failed", "failed")
    event = await site.told()
    assert (event["status"], event["reason"]) == ("failed", "it does not build: undefined variable 'broken'")
    assert not await site.hive.waiting("approval")
    assert not await site.hive.waiting("deploy_failed"), "nobody approved it"
    assert site.system() == "old"


async def test_what_was_asked_before_another_one_was_put_in_is_built_anew(site: Site) -> None:
    first, second = await site.propose("vim"), await site.propose("emacs")
    await site.approve(first)
    await site.hive.watch.operation("alice", "deploy", "done")
    await site.hive.up("alice", "second")
    await site.until(first["id"], "deployed")
    await site.until(second["id"], "building")
    async with asyncio.timeout(DEADLINE):
        while (row := await site.get(second["id"]))["status"] != "pending":
            await site.hive.settled()
    assert (row["stale"], row["base"]) == (True, first["commit"])
    assert "-vim" in row["diff"]
    assert "+emacs" in row["diff"]
    assert row["note"] is None, "it was made on top of the first one"
