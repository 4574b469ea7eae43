"""The rig runs the unit that the NixOS module makes: every directive of modules/ is in it, with the module's value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

MODULES = Path(__file__).parents[2] / "modules"
RIG = Path(__file__).parent / "rig"
#: Store paths of the module, and what it takes from options.
_PATHS = {"ExecStart", "ExecReload", "Group", "StateDirectory", "ReadWritePaths"}


def of_module(text: str) -> dict[str, list[str]]:
    """Directives in Nix: `Key = value;` and `Key = [ "a" "b" ];`."""
    text = re.sub(r"#.*", "", text)
    found = {}
    for key, value in re.findall(r"^\s+([A-Z][A-Za-z]+) = (\[[^]]*\]|[^;[]+);", text, re.MULTILINE):
        words = re.findall(r'"([^"]*)"|(\b(?:true|false)\b|-?\d+)', value)
        found[key] = [word.replace("true", "yes").replace("false", "no") for pair in words for word in pair if word]
    return found


def of_unit(text: str) -> dict[str, list[str]]:
    """Directives of a unit file; what is said twice is added."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).extend(value.split())
    return found


@pytest.mark.parametrize(
    ("module", "block", "unit"),
    [
        ("service.nix", "hardening = {", "hyperhive.service"),
        ("service.nix", "serviceConfig = {", "hyperhive.service"),
        ("harness-base.nix", "serviceConfig = {", "hyperhive-harness.service"),
    ],
)
def test_the_rig_has_every_directive_of_the_module(module: str, block: str, unit: str) -> None:
    rest = (MODULES / module).read_text().partition(block)[2]
    wanted = of_module(re.split(r"^\s*\}", rest, maxsplit=1, flags=re.MULTILINE)[0])
    have = of_unit((RIG / unit).read_text())
    assert len(wanted) > 5
    assert wanted.keys() <= have.keys()
    for key in wanted.keys() - _PATHS:
        assert have[key] == wanted[key], key
