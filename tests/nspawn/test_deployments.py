"""What the manager proposes and the operator approves runs in a real container, or is taken back where it does not."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from nspawn_host import PATIENCE
from test_changes import managed, runs, runs_system

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nspawn_swarm import Swarm

    from hyperhive.shapes import ApprovalRow

pytestmark = [pytest.mark.tier("nspawn"), pytest.mark.asyncio(loop_scope="session")]

_SOURCE = f"/nix/store/{'s' * 32}-source"
_ENDS = {"deployed", "failed", "denied", "cancelled", "expired"}

#: What the manager's Claude would do with its shell and its tool.
_PROPOSE = """
import http.client, os, socket, subprocess
from urllib.parse import urlencode

def git(*words):
    who = ("-c", "user.name=m", "-c", "user.email=m", "-c", "safe.directory=*")
    return subprocess.run(["git", *who, *words], check=True, capture_output=True, text=True).stdout.strip()

os.makedirs("/tmp/change", exist_ok=True)
os.chdir("/tmp/change")
subprocess.run(["rm", "-rf", "config"], check=True)
git("clone", "--quiet", "--upload-pack", "git -c safe.directory=* upload-pack", "/applied/alice.git", "config")
os.chdir("config")
with open("agent.nix", "w") as file:
    file.write(TEXT)
git("add", "-A")
git("commit", "--quiet", "-m", "a change")
commit = git("rev-parse", "HEAD")
git("update-ref", "refs/hive/proposal", commit)
git("bundle", "create", "--quiet", "--version=2", "/tmp/change/bundle", "refs/hive/proposal")
line = http.client.HTTPConnection("hive")
line.sock = socket.socket(socket.AF_UNIX)
line.sock.connect("/run/hive/hive.sock")
query = urlencode({"agent": "alice", "commit": commit, "description": "a change"})
with open("/tmp/change/bundle", "rb") as bundle:
    line.request("POST", f"/v1/config-proposals?{query}", bundle.read())
print(line.getresponse().read().decode())
"""


def made(hive: Swarm, letter: str, name: str, harness: str | None = None) -> str:
    """A system whose path could be one of a store; its harness is another program where that is said."""
    system = f"{letter * 32}-{name}"
    path = hive.host.root / hive.host.make_system(system).lstrip("/")
    unit = path / "etc" / "systemd" / "system" / "hyperhive-harness.service"
    if harness:
        unit.write_text(re.sub("(?m)^ExecStart=.*$", f"ExecStart={harness}", unit.read_text()))
    return system


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def building(hive: Swarm) -> AsyncIterator[None]:
    """A hive that knows what to build with, and has a manager."""
    async with managed(hive, builder={"hyperhive": _SOURCE, "nixpkgs": _SOURCE}):
        yield


async def proposed(hive: Swarm, system: str) -> int:
    """Have the manager propose a system for alice, which the stand-in builds."""
    return await propose(hive, f"# system: {system}\n")


async def propose(hive: Swarm, agent_nix: str) -> int:
    """Have the manager propose a configuration for alice."""
    said = await hive.python(f"TEXT = {agent_nix!r}\n{_PROPOSE}", in_container="manager")
    answer: dict[str, Any] = json.loads(said.splitlines()[-1])
    assert "id" in answer, said
    return int(answer["id"])


async def in_status(hive: Swarm, number: int, *statuses: str) -> ApprovalRow:
    """Wait for a status of an approval."""

    async def is_so() -> ApprovalRow | None:
        try:
            async with hive.client() as client:
                row = await client.approval(number)
        except HiveError:
            return None
        if row.status in _ENDS - set(statuses):
            msg = f"{row.status}: {row.reason}\n{await hive.log()}"
            raise AssertionError(msg)
        return row if row.status in statuses else None

    row: ApprovalRow = await hive.eventually(is_so)
    return row


async def ended(hive: Swarm, number: int) -> ApprovalRow:
    """An approval at its end; a harness has longer to connect than anything else here may take."""
    async with hive.client() as client, asyncio.timeout(2 * PATIENCE):
        while (row := await client.approval(number)).status in {"approved", "deploying"}:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
    return row


async def approved(hive: Swarm, number: int) -> ApprovalRow:
    """Say yes to what is shown."""
    row = await in_status(hive, number, "pending")
    async with hive.client() as client:
        await client.approve(number, commit=row.commit)
    return row


async def test_an_approved_system_is_switched_to_in_its_container(hive: Swarm) -> None:
    system = made(hive, "a", "approved")
    run, harness = await runs(hive, "alice", "bob"), (await hive.in_state("alice", "idle")).pid
    number = await proposed(hive, system)
    shown = await approved(hive, number)
    assert shown.build is not None
    assert (shown.build.status, shown.build.system) == ("ok", f"/nix/store/{system}")
    assert (shown.build.size_bytes, shown.closure_diff) == (12345678, "tool: 1.0 → 1.1, +12.3 KiB\n")
    await in_status(hive, number, "deployed")
    await hive.eventually(lambda: runs_system(hive, "alice", system))
    assert await runs(hive, "alice", "bob") == run, "no container was restarted"
    row = await hive.in_state("alice", "idle")
    assert row.pid is None or row.pid != harness
    assert (await hive.ask("alice", "Still there?")).body == "42"
    roots = await hive.host.run("ls", "/nix/var/nix/gcroots/hyperhive")
    assert f"kept-alice-{number}" in roots.split()
    assert f"proposal-{number}" not in roots.split()
    # Also to a daemon that starts anew, and whatever the settings say that others run.
    await hive.restart()
    await hive.in_state("alice", "idle")
    await hive.eventually(lambda: runs_system(hive, "alice", system))
    await hive.eventually(lambda: runs_system(hive, "bob", "default"))


@pytest.mark.long
async def test_a_system_whose_harness_does_not_come_up_is_taken_back(hive: Swarm) -> None:
    before = await hive.host.inside("alice", "readlink", "/run/current-system")
    number = await proposed(hive, made(hive, "b", "broken", "/bin/false"))
    await approved(hive, number)
    await in_status(hive, number, "deploying")
    await hive.eventually(lambda: _runs(hive, f"/nix/store/{'b' * 32}-broken"))
    row = await ended(hive, number)
    assert row.status == "failed"
    assert "has not connected within 60 s" in (row.reason or "")
    await hive.in_state("alice", "idle")
    assert await hive.host.inside("alice", "readlink", "/run/current-system") == before
    assert (await hive.ask("alice", "Back again?")).body == "42"
    tags = await hive.host.run(
        "git", "-C", "/var/lib/hyperhive/applied/alice.git", "tag", "-n9", "-l", f"failed/{number}"
    )
    assert "has not connected" in tags


async def _runs(hive: Swarm, system: str) -> bool:
    return await hive.host.inside("alice", "readlink", "/run/current-system", ok=False) == system


async def test_what_does_not_build_is_not_asked_about(hive: Swarm) -> None:
    row = await in_status(hive, await proposed(hive, f"{'c' * 32}-missing"), "failed")
    assert row.build is not None
    assert (row.build.status, row.reason) == (
        "failed",
        f"it does not build: the build failed: builder for '/nix/store/{'c' * 32}-missing' failed",
    )
    assert "hyperhive: building /nix/store" in (row.build.log or "")
