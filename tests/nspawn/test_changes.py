"""What a rebuilt configuration, and an operator, change about containers that run; and what none of it takes away."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nspawn_swarm import Swarm

pytestmark = [pytest.mark.tier("nspawn"), pytest.mark.asyncio(loop_scope="session")]

_BOTH: dict[str, Any] = {"alice": {}, "bob": {}}
_STATE = "/var/lib/hyperhive/agents"


@asynccontextmanager
async def settings(hive: Swarm, agents: dict[str, Any], **more: Any) -> AsyncIterator[None]:  # noqa: ANN401 - JSON
    """Other settings, until the end of the block, taken in as a rebuilt configuration is."""
    await hive.ready()
    await hive.configure({**_BOTH, **agents}, **more)
    await hive.host.run("systemctl", "reload", "hyperhive")
    try:
        yield
    finally:
        await hive.configure(_BOTH)
        await hive.host.run("systemctl", "reload", "hyperhive")


@asynccontextmanager
async def managed(hive: Swarm, **more: Any) -> AsyncIterator[None]:  # noqa: ANN401 - JSON
    """A hive with a manager, until the end of the block; then its container is gone as well."""
    async with settings(hive, {}, manager={"enable": True}, **more):
        await hive.in_state("manager", "idle")
        yield
    left = ("/etc/nixos-containers/h-manager.conf", "/var/lib/nixos-containers/h-manager")
    await hive.eventually(lambda: is_gone(hive, *left))


async def runs(hive: Swarm, *names: str) -> list[str]:
    """Which run of its container each agent is in."""
    return [(await hive.unit(name))["InvocationID"] for name in names]


async def test_a_prompt_or_a_model_restarts_nothing(hive: Swarm) -> None:
    await hive.ready()
    before, harness = await runs(hive, "alice", "bob"), (await hive.in_state("alice", "idle")).pid
    async with settings(hive, {"alice": {"model": "sonnet", "prompt": "Be brief."}}):
        await hive.eventually(lambda: is_model(hive, "alice", "sonnet"))
        assert (await hive.ask("alice", "What is six times seven?")).body == "42"
        row = await hive.in_state("alice", "idle")
        assert (row.model, row.pid, row.restart_pending) == ("sonnet", harness, False)
        assert await runs(hive, "alice", "bob") == before
    await hive.eventually(lambda: is_model(hive, "alice", "haiku"))
    await hive.ask("alice", "And now?")
    assert await runs(hive, "alice", "bob") == before


async def is_model(hive: Swarm, name: str, model: str) -> bool:
    row = await hive.agent(name)
    return row is not None and row.model == model


async def test_limits_apply_at_once_and_restart_nothing(hive: Swarm) -> None:
    await hive.ready()
    before = await runs(hive, "alice", "bob")

    async def limit(wanted: int) -> bool:
        return (await hive.unit("alice"))["MemoryMax"] == str(wanted)

    async with settings(hive, {"alice": {"limits": {"memoryMax": "1G"}}}):
        await hive.eventually(lambda: limit(1024**3))
        assert await runs(hive, "alice", "bob") == before
    await hive.eventually(lambda: limit(4 * 1024**3))
    assert await runs(hive, "alice", "bob") == before


async def test_another_directory_waits_until_the_turn_has_ended(hive: Swarm) -> None:
    await hive.host.run("sh", "-c", "mkdir -p /srv/data && echo there >/srv/data/file")
    await hive.ready()
    before = await runs(hive, "alice", "bob")
    mounts = {"/data": {"hostPath": "/srv/data", "isReadOnly": True}}
    async with hive.in_a_turn() as answer, settings_of_busy(hive, {"alice": {"bindMounts": mounts}}):
        await hive.eventually(lambda: is_pending(hive, "alice"))
        assert await runs(hive, "alice", "bob") == before
        hive.go_on()
        assert (await answer).body == "42"
        await hive.eventually(lambda: has_other_run(hive, "alice", before[0]))
        row = await hive.in_state("alice", "idle")
        assert not row.restart_pending
        assert await hive.host.inside("alice", "cat", "/data/file") == "there"
        assert await runs(hive, "bob") == before[1:]
    middle = await runs(hive, "alice")
    await hive.eventually(lambda: has_other_run(hive, "alice", middle[0]))
    await hive.ready()


@asynccontextmanager
async def settings_of_busy(hive: Swarm, agents: dict[str, Any]) -> AsyncIterator[None]:
    """Like `settings`, without waiting until nobody has anything to do."""
    for given in (agents, {}):
        await hive.configure({**_BOTH, **given})
        await hive.host.run("systemctl", "reload", "hyperhive")
        if given:
            yield


async def is_pending(hive: Swarm, name: str) -> bool:
    row = await hive.agent(name)
    return row is not None and row.restart_pending


async def has_other_run(hive: Swarm, name: str, before: str) -> bool:
    unit = await hive.unit(name)
    return unit["ActiveState"] == "active" and unit["InvocationID"] != before


async def test_another_system_is_switched_to_and_its_harness_started(hive: Swarm) -> None:
    await hive.ready()
    before, harness = await runs(hive, "alice", "bob"), (await hive.in_state("alice", "idle")).pid
    system = hive.host.make_system("rebuilt")
    async with settings(hive, {}, systems={"default": system}):
        for name in ("alice", "bob"):
            await hive.eventually(lambda name=name: runs_system(hive, name, "rebuilt"))
        await hive.ready()
        assert await runs(hive, "alice", "bob") == before
        assert (await hive.ask("alice", "Still there?")).body == "42"
        row = await hive.in_state("alice", "idle")
        assert row.pid is None or row.pid != harness
    for name in ("alice", "bob"):
        await hive.eventually(lambda name=name: runs_system(hive, name, "default"))
    await hive.ready()


async def test_a_daemon_that_starts_with_another_system_lets_running_turns_end(hive: Swarm) -> None:
    await hive.ready()
    async with hive.in_a_turn() as answer:
        harness = (await hive.in_state("alice", "thinking")).pid
        await hive.configure(_BOTH, systems={"default": hive.host.make_system("upgraded")})
        await hive.restart()
        await hive.eventually(lambda: is_pending(hive, "alice"))
        row = await hive.in_state("alice", "thinking")
        assert (row.restart_pending, row.pid) == (True, harness)
        hive.go_on()
        with suppress(HiveError):
            await answer
    for name in ("alice", "bob"):
        await hive.eventually(lambda name=name: runs_system(hive, name, "upgraded"))
    async with hive.client() as client:
        sent = next(row for row in await client.messages(to="alice") if row.body == "take your time")
        assert (sent.outcome, sent.deliveries) == ("settled", 1)
    await hive.configure(_BOTH)
    await hive.host.run("systemctl", "reload", "hyperhive")
    for name in ("alice", "bob"):
        await hive.eventually(lambda name=name: runs_system(hive, name, "default"))
    await hive.ready()


async def runs_system(hive: Swarm, name: str, system: str) -> bool:
    row = await hive.agent(name)
    if row is None or row.restart_pending or row.operation:
        return False
    said = await hive.host.inside(name, "readlink", "/run/current-system", ok=False)
    return said == f"/nix/store/{system}"


async def test_an_agent_that_left_the_settings_is_kept_and_comes_back_with_all_it_had(hive: Swarm) -> None:
    conf, root = "/etc/nixos-containers/h-carol.conf", "/var/lib/nixos-containers/h-carol"
    async with settings(hive, {"carol": {}}):
        await hive.in_state("carol", "idle")
        await notes(hive, "carol")
    await hive.eventually(lambda: is_gone(hive, conf, root))
    async with hive.client() as client:
        (stone,) = await client.tombstones()
        assert (stone.name, stone.declared, stone.has_login) == ("carol", False, True)
        with pytest.raises(HiveError, match="was destroyed") as refusal:
            await client.send("carol", "Are you there?")
        assert refusal.value.code == "recipient_gone"
    async with settings(hive, {"carol": {}}):
        await hive.in_state("carol", "idle")
        assert await hive.host.inside("carol", "cat", "/root/.claude/.credentials.json", "/state/notes.md") == "l\nn"
        await finished(hive, "carol", "destroy")
        await finished(hive, "carol", "purge")
    assert not hive.host.path(f"{_STATE}/carol").exists()
    assert not hive.host.path(conf).exists()
    async with hive.client() as client:
        assert await client.tombstones() == []


async def notes(hive: Swarm, name: str) -> None:
    """A login and notes, as an agent would have them."""
    await hive.host.inside(name, "sh", "-c", "echo l >/root/.claude/.credentials.json; echo n >/state/notes.md")


async def is_gone(hive: Swarm, *paths: str) -> bool:
    return not any(hive.host.path(path).exists() for path in paths)


async def finished(hive: Swarm, name: str, action: str) -> None:
    """Have something done to an agent and wait for its end."""
    async with hive.client() as client:
        row = await getattr(client, action)(name)

        async def has_ended() -> bool:
            return (await client.operation(row.id)).ended_at is not None

        await hive.eventually(has_ended)
        assert (await client.operation(row.id)).error is None


async def test_destroyed_and_revived_it_has_its_login_and_notes(hive: Swarm) -> None:
    await hive.ready()
    await notes(hive, "alice")
    await finished(hive, "alice", "destroy")
    assert await is_gone(hive, "/etc/nixos-containers/h-alice.conf", "/var/lib/nixos-containers/h-alice")
    await hive.restart()
    async with hive.client() as client:
        assert [stone.name for stone in await client.tombstones()] == ["alice"]
    await finished(hive, "alice", "revive")
    await hive.in_state("alice", "idle")
    assert await hive.host.inside("alice", "cat", "/root/.claude/.credentials.json", "/state/notes.md") == "l\nn"
    assert (await hive.ask("alice", "Do you remember?")).body == "42"


async def test_a_rebuild_mends_whatever_was_done_to_a_container(hive: Swarm) -> None:
    await hive.ready()
    await notes(hive, "alice")
    others = await runs(hive, "bob")
    confs, units = "/etc/nixos-containers/h-alice.conf", "/run/systemd/system/container@h-alice.service.d"
    before = hive.host.path(confs).read_text()
    await hive.host.inside("alice", "sh", "-c", "rm -rf /etc/systemd /usr/local; ln -sfn /nowhere /etc/systemd")
    await hive.host.run("sh", "-c", f"echo PRIVATE_NETWORK=1 >{confs}; rm -rf {units}")
    await finished(hive, "alice", "rebuild")
    await hive.in_state("alice", "idle")
    assert hive.host.path(confs).read_text() == before
    assert "MemoryMax" in hive.host.path(f"{units}/50-hyperhive.conf").read_text()
    assert await hive.host.inside("alice", "cat", "/state/notes.md") == "n"
    assert await runs(hive, "bob") == others


async def test_the_journal_of_a_container_is_read_through_the_hive(hive: Swarm) -> None:
    await hive.ready()
    word = "a word in the journal"
    await hive.host.inside("alice", "sh", "-c", f"echo {word} | systemd-cat -t x; journalctl --sync")
    async with hive.client() as client:
        assert await client.journal("alice", lines=50)
        assert not any(word in line for line in await client.journal("alice", lines=50))
