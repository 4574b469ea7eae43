"""What is mounted for an agent of root: the plan, from modes that are made up and links that are real."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hyperhive.runtime.base import Owner
from hyperhive.runtime.links import link_chain
from hyperhive.runtime.opened import Opened, plan_opening

if TYPE_CHECKING:
    from collections.abc import Callable

ALICE = Owner(7, 8, 7)


def closed(*names: str) -> Callable[[Path], os.stat_result]:
    """A look at a world of root's directories, of which these are closed."""

    def look(path: Path) -> os.stat_result:
        mode = 0o700 if str(path) in names else 0o755
        return os.stat_result((stat.S_IFDIR | mode, 0, 0, 1, 0, 0, 0, 0, 0, 0))

    return look


def plan(read_only: list[str], writable: list[str], hidden: list[str], *shut: str) -> list[tuple[str, str]]:
    made = plan_opening(ALICE, map(Path, read_only), map(Path, writable), map(Path, hidden), look=closed(*shut))
    return [(kind, str(path)) for path, kind in made.mounts.items()]


def test_in_the_open_nothing_is_mounted() -> None:
    assert plan(["/x/venv"], ["/x/state"], []) == []
    assert Opened({}, {}).front(Path("/x")) == ()


def test_a_closed_directory_is_covered_and_the_needed_ones_are_let_through() -> None:
    assert plan(["/r/a/venv", "/r/python", "/x/package"], ["/r/hive/state"], [], "/r", "/r/a") == [
        ("cover", "/r"),
        ("read-only", "/r/python"),
        ("read-only", "/r/a/venv"),
        ("writable", "/r/hive/state"),
    ]


def test_what_is_let_through_already_is_not_mounted_again() -> None:
    assert plan(["/r/a", "/r/a/b"], ["/r/c", "/r/c/d"], [], "/r") == [
        ("cover", "/r"),
        ("read-only", "/r/a"),
        ("writable", "/r/c"),
    ]


def test_the_hive_inside_the_environment() -> None:
    found = plan(["/r/venv"], ["/r/venv/hive/agents/alice"], ["/r/venv/hive/agents"], "/r", "/r/venv/hive")
    assert found == [
        ("cover", "/r"),
        ("read-only", "/r/venv"),
        ("cover", "/r/venv/hive"),
        ("writable", "/r/venv/hive/agents/alice"),
    ]


def test_the_directories_of_all_agents_are_covered_closed_or_not() -> None:
    assert plan([], ["/x/agents/alice/state"], ["/x/agents"]) == [
        ("cover", "/x/agents"),
        ("writable", "/x/agents/alice/state"),
    ]


def test_nothing_covers_everything() -> None:
    assert plan(["/x"], [], [], "/") == []


def test_a_needed_directory_that_is_closed_itself_stays_so() -> None:
    assert plan(["/r/a", "/r/a/b"], [], [], "/r", "/r/a") == [("cover", "/r"), ("read-only", "/r/a")]


def test_the_look_is_the_agents() -> None:
    made = Opened({Path("/no/r"): "cover", Path("/no/r/x/usr"): "read-only"}, {})
    for way in ("/no/r", "/no/r/x", "/no/r/y"):
        assert made.look(Path(way)).st_mode == stat.S_IFDIR | 0o755
    assert made.look(Path("/")).st_mode == Path("/").stat().st_mode


def test_links_in_covered_directories_are_made_again(tmp_path: Path) -> None:
    (tmp_path / "r" / "v1" / "bin").mkdir(parents=True)
    (tmp_path / "r" / "current").symlink_to("v1")
    (tmp_path / "x").symlink_to("r")
    made = plan_opening(ALICE, [tmp_path / "x" / "current" / "bin"], [], look=closed(str(tmp_path / "r")))
    assert made.mounts == {tmp_path / "r": "cover", tmp_path / "r" / "v1" / "bin": "read-only"}
    # The other one lies in the open, where the host's own is seen.
    assert made.links == {tmp_path / "r" / "current": tmp_path / "r" / "v1"}


def test_a_link_alone_closes_its_directory(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "open").mkdir()
    (tmp_path / "r" / "tool").symlink_to(tmp_path / "open")
    made = plan_opening(ALICE, [tmp_path / "r" / "tool"], [], look=closed(str(tmp_path / "r")))
    assert (made.mounts, made.links) == (
        {tmp_path / "r": "cover"},
        {tmp_path / "r" / "tool": tmp_path / "open"},
    )


def test_the_command_line() -> None:
    made = Opened({Path("/r"): "cover", Path("/r/a b"): "writable"}, {Path("/r/l"): Path("/t")})
    front = made.front(Path("/r/a b"))
    assert front[:3] == (sys.executable, "-I", "-S")
    assert front[4:] == ("cover", "/r", "writable", "/r/a b", "link", "/r/l", "/t", "directory", "/r/a b", "--")


def test_links_that_go_round_come_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    chain, _ = link_chain(tmp_path / "a" / "c")
    assert len(chain) == 40
