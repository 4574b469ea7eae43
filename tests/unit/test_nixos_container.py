"""The container runtime on a host in memory: exact commands for each operation, and every trap of the real programs."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from nixos_host import FIRST_UID, LEFTOVER, NixosHost

from hyperhive.errors import HiveError
from hyperhive.runtime.command import Done
from hyperhive.runtime.container import Bind, ContainerLimits
from hyperhive.runtime.repairs import Repairs
from hyperhive.runtime.units import Unit
from hyperhive.testing.contracts.runtime import CONTRACTS, Subject, r9_close_ends_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from hyperhive.runtime.base import Exit
    from hyperhive.runtime.nixos_container import NixosContainerRuntime
    from hyperhive.testing.contracts.runtime import Contract

UNIT = "container@h-alice.service"


@pytest.fixture
def host(tmp_path: Path) -> NixosHost:
    return NixosHost(tmp_path)


@pytest.fixture
async def runtime(host: NixosHost) -> AsyncIterator[NixosContainerRuntime]:
    runtime = host.runtime()
    yield runtime
    await runtime.close()


@pytest.fixture
def exits(runtime: NixosContainerRuntime) -> list[Exit]:
    seen: list[Exit] = []
    runtime.on_exit = seen.append
    return seen


# What every runtime does. Its agents outlive it, so the contract of the end is another one.


@pytest.mark.parametrize("contract", [one for one in CONTRACTS if one is not r9_close_ends_all])
async def test_contract(contract: Contract, host: NixosHost, runtime: NixosContainerRuntime) -> None:
    async def crash(name: str, code: int) -> None:
        host.set(name, active="inactive", sub="dead", code=code)
        await runtime.look()

    await contract(Subject(runtime, host.plan, crash))


async def test_containers_go_on_when_the_hive_ends(
    host: NixosHost, runtime: NixosContainerRuntime, exits: list[Exit]
) -> None:
    await runtime.start(host.plan())
    host.taken()
    await runtime.close()
    await runtime.close()
    assert (host.taken(), exits, host.units["alice"].is_up) == ([], [], True)
    with pytest.raises(HiveError) as refusal:
        await runtime.start(host.plan("bob"))
    assert refusal.value.code == "shutting_down"


# Operations, command by command.


async def test_the_first_start(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    await runtime.start(host.plan())
    assert host.taken() == [
        f"nixos-container create h-alice --system-path {host.system}",
        "systemctl daemon-reload",
        f"systemctl reset-failed {UNIT}",
        f"systemctl start {UNIT}",
    ]
    assert (host.paths.gc_roots / "h-alice").readlink() == host.system
    assert not (host.paths.gc_roots / "h-alice.next").is_symlink()
    for path in (host.conf(), host.drop_in()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert sorted(path.name for path in host.paths.confs.iterdir()) == ["h-alice.conf"]


async def test_a_later_start_makes_nothing_anew(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    await runtime.start(host.plan())
    await runtime.stop("alice")
    host.taken()
    await runtime.start(host.plan())
    assert host.taken() == [f"systemctl reset-failed {UNIT}", f"systemctl start {UNIT}"]


async def test_a_start_takes_over_what_runs(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    host.set("alice", active="active", sub="running", invocation="before")
    await runtime.start(host.plan(limits=ContainerLimits("1G")))
    assert (host.taken(), runtime.running()) == ([], {"alice"})
    assert not host.conf().exists()


async def test_stop_and_restart(host: NixosHost, runtime: NixosContainerRuntime, exits: list[Exit]) -> None:
    await runtime.start(host.plan())
    host.taken()
    await runtime.restart(host.plan())
    await runtime.stop("alice")
    await runtime.stop("alice")
    assert host.taken() == [
        f"systemctl stop {UNIT}",
        f"systemctl reset-failed {UNIT}",
        f"systemctl start {UNIT}",
        f"systemctl stop {UNIT}",
    ]
    assert [(end.code, end.expected) for end in exits] == [(0, True), (0, True)]


async def test_destroy_keeps_the_agents_directories(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    plan = host.plan()
    await runtime.start(plan)
    (plan.claude / ".credentials.json").write_text("login")
    (plan.state / "notes.md").write_text("notes")
    host.taken()
    await runtime.destroy("alice")
    assert host.taken() == [
        f"systemctl stop {UNIT}",
        f"systemctl reset-failed {UNIT}",
        "nixos-container destroy h-alice",
        "systemctl daemon-reload",
    ]
    left = (host.conf(), host.root(), host.drop_in().parent, host.paths.gc_roots / "h-alice")
    assert not any(path.exists() or path.is_symlink() for path in left)
    await runtime.start(plan)
    assert (plan.claude / ".credentials.json").read_text() == "login"
    assert (plan.state / "notes.md").read_text() == "notes"


async def test_destroying_nothing_is_nothing(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    await runtime.destroy("alice")
    await runtime.destroy("alice")
    assert not [call for call in host.taken() if call.startswith("nixos-container")]


# Deploys.


async def test_another_system_is_switched_to_without_a_restart(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    await runtime.start(host.plan())
    host.taken()
    newer = host.store("newer")
    assert runtime.change(host.plan(system=newer)) == "reload"
    assert await runtime.deploy(host.plan(system=newer)) == "reload"
    assert host.taken() == [f"systemctl reload {UNIT}"]
    assert f"SYSTEM_PATH={newer}\n" in host.conf().read_text()
    assert (host.paths.gc_roots / "h-alice").readlink() == newer
    assert runtime.change(host.plan(system=newer)) == "none"


async def test_both_systems_are_rooted_while_it_switches(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    await runtime.start(host.plan())
    newer = host.store("newer")
    rooted: list[Path] = []
    host.on["systemctl reload"] = lambda: rooted.extend(path.readlink() for path in host.paths.gc_roots.iterdir())
    await runtime.deploy(host.plan(system=newer))
    assert set(rooted) == {host.system, newer}


async def test_a_switch_that_fails_becomes_a_restart(
    host: NixosHost, runtime: NixosContainerRuntime, exits: list[Exit]
) -> None:
    await runtime.start(host.plan())
    host.taken()
    host.failing["systemctl reload"] = Done(100, err="the init interface changed")
    assert await runtime.deploy(host.plan(system=host.store("newer"))) == "restart"
    assert host.taken() == [
        f"systemctl reload {UNIT}",
        f"systemctl stop {UNIT}",
        f"systemctl reset-failed {UNIT}",
        f"systemctl start {UNIT}",
    ]
    assert [end.expected for end in exits] == [True]


async def test_a_switch_that_a_killed_hive_began_is_done_again(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    await runtime.start(host.plan())
    newer = host.plan(system=host.store("newer"))

    def killed() -> None:
        raise KeyboardInterrupt

    host.on["systemctl reload"] = killed
    with pytest.raises(KeyboardInterrupt):
        await runtime.deploy(newer)
    host.on.clear()
    host.taken()
    later = host.runtime()
    await later.found()
    assert later.change(newer) == "reload"
    await later.deploy(newer)
    assert host.taken() == [f"systemctl reload {UNIT}"]
    await later.close()


async def test_limits_are_applied_to_what_runs(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    await runtime.start(host.plan())
    host.taken()
    plan = host.plan(limits=ContainerLimits("2G", "150%", 99))
    assert runtime.change(plan) == "limits"
    await runtime.deploy(plan)
    assert host.taken() == ["systemctl daemon-reload"]
    assert {"MemoryMax=2G", "CPUQuota=150%", "TasksMax=99"} <= set(host.drop_in().read_text().splitlines())
    assert await runtime.deploy(plan) == "none"
    assert host.taken() == []


async def test_binds_take_a_restart(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    await runtime.start(host.plan())
    host.taken()
    plan = host.plan(binds=(Bind(host.directory, "/src"),))
    assert runtime.change(plan) == "restart"
    assert await runtime.deploy(plan) == "restart"
    assert host.taken()[:1] == [f"systemctl stop {UNIT}"]
    assert f"--bind-ro={host.directory}:/src:idmap" in host.conf().read_text()


async def test_what_cannot_start_leaves_the_old_one_running(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    await runtime.start(host.plan())
    before = host.conf().read_text()
    host.taken()
    missing = host.directory / "missing"
    for plan in (host.plan(system=missing), host.plan(binds=(Bind(missing, "/src"),))):
        with pytest.raises(HiveError, match=str(missing)) as refusal:
            await runtime.deploy(plan)
        assert refusal.value.code == "bad_config"
    assert (host.taken(), host.conf().read_text(), runtime.running()) == ([], before, {"alice"})


async def test_a_deploy_of_what_does_not_run_starts_nothing(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    await runtime.deploy(host.plan())
    assert host.taken() == [f"nixos-container create h-alice --system-path {host.system}", "systemctl daemon-reload"]
    assert runtime.running() == frozenset()


async def test_many_drop_ins_are_read_together(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    await asyncio.gather(*(runtime.start(host.plan(f"a{number}")) for number in range(10)))
    reloads = host.taken().count("systemctl daemon-reload")
    assert len(runtime.running()) == 10
    assert reloads < 10


# Traps of nixos-container.


async def test_a_failed_create_is_destroyed_so_that_a_retry_works(
    host: NixosHost, runtime: NixosContainerRuntime
) -> None:
    host.failing["nixos-container create"] = Done(LEFTOVER, err="error: build of 'system' failed")
    with pytest.raises(HiveError, match="build of 'system' failed") as refusal:
        await runtime.start(host.plan())
    assert refusal.value.code == "operation_failed"
    assert host.taken()[-1] == "nixos-container destroy h-alice"
    host.failing.clear()
    await runtime.start(host.plan())
    assert runtime.running() == {"alice"}


@pytest.mark.parametrize("code", [1, 2, 4, 25, 255, -9])
async def test_any_exit_code_but_none_is_a_failure(host: NixosHost, runtime: NixosContainerRuntime, code: int) -> None:
    host.failing["nixos-container create"] = Done(code)
    with pytest.raises(HiveError, match=f"ended with {code}"):
        await runtime.start(host.plan())


async def test_the_longest_name_fits(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    await runtime.start(host.plan("a23456789"))
    assert host.taken()[0].startswith("nixos-container create h-a23456789 ")


async def test_a_container_of_the_configuration_is_not_touched(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    host.conf().symlink_to(host.system)
    with pytest.raises(HiveError, match=r"containers\.h-alice") as refusal:
        await runtime.start(host.plan())
    assert refusal.value.code == "wrong_state"
    assert host.taken() == []


async def test_destroy_ends_a_loop_of_restarts_first(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    await runtime.deploy(host.plan())
    # To nixos-container this is `down`: it would stop nothing, and the unit would come back without a conf.
    host.set("alice", active="activating", sub="auto-restart", restarts=2)
    host.taken()
    await runtime.destroy("alice")
    stop, reset, destroy, *_ = host.taken()
    assert (stop, reset) == (f"systemctl stop {UNIT}", f"systemctl reset-failed {UNIT}")
    assert destroy == "nixos-container destroy h-alice"


async def test_a_root_that_was_busy_is_said_and_destroyed_by_the_next_try(
    host: NixosHost, runtime: NixosContainerRuntime
) -> None:
    await runtime.start(host.plan())
    (host.root() / "busy").touch()
    with pytest.raises(HiveError, match=str(host.root())):
        await runtime.destroy("alice")
    (host.root() / "busy").unlink()
    await runtime.destroy("alice")
    assert not host.root().exists()


async def test_update_is_never_used(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    # It ignores --system-path.
    await runtime.start(host.plan())
    await runtime.deploy(host.plan(system=host.store("newer")))
    await runtime.destroy("alice")
    calls = [call.split() for call in host.taken()]
    assert not [words for words in calls if {"update", "--flake", "--auto-start"} & set(words)]


async def test_a_missing_directory_is_said_before_nspawn_fails_on_it(
    host: NixosHost, runtime: NixosContainerRuntime
) -> None:
    with pytest.raises(HiveError, match=r"agents\.alice\.bindMounts") as refusal:
        await runtime.start(host.plan(binds=(Bind(host.directory / "gone", "/src"),)))
    assert (refusal.value.code, host.taken()) == ("bad_config", [])


async def test_a_system_that_was_collected_is_said(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    with pytest.raises(HiveError, match="not in the store") as refusal:
        await runtime.start(host.plan(system=host.directory / "collected"))
    assert (refusal.value.code, host.taken()) == ("bad_config", [])
    with pytest.raises(HiveError, match=r"systems\.default"):
        await runtime.start(host.plan(system=None))
    with pytest.raises(HiveError, match=r"systems\.default"):
        await runtime.start(replace(host.plan(), container=None))


async def test_a_container_that_does_not_start_says_why_and_rests(
    host: NixosHost, runtime: NixosContainerRuntime, exits: list[Exit]
) -> None:
    host.failing["systemctl start"] = Done(1, err="Job for container@h-alice.service failed")
    host.console = "one\ntwo\nFailed to stat /nix/var/nix/daemon-socket: No such file or directory\n"
    with pytest.raises(HiveError, match="Failed to stat /nix/var/nix/daemon-socket") as refusal:
        await runtime.start(host.plan())
    assert refusal.value.data["tail"][0] == "one"
    # Else systemd tries again by itself.
    assert host.taken()[-1] == f"systemctl stop {UNIT}"
    assert (exits, runtime.running()) == ([], frozenset())


async def test_a_host_without_the_template_says_what_to_set(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    host.set("alice", load="not-found")
    host.failing["systemctl start"] = Done(5, err="Unit container@h-alice.service not found.")
    with pytest.raises(HiveError) as refusal:
        await runtime.start(host.plan())
    assert "boot.enableContainers = true" in refusal.value.hint


# Crashes and repairs.


async def test_what_ended_by_itself_is_reported_once(
    host: NixosHost, runtime: NixosContainerRuntime, exits: list[Exit]
) -> None:
    await runtime.start(host.plan())
    await runtime.look()
    assert exits == []
    host.console = "Powering off.\n"
    host.set("alice", active="inactive", sub="dead")
    await runtime.look()
    await runtime.look()
    assert [(end.code, end.expected, end.tail) for end in exits] == [(0, False, ("Powering off.",))]
    assert runtime.running() == frozenset()


async def test_one_look_is_one_question(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    for name in ("alice", "bob", "carol"):
        await runtime.start(host.plan(name))
    host.calls.clear()
    assert await runtime.look() == {"alice", "bob", "carol"}
    assert host.calls == [
        f"systemctl show -- {' '.join(f'container@h-{name}.service' for name in ('alice', 'bob', 'carol'))}"
    ]


async def test_the_first_look_only_seeds(host: NixosHost, runtime: NixosContainerRuntime, exits: list[Exit]) -> None:
    host.set("alice", active="active", sub="running", invocation="before")
    host.set("bob", active="failed", sub="failed")
    host.set("not-a-good-name", active="active", sub="running")
    assert await runtime.found() == {"alice"}
    await runtime.look()
    assert exits == []
    host.set("alice", active="failed", sub="failed", code=-9)
    await runtime.look()
    assert [(end.name, end.code) for end in exits] == [("alice", -9)]


async def test_a_broken_container_is_stopped_and_reset_before_it_is_started(
    host: NixosHost, runtime: NixosContainerRuntime, exits: list[Exit]
) -> None:
    await runtime.start(host.plan())
    host.set("alice", active="failed", sub="failed", result="exit-code", restarts=5, code=-9)
    await runtime.look()
    assert [end.expected for end in exits] == [False]
    host.taken()
    await runtime.start(host.plan())
    assert host.taken() == [f"systemctl stop {UNIT}", f"systemctl reset-failed {UNIT}", f"systemctl start {UNIT}"]
    assert runtime.running() == {"alice"}


async def test_a_loop_of_restarts_is_seen_before_systemd_gives_up(
    host: NixosHost, runtime: NixosContainerRuntime, exits: list[Exit]
) -> None:
    await runtime.start(host.plan())
    host.set("alice", active="activating", sub="auto-restart", restarts=1)
    await runtime.look()
    assert exits == []
    host.set("alice", active="activating", sub="start", restarts=2)
    await runtime.look()
    assert len(exits) == 1
    host.taken()
    await runtime.start(host.plan())
    assert host.taken()[0] == f"systemctl stop {UNIT}"


async def test_a_reboot_inside_is_no_crash(host: NixosHost, runtime: NixosContainerRuntime, exits: list[Exit]) -> None:
    await runtime.start(host.plan())
    await runtime.is_peer("alice", FIRST_UID)
    host.set("alice", active="activating", sub="auto-restart", restarts=1)
    await runtime.look()
    host.set("alice", active="active", sub="running", restarts=1, invocation="again")
    await runtime.look()
    assert (exits, runtime.running()) == ([], {"alice"})


async def test_repairs_are_bounded_and_the_operators_start_is_not(host: NixosHost) -> None:
    now = 0.0
    runtime = host.runtime(repairs=Repairs(clock=lambda: now))
    await runtime.start(host.plan())
    for _ in range(3):
        host.set("alice", active="failed", sub="failed")
        await runtime.look()
        await runtime.start(host.plan())
    host.set("alice", active="failed", sub="failed")
    await runtime.look()
    host.console = "Out of memory"
    with pytest.raises(HiveError, match=r"after 3 repairs: Out of memory"):
        await runtime.start(host.plan())
    await runtime.start(host.plan())
    now = 601.0
    host.set("alice", active="failed", sub="failed")
    await runtime.look()
    await runtime.start(host.plan())
    assert runtime.running() == {"alice"}
    await runtime.close()


async def test_an_operation_during_a_look_is_no_crash(
    host: NixosHost, runtime: NixosContainerRuntime, exits: list[Exit]
) -> None:
    await runtime.start(host.plan())
    await asyncio.gather(runtime.look(), runtime.stop("alice"), runtime.look())
    assert [end.expected for end in exits] == [True]


async def test_the_watch_goes_on_while_systemd_is_away(host: NixosHost, exits: list[Exit]) -> None:
    runtime = host.runtime(watch_seconds=0.001)
    ended = asyncio.Event()
    runtime.on_exit = lambda _end: ended.set()
    await runtime.start(host.plan())
    asked = asyncio.Event()
    host.on["systemctl show"] = asked.set
    host.failing["systemctl show"] = Done(1, err="Failed to connect to bus")
    await asyncio.wait_for(asked.wait(), 20)
    host.failing.clear()
    host.set("alice", active="inactive", sub="dead")
    await asyncio.wait_for(ended.wait(), 20)
    await runtime.close()
    assert exits == []


async def test_a_listener_that_fails_does_not_end_the_watch(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    def broken(_end: Exit) -> None:
        raise RuntimeError

    runtime.on_exit = broken
    for name in ("alice", "bob"):
        await runtime.start(host.plan(name))
        host.set(name, active="inactive", sub="dead")
    await runtime.look()
    assert runtime.running() == frozenset()


# Whose socket it is.


async def test_the_peer_is_the_containers_root(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    assert not await runtime.is_peer("alice", FIRST_UID)
    await runtime.start(host.plan())
    assert await runtime.is_peer("alice", FIRST_UID)
    assert not await runtime.is_peer("alice", 0)
    assert not await runtime.is_peer("alice", FIRST_UID + 1)
    host.calls.clear()
    assert await runtime.is_peer("alice", FIRST_UID)
    assert host.calls == []


async def test_another_run_has_other_users(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    await runtime.start(host.plan())
    assert await runtime.is_peer("alice", FIRST_UID)
    host.root_map = "0 2000000000 65536\n"
    await runtime.restart(host.plan())
    assert await runtime.is_peer("alice", 2000000000)
    assert not await runtime.is_peer("alice", FIRST_UID)


async def test_a_container_without_users_of_its_own_is_refused(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    host.root_map = "0 0 4294967295\n"
    await runtime.start(host.plan())
    with pytest.raises(HiveError, match="without users of its own"):
        await runtime.is_peer("alice", 0)


def test_a_unit_that_nobody_knows_is_down() -> None:
    assert Unit().is_down
    assert not Unit().is_up


# What systemd forgets whenever it reads its units: which ports nobody inside may bind.


async def test_ports_are_closed_again_after_our_own_reload(host: NixosHost, runtime: NixosContainerRuntime) -> None:
    await runtime.start(host.plan())
    assert (host.loaded, host.closed) == (2, 1)


async def test_ports_are_closed_again_after_somebody_elses_reload(host: NixosHost) -> None:
    runtime = host.runtime(watch_seconds=0.01)
    looks = asyncio.Queue[str]()
    try:
        await runtime.start(host.plan())
        host.on["systemctl show -- "] = lambda: looks.put_nowait("look")
        host.on["systemd-run"] = lambda: looks.put_nowait("close")
        async with asyncio.timeout(60):
            # The watch's first look closes them once, perhaps before we listen; then looks alone follow.
            seen: list[str] = []
            while seen[-3:] != ["look"] * 3:
                seen.append(await looks.get())
            host.loaded += 1
            while await looks.get() != "close":
                pass
    finally:
        await runtime.close()


async def test_ports_that_could_not_be_closed_are_closed_with_a_later_look(host: NixosHost) -> None:
    runtime = host.runtime(watch_seconds=0.01)
    tries = asyncio.Queue[None]()
    try:
        await runtime.start(host.plan())
        host.closed = 0
        host.failing["systemd-run"] = Done(1, err="Connection timed out")
        host.on["systemd-run"] = lambda: tries.put_nowait(None)
        host.loaded += 1
        async with asyncio.timeout(60):
            for _ in range(2):
                await tries.get()
            assert host.closed == 0
            del host.failing["systemd-run"]
            while not host.closed:
                await tries.get()
    finally:
        await runtime.close()
