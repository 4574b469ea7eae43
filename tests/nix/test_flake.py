"""The flake as Nix itself sees it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from nix_bed import ROOT

if TYPE_CHECKING:
    from nix_bed import Nix


@pytest.mark.long
def test_every_check_evaluates(nix: Nix) -> None:
    done = nix.flake("flake", "check", "--no-build", "--no-write-lock-file")
    assert not done.returncode, done.stderr[-6000:]
    checked = set(re.findall(r"checking derivation checks\.x86_64-linux\.([a-z-]+)", done.stderr))
    assert checked >= {"package", "names", "swarm", "options-doc", "settings"}


def test_every_output_is_there(nix: Nix) -> None:
    done = nix.flake("flake", "show", "--json", "--no-write-lock-file")
    assert not done.returncode, done.stderr[-6000:]
    outputs = json.loads(done.stdout)
    assert set(outputs["nixosModules"]) == {"default", "hyperhive", "harness-base"}
    assert set(outputs["overlays"]) == {"default", "claude-unstable", "hyperhive"}
    assert set(outputs["nixosConfigurations"]) == {"example"}
    assert set(outputs["templates"]) == {"default"}
    assert "lib" in outputs
    for output in ("packages", "apps", "devShells", "checks", "formatter"):
        assert set(outputs[output]) == {"x86_64-linux", "aarch64-linux"}, output
    assert set(outputs["packages"]["x86_64-linux"]) == {"default", "options-doc"}


def test_the_lock_file_is_of_this_flake(nix: Nix) -> None:
    before = (nix.root / "flake.lock").read_text()
    done = nix.flake("flake", "metadata", "--json", "--no-update-lock-file", override=False)
    assert not done.returncode, done.stderr
    nodes = json.loads(done.stdout)["locks"]["nodes"]
    assert set(nodes) == {"root", "nixpkgs", "nixpkgs-unstable"}
    assert nodes["nixpkgs"]["original"]["ref"] == "nixos-26.05"
    assert nodes["nixpkgs-unstable"]["original"]["ref"] == "nixos-unstable"
    assert (nix.root / "flake.lock").read_text() == before


def test_the_flake_is_short_and_names_two_inputs() -> None:
    text = (ROOT / "flake.nix").read_text()
    assert len(text.splitlines()) < 100
    assert re.findall(r"^ {4}([a-z-]+)\.url", text, re.MULTILINE) == ["nixpkgs", "nixpkgs-unstable"]


@pytest.mark.parametrize("path", sorted(ROOT.glob("modules/**/*.nix")), ids=lambda path: path.name)
def test_no_module_says_with_lib(path: object) -> None:
    text = (ROOT / str(path)).read_text()
    assert "with lib" not in text
    assert all(len(line) <= 200 for line in text.splitlines())
