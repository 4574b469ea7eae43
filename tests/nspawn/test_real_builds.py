"""From a proposal to what a container runs with the real Nix: built in its store, by whom its daemon does not trust.

The stand-in for `nix` is put away meanwhile. The flake is the one that the hive writes; its two inputs are small flakes
in the machine's store, whose systems are made of the rig's files. Builds have no sandbox: it mounts a /proc of its own,
which nothing inside a container of nspawn may.
"""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio
from test_changes import managed, runs
from test_deployments import approved, ended, in_status, propose

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from nspawn_swarm import Swarm

pytestmark = [pytest.mark.tier("nspawn"), pytest.mark.long, pytest.mark.asyncio(loop_scope="session")]

_BOTH: Final[dict[str, Any]] = {"alice": {}, "bob": {}}
_NIXPKGS: Final = "{ outputs = _: { }; }\n"
_HYPERHIVE: Final = """\
{
  inputs.nixpkgs = { };
  inputs.nixpkgs-unstable = { };
  outputs =
    { self, ... }:
    {
      lib.agentSystem =
        { hostPlatform, modules }:
        let
          own = builtins.foldl' (all: module: all // import module { }) { harness = null; } modules;
        in
        {
          config.system.build.toplevel = derivation {
            inherit (own) name;
            system = hostPlatform;
            builder = "/bin/sh";
            args = [
              "-ec"
              ''
                PATH=/usr/bin
                cp -r ${self}/system $out
                chmod -R u+w $out
                unit=$out/etc/systemd/system/hyperhive-harness.service
                ${if own.harness == null then "" else "sed -i 's|^ExecStart=.*|ExecStart=${own.harness}|' $unit"}
                ${own.script or ""}
              ''
            ];
          };
        };
    };
}
"""


_NIX_CONF: Final = """\
build-hook =
build-users-group =
sandbox = false
substitute = false
trusted-users = root
"""


@contextlib.contextmanager
def _real_nix(hive: Swarm) -> Iterator[None]:
    """The program that the image has, in place of the stand-in."""
    stand_in, aside = hive.host.path("/rig/nix"), hive.host.path("/rig/nix.aside")
    stand_in.rename(aside)
    try:
        yield
    finally:
        aside.rename(stand_in)


async def _source(hive: Swarm, name: str, text: str, *, system: bool = False) -> str:
    """Add a flake to the machine's store, under the name that sources have."""
    place = hive.host.path("/srv/sources") / name / "source"
    place.mkdir(parents=True)
    (place / "flake.nix").write_text(text)
    if system:
        shutil.copytree(hive.host.path("/nix/store/default"), place / "system", symlinks=True)
    return await hive.host.run("nix-store", "--add", f"/srv/sources/{name}/source")


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def building(hive: Swarm) -> AsyncIterator[dict[str, str]]:
    """A hive with a manager and the store's daemon; the sources that it has."""
    with _real_nix(hive):
        place = hive.host.path("/etc/nix")
        place.mkdir(exist_ok=True)
        (place / "nix.conf").write_text(_NIX_CONF)
        sources = {
            "nixpkgs": await _source(hive, "nixpkgs", _NIXPKGS),
            "hyperhive": await _source(hive, "hyperhive", _HYPERHIVE, system=True),
        }
        daemon = ("nix", "--extra-experimental-features", "nix-command", "daemon")
        await hive.host.run("systemd-run", "--unit=nix-daemon", "--quiet", "--", *daemon)
        await hive.eventually(lambda: hive.host.run("sh", "-c", "ss -Hlx | grep nix/daemon-socket/socket || :"))
        try:
            async with managed(hive, builder=sources):
                yield sources
        finally:
            await hive.host.run("systemctl", "stop", "nix-daemon", ok=False)


def _nix(name: str, more: str = "") -> str:
    return f'_: {{ name = "{name}"; {more} }}\n'


async def test_what_was_built_is_put_in_and_kept_from_the_collector(hive: Swarm) -> None:
    run = await runs(hive, "alice", "bob")
    number = await propose(hive, _nix("tool-1.0", 'script = "echo hello >$out/etc/hello";'))
    shown = await approved(hive, number)
    assert shown.build is not None
    assert shown.build.status == "ok", shown.build.log
    system = shown.build.system or ""
    assert system.endswith("-tool-1.0")
    assert shown.build.size_bytes
    await in_status(hive, number, "deployed")
    assert await hive.host.inside("alice", "readlink", "/run/current-system") == system
    assert await hive.host.inside("alice", "cat", "/etc/hello") == "hello"
    assert await runs(hive, "alice", "bob") == run, "no container was restarted"
    await hive.in_state("alice", "idle")
    assert (await hive.ask("alice", "Still there?")).body == "42"
    collected = await hive.host.run("nix-store", "--delete", system, ok=False)
    assert "still alive" in collected, collected
    # The next one is compared with what runs, by Nix itself.
    second = await approved(hive, await propose(hive, _nix("tool-1.1")))
    assert "tool: 1.0 → 1.1" in (second.closure_diff or "")
    await in_status(hive, second.id, "deployed")


async def test_after_an_upgrade_of_the_host_it_is_built_on_the_new_base(hive: Swarm, building: dict[str, str]) -> None:
    await hive.in_state("alice", "idle")
    before = await hive.host.inside("alice", "readlink", "/run/current-system")
    run = await runs(hive, "alice")
    newer = _HYPERHIVE.replace("chmod", "echo newer >$out/etc/base; chmod")
    upgraded = {**building, "hyperhive": await _source(hive, "newer", newer, system=True)}
    await hive.configure(_BOTH, builder=upgraded, manager={"enable": True})
    await hive.host.run("systemctl", "reload", "hyperhive")
    await hive.eventually(lambda: _is_newer(hive))
    row = await hive.in_state("alice", "idle")
    after = await hive.host.inside("alice", "readlink", "/run/current-system")
    assert after != before
    assert after.partition("-")[2] == before.partition("-")[2] == "tool-1.1", "the commit is the same"
    assert (row.problem, await runs(hive, "alice")) == (None, run)
    assert (await hive.ask("alice", "Still there?")).body == "42"


async def _is_newer(hive: Swarm) -> bool:
    row = await hive.agent("alice")
    if row is None or row.operation or row.problem or row.restart_pending:
        return False
    return await hive.host.inside("alice", "cat", "/etc/base", ok=False) == "newer"


async def test_one_whose_harness_does_not_connect_is_taken_back(hive: Swarm) -> None:
    before = await hive.host.inside("alice", "readlink", "/run/current-system")
    number = await propose(hive, _nix("mute", 'harness = "/bin/false";'))
    await approved(hive, number)
    row = await ended(hive, number)
    assert row.status == "failed"
    assert "has not connected within 60 s" in (row.reason or "")
    await hive.in_state("alice", "idle")
    assert await hive.host.inside("alice", "readlink", "/run/current-system") == before
    assert (await hive.ask("alice", "Back again?")).body == "42"


async def test_one_that_does_not_build_says_what_nix_says(hive: Swarm) -> None:
    row = await in_status(hive, await propose(hive, _nix("broken", 'script = "echo no such thing; exit 3";')), "failed")
    assert row.build is not None
    assert "no such thing" in (row.build.log or "")
    assert (row.reason or "").startswith("it does not build: the build failed: builder for")


async def test_one_that_reads_the_host_is_refused(hive: Swarm) -> None:
    number = await propose(hive, '_: { name = builtins.readFile "/var/lib/hyperhive/operator-token"; }\n')
    row = await in_status(hive, number, "failed")
    assert "forbidden in pure evaluation mode" in (row.reason or "")
