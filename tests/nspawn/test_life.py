"""The daemon and the containers end and come back in every way they can, and what was accepted is answered."""

from __future__ import annotations

import asyncio
import re
import textwrap
from typing import TYPE_CHECKING

import pytest
from nspawn_host import PATIENCE
from nspawn_restart import restart

from hyperhive.harness.settings import Timings
from hyperhive.names import web_port

if TYPE_CHECKING:
    from nspawn_swarm import Swarm

pytestmark = [pytest.mark.tier("nspawn"), pytest.mark.asyncio(loop_scope="session")]

#: The runtime, used beside the daemon for what no command of its API does yet.
_WITH_RUNTIME = """
import asyncio
from dataclasses import replace
from pathlib import Path
from hyperhive.config_file import load_settings
from hyperhive.hive.layout import Layout
from hyperhive.runtime.container import container_of
from hyperhive.runtime.nixos_container import NixosContainerRuntime

async def main():
    settings = load_settings(Path("/etc/hyperhive/config.json"))
    plan = replace(Layout.of(settings).plan("alice", {}), container=container_of(settings, "alice"))
    plan = replace(plan, credentials=settings.defaults.credentials)
    runtime = NixosContainerRuntime()
    await runtime.found()
"""


async def with_runtime(hive: Swarm, body: str) -> str:
    program = _WITH_RUNTIME + textwrap.indent(textwrap.dedent(body), "    ") + "\nasyncio.run(main())\n"
    return await hive.python(program)


@pytest.mark.parametrize("how", ["restart", "stop and start", "kill -9"])
async def test_containers_go_on_while_the_daemon_is_away(hive: Swarm, how: str) -> None:
    await hive.ready()
    before = await hive.unit("alice")
    harness = (await hive.in_state("alice", "idle")).pid
    if how == "restart":
        await hive.host.run("systemctl", "restart", "hyperhive")
    elif how == "kill -9":
        await hive.host.run("systemctl", "kill", "--signal=KILL", "hyperhive")
        await hive.eventually(lambda: hive.agent("alice"))
    else:
        await hive.host.run("systemctl", "stop", "hyperhive")
        assert (await hive.unit("alice"))["ActiveState"] == "active"
        await hive.begin()
    row = await hive.in_state("alice", "idle")
    assert (await hive.ask("alice", "And now?")).body == "42"
    assert (await hive.unit("alice"))["InvocationID"] == before["InvocationID"]
    assert row.pid == harness


async def test_nobody_waits_for_the_end_of_a_poll_to_see_that_the_daemon_was_restarted(hive: Swarm) -> None:
    await hive.ready()
    # How soon they are there is a figure of the benchmark; here, that it is not the rhythm of the polls.
    assert (await restart(hive, ("alice", "bob"), PATIENCE)).last < Timings().poll / 4


async def test_a_stopped_agent_stays_stopped_and_starts_again(hive: Swarm) -> None:
    await hive.ready()
    async with hive.client() as client:
        await client.stop("alice")
    await hive.in_state("alice", "stopped")
    assert (await hive.unit("alice"))["ActiveState"] == "inactive"
    await hive.restart()
    await hive.in_state("bob", "idle")
    assert (await hive.unit("alice"))["ActiveState"] == "inactive"
    async with hive.client() as client:
        await client.start("alice")
    await hive.in_state("alice", "idle")


async def logged(hive: Swarm, words: str) -> bool:
    return words in await hive.log()


async def test_a_killed_nspawn_is_mended(hive: Swarm) -> None:
    await hive.ready()
    before = await hive.unit("alice")
    await hive.host.run("kill", "-9", before["MainPID"])

    async def again() -> bool:
        unit = await hive.unit("alice")
        return unit["ActiveState"] == "active" and unit["InvocationID"] != before["InvocationID"]

    await hive.eventually(again)
    await hive.in_state("alice", "idle")
    assert (await hive.ask("alice", "Are you well?")).body == "42"
    await hive.eventually(lambda: logged(hive, "'alice': the harness ended"))


async def test_a_poweroff_inside_is_seen_and_the_agent_comes_back(hive: Swarm) -> None:
    await hive.ready()
    before, others = await hive.unit("bob"), await hive.unit("alice")
    await hive.host.inside("bob", "systemctl", "poweroff", ok=False)

    async def again() -> bool:
        unit = await hive.unit("bob")
        return unit["ActiveState"] == "active" and unit["InvocationID"] != before["InvocationID"]

    await hive.eventually(again)
    await hive.in_state("bob", "idle")
    await hive.eventually(lambda: logged(hive, "'bob': the harness ended"))
    assert (await hive.unit("alice"))["InvocationID"] == others["InvocationID"]


async def test_another_system_is_switched_to_and_one_that_refuses_is_restarted(hive: Swarm) -> None:
    await hive.ready()
    before = await hive.unit("alice")
    harness = (await hive.in_state("alice", "idle")).pid
    newer = hive.host.make_system("newer")
    deploy = "print(await runtime.deploy(replace(plan, container=replace(plan.container, system=Path('{}')))))"
    assert await with_runtime(hive, deploy.format(newer)) == "reload"
    assert await hive.host.inside("alice", "cat", "/etc/system-name") == "newer"
    assert (await hive.unit("alice"))["InvocationID"] == before["InvocationID"]
    assert (await hive.in_state("alice", "idle")).pid == harness
    assert hive.host.path("/nix/var/nix/gcroots/hyperhive/h-alice").readlink().name == "newer"
    stubborn = hive.host.make_system("stubborn")
    (hive.host.root / "nix/store/stubborn/refuses-to-switch").touch()
    assert (await with_runtime(hive, deploy.format(stubborn))).splitlines()[-1] == "restart"
    assert await hive.host.inside("alice", "cat", "/etc/system-name") == "stubborn"
    await hive.in_state("alice", "idle")


async def test_destroyed_and_made_again_it_has_its_login_and_notes(hive: Swarm) -> None:
    await hive.ready()
    await hive.host.inside(
        "alice", "sh", "-c", "echo login >/root/.claude/.credentials.json; echo notes >/state/notes.md"
    )
    await hive.host.run("systemctl", "stop", "hyperhive")
    assert await with_runtime(hive, "await runtime.destroy('alice'); await runtime.destroy('alice')") == ""
    for gone in ("/etc/nixos-containers/h-alice.conf", "/var/lib/nixos-containers/h-alice"):
        assert not hive.host.path(gone).exists()
    await hive.begin()
    await hive.in_state("alice", "idle")
    assert (
        await hive.host.inside("alice", "cat", "/root/.claude/.credentials.json", "/state/notes.md") == "login\nnotes"
    )
    assert (await hive.ask("alice", "Do you remember?")).body == "42"


async def test_a_container_that_does_not_start_is_failed_and_says_why(hive: Swarm) -> None:
    await hive.ready()
    others = [await hive.unit(name) for name in ("alice", "bob")]
    broken = hive.host.make_system("broken")
    (hive.host.root / "nix/store/broken/init").write_text("#!/bin/sh\necho the init is broken\nexit 1\n")
    await hive.configure({"alice": {}, "bob": {}, "carol": {"system": broken}})
    await hive.restart()
    row = await hive.in_state("carol", "failed")
    assert "the init is broken" in (row.problem or "")
    await hive.ready()
    same = [await hive.unit(name) for name in ("alice", "bob")]
    assert [unit["InvocationID"] for unit in same] == [unit["InvocationID"] for unit in others]
    await hive.configure({"alice": {}, "bob": {}})
    await hive.restart()
    await hive.ready()


async def test_two_at_once_are_two(hive: Swarm) -> None:
    await hive.ready()
    answers = await asyncio.gather(hive.ask("alice", "you?"), hive.ask("bob", "and you?"))
    assert [answer.body for answer in answers] == ["42", "43"]


async def test_ports_stay_with_systemd_while_the_daemon_is_stopped(hive: Swarm) -> None:
    await hive.ready()
    ports = (7000, web_port("alice"), web_port("bob"))

    async def listeners() -> list[str]:
        """Each listening socket of those ports, with its inode."""
        said = await hive.host.run("ss", "-Hltne", " or ".join(f"sport = :{port}" for port in ports))
        return sorted(re.sub(r".*?(\S+:\d+) .* ino:(\d+).*", r"\1 \2", line) for line in said.splitlines())

    before = await listeners()
    assert len(before) == 2 * len(ports)
    await hive.host.run("systemctl", "stop", "hyperhive")
    while_stopped = await listeners()
    await hive.begin()
    assert while_stopped == before
    assert await listeners() == before
    await hive.ready()
