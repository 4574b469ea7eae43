"""What the manager's container has that no other has: everybody's repositories, and nothing else of anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from test_changes import finished, managed, runs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nspawn_swarm import Swarm

pytestmark = [pytest.mark.tier("nspawn"), pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def manager(hive: Swarm) -> AsyncIterator[None]:
    """A hive with a manager."""
    async with managed(hive):
        yield


async def in_manager(hive: Swarm, command: str) -> str:
    """What a command in a shell of the manager's root says."""
    return await hive.host.inside("manager", "sh", "-c", command, ok=False)


async def cloned(hive: Swarm, *names: str) -> None:
    """Have the manager take a turn; its harness clones before that what is not cloned yet."""
    async with hive.client() as client:
        await client.send("manager", "Look at what there is.")
    for name in names:
        await hive.eventually(lambda name=name: in_manager(hive, f"cat /agents/{name}/config/agent.nix 2>/dev/null"))


async def test_the_repositories_are_there_one_kind_to_write_and_one_to_read(hive: Swarm) -> None:
    await cloned(hive, "alice", "bob")
    assert {"alice", "bob"} <= set((await in_manager(hive, "ls /agents")).split())
    assert {"alice.git", "bob.git"} <= set((await in_manager(hive, "ls /applied")).split())
    assert await in_manager(hive, "echo made >/agents/alice/config/made && cat /agents/alice/config/made") == "made"
    made = hive.host.path("/var/lib/hyperhive/proposed/alice/config/made")
    assert made.stat().st_uid == 0, "root's through the mapped mount, and of nobody on the host"
    git = "git -c safe.directory='*' -C /applied/alice.git"
    assert await in_manager(hive, f"{git} show main:agent.nix") == await in_manager(
        hive, "cat /agents/alice/config/agent.nix"
    )
    for attempt in (
        "touch /applied/x",
        "echo x >/applied/alice.git/config",
        f"{git} update-ref refs/heads/x main",
        f"{git} config core.fsmonitor /bin/false",
    ):
        assert "Read-only file system" in await in_manager(hive, attempt), attempt
    assert await in_manager(hive, "mount -o remount,bind,rw /applied 2>&1 && echo done") != "done"
    assert "Read-only file system" in await in_manager(hive, "touch /applied/x")


async def test_nothing_else_of_another_agent_is_reached(hive: Swarm) -> None:
    (hive.host.path("/var/lib/hyperhive/agents/alice/state") / "alice-notes.md").write_text("private")
    (hive.host.path("/var/lib/hyperhive/agents/alice/claude") / "alice-login").write_text("private")
    places = "/state /root /run /shared /var /etc /tmp"
    found = await in_manager(
        hive,
        f"find / -xdev -path /proc -prune -o -path /agents -prune -o -path /applied -prune -o -name '*alice*' -print; "
        f"find {places} -name '*alice*' 2>/dev/null",
    )
    assert [line for line in found.splitlines() if not line.startswith("find:")] == []
    mounts = (await in_manager(hive, "cut -d' ' -f2 /proc/mounts")).split()
    assert {"/agents", "/applied", "/state", "/shared", "/root/.claude", "/run/hive"} <= set(mounts)
    assert [place for place in mounts if "alice" in place or "bob" in place] == []
    # Nor by a link that it sets where it may write: in there it leads to what is in there.
    link = "ln -sfn /var/lib/hyperhive/agents/alice /agents/alice/config/out; ls /agents/alice/config/out/ 2>/dev/null"
    assert await in_manager(hive, link) == ""
    for name in ("alice", "bob"):
        assert await hive.host.inside(name, "sh", "-c", "ls -d /agents /applied 2>/dev/null || :") == ""


async def test_who_is_spawned_later_is_there_without_a_restart_of_the_manager(hive: Swarm) -> None:
    before = await runs(hive, "manager")
    async with hive.client() as client:
        await client.spawn("carl")
    try:
        await hive.in_state("carl", "idle")
        await hive.eventually(lambda: in_manager(hive, "ls -d /agents/carl /applied/carl.git 2>/dev/null | sort -u"))
        await cloned(hive, "carl")
        assert await in_manager(hive, "echo made >/agents/carl/config/made && cat /agents/carl/config/made") == "made"
        assert "Read-only file system" in await in_manager(hive, "touch /applied/carl.git/x")
        assert await runs(hive, "manager") == before
    finally:
        await finished(hive, "carl", "destroy")
        await finished(hive, "carl", "purge")
    assert "carl" not in (await in_manager(hive, "ls /agents /applied")).replace(".git", "").split()
    assert await runs(hive, "manager") == before
