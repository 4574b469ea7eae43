"""Limits of an agent hold: whoever runs into one harms neither the daemon nor another agent.

On a machine of its own where this one has its controllers in hierarchies of version 1; see `nspawn_cgroups`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from nspawn_cgroups import Cgroups
from nspawn_host import why_not
from nspawn_image import why_no_image
from nspawn_swarm import swarm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nspawn_swarm import Swarm

pytestmark = [pytest.mark.tier("nspawn"), pytest.mark.asyncio(loop_scope="module")]

_TASKS = 150
_QUOTA = 0.7
_AGENTS = {
    "alice": {"limits": {"memoryMax": "1G", "tasksMax": _TASKS}},
    "bob": {"limits": {"cpuQuota": f"{_QUOTA:.0%}"}},
}
#: Twice what alice may have. It is larger than claude and the harness before it is at the limit, so it is what goes.
_EAT = f"{sys.executable} -c 'x = bytearray(2 * 1024**3)' 2>&1; echo ended with $?"
_SCENARIO = {
    "agents": {
        "alice": {
            "rules": [
                {
                    "when": "eat it up",
                    "steps": [
                        {"tool": "Bash", "input": {"command": _EAT}},
                        {"tool": "send", "input": {"to": "operator", "body": "{tool_result}"}},
                    ],
                }
            ],
            "otherwise": [{"tool": "send", "input": {"to": "operator", "body": "42"}}],
        },
        "bob": {"otherwise": [{"tool": "send", "input": {"to": "operator", "body": "43"}}]},
    }
}
#: Children that do nothing, until there may be no more of them; they are held until the file is there.
_BOMB = """
import os, signal, time
children = []
try:
    while len(children) < 2000:
        if (child := os.fork()) == 0:
            signal.pause()
        children.append(child)
except OSError as error:
    print(len(children), error.errno, flush=True)
while not os.path.exists("/state/enough"):
    time.sleep(0.05)
for child in children:
    os.kill(child, signal.SIGKILL)
"""
_BURN = """
import os, time
began = time.monotonic()
for _ in range(2):
    if os.fork() == 0:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            pass
        os._exit(0)
os.wait(); os.wait()
print(os.times().children_user + os.times().children_system, time.monotonic() - began)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def limited(require_tier: Callable[[str, object, str], None]) -> AsyncIterator[Swarm]:
    """Alice may have little memory and few tasks, bob not a whole processor."""
    why = why_not() or why_no_image()
    require_tier("nspawn", not why, why)
    async with swarm(_AGENTS, _SCENARIO, Cgroups.limiting()) as made:
        run = ("systemd-run", "--quiet", "--wait", "--pipe", "--property=MemoryMax=30M", "--property=MemorySwapMax=0")
        hungry = "x = bytearray(200_000_000); print(len(x))"
        if await made.host.run(*run, *made.interpreter, "-c", hungry, ok=False) == "200000000":
            pytest.skip("not enforced by this systemd and kernel: MemoryMax, CPUQuota, TasksMax")
        yield made


async def _all_is_well(limited: Swarm, daemon: str, units: list[dict[str, str]]) -> None:
    """Nothing was restarted, and both still answer."""
    answers = await asyncio.gather(limited.ask("alice", "still there?"), limited.ask("bob", "and you?"))
    assert [answer.body for answer in answers] == ["42", "43"]
    after = [await limited.unit(name) for name in _AGENTS]
    assert [unit["InvocationID"] for unit in after] == [unit["InvocationID"] for unit in units]
    assert await _daemon(limited) == daemon


async def _daemon(limited: Swarm) -> str:
    return await limited.host.run("systemctl", "show", "hyperhive", "--property=InvocationID,MainPID,NRestarts")


async def test_a_command_over_the_agents_memory_is_killed_and_the_agent_says_so(limited: Swarm) -> None:
    await limited.ready()
    daemon, units = await _daemon(limited), [await limited.unit(name) for name in _AGENTS]
    harness = (await limited.in_state("alice", "idle")).pid
    assert units[0]["MemoryMax"] == str(1024**3)
    told = (await limited.ask("alice", "eat it up")).body
    assert "ended with 137" in told
    assert (await limited.in_state("alice", "idle")).pid == harness
    await _all_is_well(limited, daemon, units)


async def test_a_fork_bomb_ends_at_the_agents_tasks(limited: Swarm) -> None:
    await limited.ready()
    daemon, units = await _daemon(limited), [await limited.unit(name) for name in _AGENTS]
    bomb = asyncio.create_task(limited.python(_BOMB, in_container="alice"))

    async def full() -> bool:
        shown = await limited.host.run("systemctl", "show", "container@h-alice", "--property=TasksCurrent", "--value")
        assert int(shown) <= _TASKS
        return int(shown) >= _TASKS - 1

    await limited.eventually(full)
    assert (await limited.ask("bob", "can you work?")).body == "43"
    assert not bomb.done()
    (limited.host.path("/var/lib/hyperhive/agents/alice/state") / "enough").touch()
    children, why = (await bomb).split()
    assert int(children) < _TASKS
    assert why == "11"
    await _all_is_well(limited, daemon, units)


async def test_the_processor_is_shared_out(limited: Swarm) -> None:
    await limited.ready()
    used, took = map(float, (await limited.python(_BURN, in_container="bob")).split())
    # Two of them for two seconds; a third more for what is not measured that finely.
    assert 0 < used < took * _QUOTA * 1.34
