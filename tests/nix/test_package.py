"""pkgs.hyperhive: what pyproject.toml asks for, in versions that nixpkgs has."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from nix_bed import ROOT
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from nix_bed import Nix


@pytest.fixture(scope="module")
def package(nix: Nix) -> dict[str, Any]:
    found: dict[str, Any] = nix.evaluate("package")
    return found


def _wanted() -> list[Requirement]:
    project = tomllib.loads((ROOT / "python/pyproject.toml").read_text())["project"]
    return [Requirement(text) for text in project["dependencies"]]


def test_it_has_the_dependencies_of_the_project(package: dict[str, Any]) -> None:
    assert set(package["dependencies"]) == {requirement.name for requirement in _wanted()}


def test_nixpkgs_versions_are_new_enough(package: dict[str, Any]) -> None:
    for requirement in _wanted():
        version = package["dependencies"][requirement.name]
        assert requirement.specifier.contains(version), f"{requirement}: nixpkgs has {version}"


def test_it_is_there_on_both_platforms(package: dict[str, Any]) -> None:
    assert set(package["drvPaths"]) == {"x86_64-linux", "aarch64-linux"}
    assert len(set(package["drvPaths"].values())) == 2


def test_the_small_checks_of_the_flake_evaluate(package: dict[str, Any]) -> None:
    assert set(package["checks"]) == {"package", "names", "options-doc"}


def test_claude_is_on_its_path_and_git_too(package: dict[str, Any]) -> None:
    assert package["wrapper"].startswith("--suffix PATH : ")
    assert package["claude"] in package["wrapper"]
    assert re.search(r"/nix/store/\S+-git-minimal-[^/]+/bin", package["wrapper"])
