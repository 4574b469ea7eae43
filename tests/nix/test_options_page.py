"""Every option is described, docs/options.md has them as they are, and docs/nixos.md says what each becomes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from nix_bed import ROOT
from options_page import PAGE, with_options
from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from hyperhive.config import HiveSettings

if TYPE_CHECKING:
    from pathlib import Path

    from nix_bed import Nix


@pytest.fixture(scope="module")
def options(nix: Nix) -> dict[str, Any]:
    found: dict[str, Any] = nix.evaluate("options")
    return found


def test_nixpkgs_own_check_finds_nothing_missing(nix: Nix, options: dict[str, Any], tmp_path: Path) -> None:
    """What nixosOptionsDoc runs at build time with `warningsAreErrors`."""
    base, ours = tmp_path / "base.json", tmp_path / "ours.json"
    base.write_text("{}")
    merge = nix.nixpkgs / "nixos/lib/make-options-doc/mergeJSON.py"

    def merged(found: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        ours.write_text(json.dumps(found))
        words = [sys.executable, str(merge), "--warnings-are-errors", str(base), str(ours)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    assert merged(options).returncode == 0
    name = "services.hyperhive.group"
    without = {key: value for key, value in options[name].items() if key != "description"}
    assert merged({**options, name: without}).returncode, "it would not have found one"


#: What has no default that would mean anything.
_REQUIRED = {f"services.hyperhive.{whose}.schedules.<name>.message" for whose in ("agents.<name>", "manager")}


def test_every_option_has_a_type_a_description_and_a_default(options: dict[str, Any]) -> None:
    assert len(options) > 40
    for name, option in options.items():
        assert option["type"] not in {"", "unspecified value"}, name
        assert option["description"].strip().endswith((".", "!")), name
        assert ("default" in option) != (name in _REQUIRED), name
        assert all(place.startswith("modules/") for place in option["declarations"]), name


def test_the_options_page_is_current(options: dict[str, Any]) -> None:
    page = PAGE.read_text()
    assert with_options(page, options) == page, "make options-doc"


def _table() -> dict[str, tuple[str, str]]:
    """Option → key and unit or file, as docs/nixos.md has it."""
    text = (ROOT / "docs/nixos.md").read_text()
    rows = re.findall(r"^\| `([^`|]+)` \| (?:`([^`|]+)`|\u2013) \| ([^|]+) \|$", text, re.MULTILINE)
    return {option: (key, place) for option, key, place in rows}


def test_the_table_has_every_option(options: dict[str, Any]) -> None:
    names = {name.removeprefix("services.hyperhive.") for name in options}
    # One row for what is inside of these.
    whole = re.compile(r"(agents\.<name>\.(?:bindMounts|mcpServers|schedules)|manager\.schedules)\..*")
    assert set(_table()) == {whole.sub(r"\1", name) for name in names}


def _keys(model: type[BaseModel], path: str = "") -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        key, annotation = path + to_camel(name), field.annotation
        found.add(key)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found |= _keys(annotation, f"{key}.")
        elif name == "agents":
            found |= _keys(annotation.__args__[1], f"{key}.<name>.")  # type: ignore[union-attr]
    return found


def test_the_tables_keys_exist() -> None:
    keys = _keys(HiveSettings)
    assert [key for key, _ in _table().values() if key and key not in keys] == []


#: What the module works out by itself.
_OWN_WORK = re.compile(
    r"version|runtime|runtimeDir|systems\..*|builder\.(hyperhive|nixpkgs|nixpkgsUnstable)|agents\.<name>\.system"
)


def test_every_key_has_an_option(options: dict[str, Any]) -> None:
    names = {name.removeprefix("services.hyperhive.") for name in options}
    keys = _keys(HiveSettings)
    leaves = {key for key in keys if not any(other.startswith(f"{key}.") for other in keys)}
    assert {key for key in leaves - names if not _OWN_WORK.fullmatch(key)} == set()


def test_the_table_of_keys_has_every_key() -> None:
    """The hand-made one in docs/options.md, for those who write the file themselves."""
    listed = set(re.findall(r"^\| `([^`|]+)` \|", PAGE.read_text(), re.MULTILINE))
    keys = _keys(HiveSettings)
    leaves = {key for key in keys if not any(other.startswith(f"{key}.") for other in keys)}
    assert listed == leaves
