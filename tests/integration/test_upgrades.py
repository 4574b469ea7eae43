"""What was approved is built once more on what the host was upgraded to; what does not work there changes nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from approving_bed import Site, StoreBuilder, approving, daemon
from deployment_bed import HURRY
from hive_bed import short_place
from lifecycle_bed import DEADLINE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

_STAYS = "it stays on the system from before the host's upgrade: "


@pytest.fixture
def place() -> Iterator[Path]:
    with short_place() as made:
        yield made


@pytest.fixture
async def site(place: Path) -> AsyncIterator[Site]:
    """Alice runs on an approved system."""
    async with approving(place) as made:
        await approved(made, "vim", "second")
        yield made


async def approved(site: Site, content: str, instance: str) -> int:
    """Have a configuration proposed, approved and working."""
    row = await site.propose(content)
    await site.approve(row)
    await site.hive.watch.operation("alice", "deploy", "done")
    await site.hive.up("alice", instance)
    assert (await site.told())["status"] == "deployed"
    return int(row["id"])


async def upgrade(site: Site, base: str = "newer") -> None:
    """The host is rebuilt with other sources, and the hive takes that in."""
    site.builder.upon = base
    await site.hive.operator.ask("POST", "/api/reconcile")


async def built_on_newer(site: Site, number: int) -> dict[str, Any]:
    """What waits for the operator, once it was built on the base that the host was upgraded to."""
    async with asyncio.timeout(DEADLINE):
        while (row := await site.get(number))["status"] != "pending" or row["build"]["base"] != "newer":
            await site.hive.settled()
    return row


async def test_what_runs_is_built_on_the_new_base_and_put_in_without_a_question(site: Site) -> None:
    main, tags = site.main(), site.tags()
    site.builder.begun.clear()
    site.builder.held.add("vim-newer")
    await upgrade(site)
    async with asyncio.timeout(DEADLINE):
        await site.builder.begun.wait()
    await site.hive.watch.agent("alice", problem="its system is being built anew, on what the host was upgraded to")
    assert (site.system(), (await site.hive.row("alice"))["state"]) == ("vim", "idle")
    site.builder.may_go_on.set()
    await site.hive.watch.operation("alice", "deploy", "done")
    await site.hive.up("alice", "third")
    event = await site.told("upgraded")
    assert (event["agent"], event["ok"], event["reason"]) == ("alice", True, None)
    assert site.system() == "vim-newer"
    assert site.builder.kept["alice"][1] == "vim-newer"
    assert (await site.hive.row("alice"))["problem"] is None
    assert (site.main(), site.tags()) == (main, tags), "the commit is the same"
    assert not await site.hive.waiting("approval")
    # Once is enough.
    await upgrade(site)
    await site.hive.settled()
    assert site.builder.built == ["vim", "vim-newer"]


async def test_what_does_not_build_on_the_new_base_goes_on_as_it_is(site: Site) -> None:
    site.builder.refuses.add("vim-newer")
    await upgrade(site)
    event = await site.told("upgraded")
    assert (event["ok"], event["reason"]) == (False, "it does not build: it is gone")
    assert (await site.hive.row("alice"))["problem"] == f"{_STAYS}it does not build: it is gone"
    assert (site.system(), site.builder.roots) == ("vim", {})
    await upgrade(site)
    # Long enough for it to be built again, if it were.
    await site.propose("emacs")
    assert site.builder.built == ["vim", "vim-newer", "emacs-newer"], "not again and again"
    # On yet another one it is tried, and that works.
    await upgrade(site, "newest")
    await site.hive.watch.operation("alice", "deploy", "done")
    await site.hive.up("alice", "third")
    assert (await site.told("upgraded"))["ok"]
    assert (site.system(), (await site.hive.row("alice"))["problem"]) == ("vim-newest", None)
    assert [site.builder.built.count(name) for name in ("vim", "vim-newer", "vim-newest")] == [1, 1, 1]


async def test_what_does_not_work_on_the_new_base_is_taken_back_and_not_tried_again(site: Site) -> None:
    site.hurry()
    await upgrade(site)
    event = await site.told("upgraded")
    assert not event["ok"]
    assert f"has not connected within {HURRY} s" in event["reason"]
    await site.hive.up("alice", "third")
    assert (site.system(), site.builder.roots) == ("vim", {})
    assert (await site.hive.row("alice"))["problem"].startswith(_STAYS)
    (item,) = await site.hive.waiting("deploy_failed")
    assert item["title"].startswith("alice could not be brought to its system, built anew: ")
    await upgrade(site)
    await site.hive.settled()
    assert site.builder.built == ["vim", "vim-newer"]
    # Unless the operator asks for it.
    await site.hive.operator.ask("POST", "/api/agents/alice/rebuild")
    async with asyncio.timeout(DEADLINE):
        while len(site.builder.built) < 3:
            await site.hive.settled()


async def test_a_daemon_that_starts_on_an_upgraded_host_goes_on_where_it_was(place: Path) -> None:
    builder = StoreBuilder()
    async with approving(place, builder) as site:
        await approved(site, "vim", "second")
    builder.upon = "newer"
    async with daemon(place, builder) as (hive, _deployment):
        await hive.up("alice", "third")
        await hive.watch.operation("alice", "deploy", "done")
        await hive.up("alice", "fourth")
        async with asyncio.timeout(DEADLINE):
            while "alice" not in builder.kept or builder.kept["alice"][1] != "vim-newer":
                await hive.settled()
    assert builder.built == ["vim", "vim-newer"]


async def test_what_waits_for_the_operator_is_compared_with_the_new_system(site: Site) -> None:
    waits = await site.propose("emacs")
    site.builder.held.add("vim-newer")
    await upgrade(site)
    # First on the new base, while alice still runs on the system before.
    row = await built_on_newer(site, waits["id"])
    assert row["build"]["system"] == "/nix/store/emacs-newer"
    assert site.builder.built.count("emacs-newer") == 1
    site.builder.may_go_on.set()
    await site.hive.watch.operation("alice", "deploy", "done")
    await site.hive.up("alice", "third")
    assert (await site.told("upgraded"))["ok"]
    async with asyncio.timeout(DEADLINE):
        while site.builder.built.count("emacs-newer") < 2:
            await site.hive.settled()
    assert (await site.get(waits["id"]))["stale"]


async def test_what_was_approved_while_it_was_built_anew_is_what_stays(site: Site) -> None:
    waits = await site.propose("emacs")
    site.builder.held.add("vim-newer")
    await upgrade(site)
    row = await built_on_newer(site, waits["id"])
    await site.approve(row)
    await site.hive.watch.operation("alice", "deploy", "done")
    await site.hive.up("alice", "third")
    assert (await site.told())["status"] == "deployed"
    site.builder.may_go_on.set()
    async with asyncio.timeout(DEADLINE):
        while not site.builder.forgotten:
            await site.hive.settled()
    assert (site.system(), site.main()) == ("emacs-newer", "emacs")
    await site.hive.settled()
    assert site.builder.roots == {}
