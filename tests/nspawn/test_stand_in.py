"""The stand-in for `nixos-container` has the unpleasant parts of the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from nspawn_swarm import Swarm

pytestmark = [pytest.mark.tier("nspawn"), pytest.mark.asyncio(loop_scope="session")]


async def test_names_have_eleven_characters(hive: Swarm) -> None:
    assert "too long" in await hive.host.run("nixos-container", "create", "h-1234567890", ok=False)


async def test_a_conf_is_for_a_private_network_and_has_no_system(hive: Swarm) -> None:
    await hive.host.run("nixos-container", "create", "x1", "--system-path", "/nix/store/default")
    conf = hive.host.path("/etc/nixos-containers/x1.conf").read_text()
    assert conf.startswith("PRIVATE_NETWORK=1\nHOST_ADDRESS=10.233.")
    assert "SYSTEM_PATH" not in conf
    assert "already exists" in await hive.host.run("nixos-container", "create", "x1", ok=False)
    assert await hive.host.run("nixos-container", "status", "x1") == "down"
    await hive.host.run("nixos-container", "destroy", "x1")
    assert await hive.host.run("sh", "-c", "nixos-container status x1; echo $?") == "gone\n2"
    await hive.host.run("nixos-container", "destroy", "x1")


async def test_a_failed_build_leaves_its_conf_behind(hive: Swarm) -> None:
    await hive.host.run("nixos-container", "create", "x2", "--flake", "/nowhere", ok=False)
    assert "already exists" in await hive.host.run("nixos-container", "create", "x2", ok=False)
    await hive.host.run("nixos-container", "destroy", "x2")
    said = await hive.host.run("nixos-container", "create", "x3", "--system-path", "/nix/store/nothing", ok=False)
    assert "failed" in said
    assert not hive.host.path("/etc/nixos-containers/x3.conf").exists()


async def test_update_ignores_the_system(hive: Swarm) -> None:
    said = await hive.host.run("sh", "-c", "nixos-container update h-alice --system-path /nix/store/default; echo $?")
    assert said.endswith("\n1")
    assert "nixos-config" in said
