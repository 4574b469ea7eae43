"""The parts of the builder that are pure, or only look at files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from hyperhive.config import Builder
from hyperhive.errors import HiveError
from hyperhive.hive.builders import bounds_of
from hyperhive.hive.confined import Log
from hyperhive.hive.nix_flake import Flake, flake_text, is_store_path
from hyperhive.hive.nix_roots import Roots
from hyperhive.hive.unit_changes import restarted

if TYPE_CHECKING:
    from collections.abc import Callable

_SOURCE = f"/nix/store/{'a' * 32}-source"


def test_a_log_keeps_its_beginning_and_its_end() -> None:
    log = Log(head=10, tail=10)
    for number in range(100):
        log.feed(f"{number:04d}\n".encode())
    assert log.text.startswith("0000\n0001\n")
    assert log.text.endswith("0098\n0099\n")
    assert "[… 480 bytes are left out …]" in log.text


def test_a_short_log_is_whole_and_plain() -> None:
    log = Log()
    log.feed("é \x1b[31mred\x1b[0m \x07\r\nnext\rline\n\u202e".encode())
    log.feed(b"\xff")
    assert log.text == "é red \nnext\nline\n\u202e\ufffd"


def test_the_flake_names_the_sources_and_nothing_else() -> None:
    text = flake_text(Builder(hyperhive=Path(_SOURCE), nixpkgs=Path(_SOURCE)))
    assert text.count(f'"path:{_SOURCE}"') == 3
    assert "@" not in text


@pytest.mark.parametrize("path", ["/etc", "/nix/store/x", f'{_SOURCE}";x="', f"{_SOURCE}/sub", None])
def test_a_source_that_is_none_is_no_part_of_a_flake(path: str | None) -> None:
    sources = Builder.model_construct(hyperhive=Path(_SOURCE), nixpkgs=path and Path(path), nixpkgs_unstable=None)
    with pytest.raises(HiveError, match=r"builder\.nixpkgs") as caught:
        flake_text(sources)
    assert caught.value.code == "bad_config"
    assert not is_store_path(path or "")


def test_another_source_or_configfile_is_another_base(tmp_path: Path) -> None:
    words = set()
    for text in ("one", "two"):
        for base in (None, Path("/nix/store/x"), Path("/nix/store/y")):
            words.add(Flake(tmp_path, lambda text=text: text, lambda _agent, base=base: base).word("alice"))
    assert len(words) == 6


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_the_operators_module_is_copied_as_it_can_be_removed(tmp_path: Path, kind: str) -> None:
    base = tmp_path / "module"
    if kind == "directory":
        base.mkdir()
        (base / "default.nix").write_text("{ }")
        (base / "default.nix").chmod(0o444)
        base.chmod(0o555)
    else:
        base.write_text("{ }")
        base.chmod(0o444)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "agent.nix").write_text("{ }")
    (tree / "run").write_text("#!")
    (tree / "run").chmod(0o700)
    flake = Flake(tmp_path / "flake", lambda: "{ }", lambda _agent: base)
    for number in (1, 2):
        flake.lay_out("alice", tree, tmp_path / f"job{number}")
        flake.propose(number, tree)
        flake.deploy("alice", number)
    made = tmp_path / "job1"
    found = {str(path.relative_to(made)): oct(path.stat().st_mode & 0o777) for path in made.rglob("*")}
    assert found == {
        "flake.nix": "0o644",
        "agents": "0o755",
        "agents/alice": "0o755",
        "agents/alice/agent.nix": "0o644",
        "agents/alice/run": "0o755",
        "base": "0o755",
        "base/alice": "0o755",
        "base/alice/default.nix": "0o644",
    }
    assert (tmp_path / "flake" / "base" / "alice" / "default.nix").exists()
    assert flake.deployed("alice") == tmp_path / "flake" / "agents" / "alice"
    flake.purge("alice")
    assert flake.deployed("alice") is None


def test_roots_of_agents_whose_names_begin_alike_are_kept_apart(tmp_path: Path) -> None:
    roots = Roots(tmp_path)
    for agent in ("a", "a-1"):
        for number in range(10, 15):
            roots.keep(agent, number, Path("/nix/store/x"))
    roots.purge("a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept-a-1-12", "kept-a-1-13", "kept-a-1-14"]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    def system(name: str, **units: str | Path) -> Path:
        place = tmp_path / "store" / name / "etc" / "systemd" / "system"
        place.mkdir(parents=True)
        for unit, text in units.items():
            path = place / unit.replace("_", ".")
            path.symlink_to(text) if isinstance(text, Path) else path.write_text(text)
        return tmp_path / "store" / name

    return system


def test_units_that_a_switch_would_start_anew(make: Callable[..., Path], tmp_path: Path) -> None:
    stays = "[Unit]\nX-RestartIfChanged=false\n"
    before = make("old", a_service="1", b_service="1", c_service=stays + "1", gone_service="1", d_conf="1")
    after = make("new", a_service="1", b_service="2", c_service=stays + "2", new_service="1", d_conf="2")
    assert restarted(before, after, tmp_path / "store") == ("b.service",)


def test_the_harness_is_started_anew_by_the_hive(make: Callable[..., Path], tmp_path: Path) -> None:
    text = "[Unit]\nX-RestartIfChanged=false\n"
    before, after = (make(name, **{"hyperhive-harness_service": text + name}) for name in ("old", "new"))
    assert restarted(before, after, tmp_path / "store") == ("hyperhive-harness.service",)


def test_a_unit_that_leads_out_of_the_store_is_not_read(make: Callable[..., Path], tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_text("2")
    before, after = make("old", a_service="1"), make("new", a_service=outside)
    loop = make("loop", a_service=Path("a.service"))
    for system in (after, loop):
        assert restarted(before, system, tmp_path / "store") == ()


@pytest.mark.parametrize(("size", "expected"), [("4G", 4 * 1024**3), ("512M", 512 * 1024**2), ("1024", 1024)])
def test_the_bounds_are_those_of_the_settings(size: str, expected: int) -> None:
    settings = SimpleNamespace(builder=Builder(memory_max=size, timeout="2h"))
    bounds = bounds_of(SimpleNamespace(settings=settings))  # type: ignore[arg-type]
    assert (bounds.evaluation.memory_bytes, bounds.build_seconds) == (expected, 7200)


@pytest.mark.parametrize("size", ["infinity", "4GB", "", "-1"])
def test_a_bound_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(ValueError, match="amount of memory"):
        Builder(memory_max=size)
