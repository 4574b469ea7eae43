"""The flake that the hive really writes, on the real nixpkgs: evaluated by the builder as it is on a NixOS host.

That is, by a user whom the store's daemon does not trust, pure, in bounds. Nothing is built: a system of NixOS takes
hours without a binary cache. What it would be built from is in the store as derivations, and those are looked at.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from builder_bed import NOBODY, Yard, store_daemon, yard

from hyperhive.config import Builder as Sources
from hyperhive.hive.confined import Bounds
from hyperhive.hive.nix_builder import BuildBounds
from hyperhive.hive.nix_flake import flake_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nix_bed import Nix

pytestmark = [pytest.mark.tier("nix"), pytest.mark.long]

#: Half the memory that a host allows. The time is for a busy machine: an evaluation takes 10 s of a processor, and the
#: first one copies all of nixpkgs into the store to see that it is there; the builder's home remembers that.
_BOUNDS: Final = BuildBounds(evaluation=Bounds(seconds=600, memory_bytes=2 * 1024**3), build_seconds=120)
#: Where nothing may be built and nothing fetched, a build ends at once, and says so.
_NOTHING_IS_BUILT: Final = {"max-jobs": "0", "substitute": "false"}
_DERIVATION: Final = re.compile(r"^hyperhive: building (/nix/store/\S+\.drv)$", re.MULTILINE)

_CONFIG_FILE: Final = """\
{ pkgs, ... }:
{
  systemd.services.of-the-operator.script = "exec ${pkgs.hello}/bin/hello";
  environment.etc.whose.text = "the operator's";
}
"""
_PROPOSED: Final = """\
{ lib, pkgs, ... }:
{
  imports = [ ./more.nix ];
  environment.systemPackages = [ pkgs.jq ];
  systemd.services.proposed = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig.ExecStart = lib.getExe pkgs.jq;
  };
}
"""


@pytest.fixture(scope="module")
def sources(nix: Nix) -> Sources:
    """What a host was built with: paths in the store."""
    words = ["nix-store", "--add", str(nix.root)]
    added = subprocess.run(words, capture_output=True, text=True, check=True)
    return Sources(hyperhive=Path(added.stdout.strip()), nixpkgs=nix.nixpkgs)


@pytest.fixture(scope="module")
def here(sources: Sources) -> Iterator[Yard]:
    """A builder of the real template, who is nobody that the store's daemon trusts."""
    if os.geteuid():
        pytest.skip("becoming another user needs root")
    place = Path(tempfile.mkdtemp(prefix="hh-daemon-"))
    template = yard(NOBODY, _BOUNDS, text=lambda: flake_text(sources), options=_NOTHING_IS_BUILT)
    try:
        with store_daemon(place) as socket, template as made, pytest.MonkeyPatch.context() as patch:
            patch.setenv("NIX_DAEMON_SOCKET_PATH", str(socket))
            patch.setenv("NIX_REMOTE", "daemon")
            yield made
    finally:
        shutil.rmtree(place)


async def evaluated(here: Yard, tree: dict[str, str]) -> set[str]:
    """Names of all derivations that alice's system would be built from."""
    built = await here.builder.build("alice", 1, here.files(tree))
    found = _DERIVATION.search(built.log)
    assert found is not None, built.log
    assert "max-jobs" in built.log, "nothing but its building has failed"
    return derivations(found.group(1))


def derivations(system: str) -> set[str]:
    """Names of all derivations that a system would be built from."""
    command = ["nix-store", "--query", "--requisites", system]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return {path.partition("-")[2].removesuffix(".drv") for path in listed}


def units(names: set[str]) -> set[str]:
    """Names of the units of systemd among derivations."""
    return {name.removeprefix("unit-") for name in names if name.startswith("unit-")}


async def test_a_proposal_for_a_spawned_agent_is_what_all_agents_have_and_its_own(
    here: Yard, nix: Nix, sources: Sources
) -> None:
    found = await evaluated(here, {"agent.nix": _PROPOSED, "more.nix": "{ environment.etc.more.text = ''more''; }"})
    assert {"etc-more", "unit-proposed.service", "unit-hyperhive-harness.service"} <= found
    common = nix.instantiate("plainAgent", sources.hyperhive)
    assert found - derivations(common) == {"etc-more", "unit-proposed.service"}
    assert units(derivations(common)) - units(found) == set()


async def test_a_proposal_is_evaluated_on_top_of_the_configfile(here: Yard) -> None:
    file = here.place / "alice.nix"
    file.write_text(_CONFIG_FILE)
    here.bases["alice"] = file
    try:
        found = await evaluated(here, {"agent.nix": _PROPOSED, "more.nix": "{ }"})
    finally:
        del here.bases["alice"]
    assert {"proposed.service", "of-the-operator.service", "hyperhive-harness.service"} <= units(found)
    assert {"etc-whose"} <= found


#: Modules of an agent that is up to something: some cannot be had of a plain derivation, as in test_builder.py.
_HOSTILE: Final = {
    "a file of the host": ("{ environment.etc.shadow.source = /etc/shadow; }", "forbidden in pure evaluation mode"),
    "another agent's": ("{ imports = [ ../bob/agent.nix ]; }", "does not exist"),
    "a text that is built first": (
        "{ pkgs, ... }: { environment.etc.x.text = builtins.readFile (pkgs.runCommand ''x'' { } ''id >$out''); }",
        "allow-import-from-derivation",
    ),
    "a module that is fetched": (
        '{ imports = [ (builtins.fetchTarball "http://127.0.0.1:9/x.tar.gz") ]; }',
        "forbidden in restricted mode",
    ),
    "itself for ever": (
        "{ config, ... }: { networking.hostName = config.networking.hostName + ''x''; }",
        "infinite recursion",
    ),
    "all memory": (
        "let s = n: x: if n == 0 then x else s (n - 1) (x + x); in { environment.etc.x.text = s 40 ''aaaaaaaa''; }",
        "2 GiB of memory",
    ),
    "a system that is none": (
        "{ lib, ... }: { system.build.toplevel = lib.mkForce ''/etc/passwd''; }",
        "The option `system.build.toplevel",
    ),
}


@pytest.mark.parametrize("what", _HOSTILE)
async def test_a_module_that_is_up_to_something_is_refused(here: Yard, what: str) -> None:
    text, said = _HOSTILE[what]
    built = await here.build(text)
    assert not built.ok
    assert (built.reason or "").startswith("the evaluation "), built.log
    assert said in built.log
    assert here.links() == []


async def test_an_assertion_that_fails_is_what_the_reason_says(here: Yard) -> None:
    built = await here.build('{ assertions = [ { assertion = false; message = "one of its own"; } ]; }')
    assert built.reason == "the evaluation failed: Failed assertions: - one of its own"
