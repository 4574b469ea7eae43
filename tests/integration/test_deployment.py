"""What was approved is put in, proves that it works or is taken back, and never ends twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from deployment_bed import HURRY, Site, site
from lifecycle_bed import fake_runtime

from hyperhive.errors import HiveError
from hyperhive.hive.deployment import Order
from hyperhive.store import deployments

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_OLD, _NEW, _NEWER = (Path(f"/nix/store/{name}") for name in ("old", "new", "newer"))
_SYSTEMS: dict[str, Any] = {"systems": {"default": str(_OLD)}}


@pytest.fixture
async def here(place: Path) -> AsyncIterator[Site]:
    async with site(place, {"alice": {}}, expected=("start",), **_SYSTEMS) as made:
        yield made


def order(number: int, system: Path | None = _NEW, agent: str = "alice") -> Order:
    return Order(number, agent, f"{number:040x}", system)


async def test_an_approved_system_is_switched_to_and_main_moves_once_its_harness_connected(here: Site) -> None:
    await here.life.up("alice")
    assert here.system("alice") == _OLD
    await here.deployment.carry_out(order(1))
    await here.life.watch.operation("alice", "deploy", "done")
    assert (here.system("alice"), here.books.main) == (_NEW, {})
    await here.life.up("alice", "second")
    assert await here.ended() == ("deployed", 1, None)
    assert here.books.tags("alice") == [("approved", 1, None), ("deployed", 1, None)]
    assert here.books.main == {"alice": f"{1:040x}"}
    assert (here.builder.kept, here.builder.forgotten) == ([("alice", 1)], [])


async def test_the_turn_may_end_before_its_agent_is_switched(here: Site) -> None:
    alice = await here.life.up("alice")
    number = await here.life.send("alice")
    await alice.recv()
    await alice.report("thinking")
    await here.deployment.carry_out(order(1))
    await here.life.watch.agent("alice", restartPending=True)
    await here.life.settled()
    assert (len(here.life.runtime.started), here.books.said) == (
        1,
        [("tag", "approved", "alice", 1, f"{1:040x}", None), ("deploying", 1)],
    )
    await alice.outcome(number)
    await alice.report("idle")
    await here.life.watch.operation("alice", "deploy", "done")
    await here.life.up("alice", "second")
    assert await here.ended() == ("deployed", 1, None)


async def test_a_harness_that_does_not_connect_is_given_the_system_before(here: Site) -> None:
    here.hurry()
    await here.life.up("alice")
    await here.deployment.carry_out(order(1))
    assert (await here.ended())[:2] == ("failed", 1)
    assert f"has not connected within {HURRY} s" in here.books.ends()[0][2]
    assert [kind for kind, _, _ in here.books.tags("alice")] == ["approved", "failed"]
    assert "has not connected" in here.books.tags("alice")[1][2]
    assert (here.system("alice"), here.books.main) == (_OLD, {})
    assert (here.builder.kept, here.builder.forgotten) == ([], [("alice", 1)])
    await here.life.up("alice", "third")
    assert (await here.life.row("alice"))["state"] == "idle"


async def test_what_nobody_approved_and_failed_waits_for_the_operator(here: Site) -> None:
    here.hurry()
    await here.life.up("alice")
    await here.deployment.carry_out(replace(order(1), approval_id=None))
    change = await here.life.watch.until(lambda c: c["type"] == "waiting" and "deploy_failed" in str(c["data"]))
    (item,) = [one for one in change["data"]["waiting"] if one["kind"] == "deploy_failed"]
    assert (item["id"], item["agent"], item["ref"]) == ("deploy_failed-d1", "alice", "alice")
    assert f"has not connected within {HURRY} s" in item["title"]
    assert here.books.said == []


async def test_a_system_that_does_not_start_is_taken_back(here: Site) -> None:
    await here.life.up("alice")
    here.life.runtime.refusal = HiveError("operation_failed", "no init in it")
    await here.deployment.carry_out(order(1))
    assert await here.ended() == ("failed", 1, "the new system does not start: no init in it")
    assert here.system("alice") == _OLD


async def test_back_is_to_what_ran_before_not_to_what_is_declared(here: Site) -> None:
    await here.life.up("alice")
    await here.deployment.carry_out(order(1))
    await here.life.watch.operation("alice", "deploy", "done")
    await here.life.up("alice", "second")
    assert (await here.ended())[0] == "deployed"
    here.hurry()
    await here.deployment.carry_out(order(2, _NEWER))
    assert (await here.ended())[0] == "failed"
    assert (here.system("alice"), here.books.main) == (_NEW, {"alice": f"{1:040x}"})


async def test_an_order_that_is_given_twice_is_carried_out_once(here: Site) -> None:
    await here.life.up("alice")
    await asyncio.gather(*(here.deployment.carry_out(order(1)) for _ in range(3)))
    await here.life.watch.operation("alice", "deploy", "done")
    await here.life.up("alice", "second")
    await here.ended()
    await here.deployment.carry_out(order(1))
    await here.life.settled()
    assert here.books.ends() == [("deployed", 1, None)]
    assert len(here.life.runtime.started) == 2


async def test_without_a_builder_nothing_is_restarted_and_all_else_is_the_same(here: Site) -> None:
    await here.life.up("alice")
    await here.deployment.carry_out(order(1, None))
    assert await here.ended() == ("deployed", 1, None)
    assert [kind for kind, _, _ in here.books.tags("alice")] == ["approved", "deployed"]
    assert here.books.main == {"alice": f"{1:040x}"}
    assert (len(here.life.runtime.started), here.life.runtime.deployed) == (1, [])


async def test_of_a_stopped_agent_only_what_it_starts_on_next_is_changed(here: Site) -> None:
    await here.life.up("alice")
    await here.life.do("alice", "stop")
    await here.deployment.carry_out(order(1))
    assert await here.ended() == ("deployed", 1, "not checked: the agent is stopped")
    await here.life.do("alice", "start")
    assert here.system("alice") == _NEW


async def test_of_an_agent_that_is_gone_nothing_is_deployed(here: Site) -> None:
    await here.life.up("alice")
    await here.life.do("alice", "destroy")
    await here.deployment.carry_out(order(1))
    assert await here.ended() == ("failed", 1, "there is no agent 'alice' any more")


async def test_a_purged_agent_leaves_nothing_to_one_of_its_name(place: Path) -> None:
    async with site(place, {"alice": {}, "bob": {}}, **_SYSTEMS) as here:
        await here.life.up("alice")
        await here.deployment.carry_out(order(1))
        await here.life.watch.operation("alice", "deploy", "done")
        await here.life.up("alice", "second")
        await here.ended()
        await here.life.do("alice", "destroy")
        await here.life.purge("alice")
        assert here.deployment.system("alice") is None
        await here.life.reload({"alice": {}, "bob": {}}, **_SYSTEMS)
        await here.life.up("alice", "third")
        assert here.system("alice") == _OLD


async def test_what_was_deployed_is_what_a_restarted_daemon_starts(place: Path) -> None:
    async with site(place, {"alice": {}}, **_SYSTEMS) as here:
        await here.life.up("alice")
        await here.deployment.carry_out(order(1))
        await here.life.watch.operation("alice", "deploy", "done")
        await here.life.up("alice", "second")
        await here.ended()
    async with site(place, {"alice": {}}, **_SYSTEMS) as here:
        await here.life.up("alice")
        assert here.system("alice") == _NEW
        assert here.books.said == []


async def test_a_machine_that_refuses_for_a_while_is_asked_again(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperhive.hive.deployment._AGAIN", 0.01)
    here.books.refusals.append(HiveError("operation_failed", "no space left"))
    await here.life.up("alice")
    await here.deployment.carry_out(order(1, None))
    assert await here.ended() == ("deployed", 1, None)


async def test_a_daemon_that_ends_while_a_harness_is_waited_for_goes_on_at_its_next_start(place: Path) -> None:
    runtime = fake_runtime(survives_daemon=True)
    async with site(place, {"alice": {}}, runtime, **_SYSTEMS) as here:
        await here.life.up("alice")
        await here.deployment.carry_out(order(1))
        await here.life.watch.operation("alice", "deploy", "done")
        books = here.books
    assert books.ends() == []
    async with site(place, {"alice": {}}, runtime.successor(), books=books, **_SYSTEMS) as here:
        await here.life.up("alice", "second")
        assert await here.ended() == ("deployed", 1, None)
    assert len(books.ends()) == 1


def test_every_step_leads_to_an_end_and_no_end_leads_anywhere() -> None:
    ends = {step for step, after in deployments.STEPS.items() if not after}
    assert ends == {"deployed", "failed"}
    reached = {step: set(after) for step, after in deployments.STEPS.items()}
    for _ in reached:
        for after in reached.values():
            after |= {further for step in after for further in reached[step]}
    assert all(step in ends or (after & ends and step not in after) for step, after in reached.items())
