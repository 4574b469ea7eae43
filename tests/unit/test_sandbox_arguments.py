"""The pure parts of the runtimes: bwrap's arguments, uids, modes, the output log."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyperhive.names import web_port
from hyperhive.runtime.base import Owner
from hyperhive.runtime.host_view import host_files
from hyperhive.runtime.output import OutputLog
from hyperhive.runtime.owners import FIRST_UID, GROUP, Hive, drop_to, is_mapped
from hyperhive.runtime.readable import first_closed
from hyperhive.runtime.sandbox import Sandbox, arguments
from hyperhive.runtime.surroundings import outermost

ALL = frozenset({"--size", "--disable-userns"})


def build(*, privileged: bool, features: frozenset[str] = ALL, **more: object) -> list[str]:
    read_only = {Path("/usr"): Path("/usr"), Path("/run/hive"): Path("/h/run/agents/alice")}
    defaults = {"links": {Path("/bin"): "usr/bin"}, "command": ("harness",), "read_only": read_only}
    return arguments(Sandbox("/usr/bin/bwrap", features, privileged, "alice", **{**defaults, **more}))  # type: ignore[arg-type]


def has(line: list[str], *words: str) -> bool:
    return any(tuple(line[at : at + len(words)]) == words for at in range(len(line)))


def test_root_keeps_three_capabilities_and_no_user_namespace() -> None:
    line = build(privileged=True)
    added = [line[at + 1] for at, word in enumerate(line) if word == "--cap-add"]
    assert has(line, "--cap-drop", "ALL")
    assert added == ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"]
    assert "--unshare-user" not in line


def test_a_user_gets_a_user_namespace_without_another_one_in_it() -> None:
    line = build(privileged=False)
    assert {"--unshare-user", "--disable-userns"} <= set(line)
    assert "--cap-add" not in line
    assert "--uid" not in line


def test_flags_that_an_older_bwrap_lacks_are_left_out() -> None:
    assert not ALL & set(build(privileged=False, features=frozenset()))


@pytest.mark.parametrize("privileged", [True, False])
def test_what_is_always_separated(privileged: bool) -> None:  # noqa: FBT001
    line = build(privileged=privileged)
    wanted = {"--die-with-parent", "--new-session", "--unshare-pid", "--unshare-ipc", "--unshare-uts"}
    assert wanted <= set(line)
    assert "--unshare-net" not in line
    assert has(line, "--remount-ro", "/")
    assert line[-2:] == ["--", "harness"]


def test_parents_are_made_open_before_what_lies_in_them() -> None:
    line = build(privileged=True, read_only={Path("/root/x/python"): Path("/root/x/python")})
    parent = line.index("/root/x")
    assert line[parent - 3 : parent] == ["--perms", "0755", "--dir"]
    assert has(line, "--perms", "1777", "--size", "1073741824", "--tmpfs", "/root")
    assert line.index("/root") < parent < line.index("/root/x/python")


def test_what_is_seen_through_another_is_not_bound_again() -> None:
    line = build(privileged=True, read_only={path: path for path in (Path("/usr"), Path("/usr/local/venv"))})
    assert "/usr/local/venv" not in line


def test_hidden_comes_after_what_shows_it_and_before_the_agents_own() -> None:
    checkout = Path("/srv/checkout")
    line = build(
        privileged=True,
        read_only={checkout: checkout},
        hidden=(checkout / ".hyperhive",),
        writable={Path("/state"): checkout / ".hyperhive/agents/alice/state"},
    )
    hidden = line.index(str(checkout / ".hyperhive"))
    assert line[hidden - 1] == "--tmpfs"
    assert line.index(str(checkout)) < hidden < line.index("/state", hidden)
    assert not has(line, "--dir", str(checkout / ".hyperhive"))


def test_the_socket_is_bound_read_only_and_no_environment_is_in_the_arguments() -> None:
    line = build(privileged=True)
    assert has(line, "--ro-bind", "/h/run/agents/alice", "/run/hive")
    assert "--setenv" not in line


def test_host_with_and_without_merged_usr(tmp_path: Path) -> None:
    for directory in ("usr/bin", "lib", "etc/ssl/certs", "nix/store"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    for name in ("shadow", "hosts"):
        (tmp_path / "etc" / name).touch()
    shown, links = host_files(tmp_path)
    assert links == {Path("/bin"): "usr/bin"}
    assert set(shown) == {Path(p) for p in ("/usr", "/nix/store", "/lib", "/etc/ssl/certs", "/etc/hosts")}
    assert shown[Path("/etc/hosts")] == tmp_path / "etc/hosts"


def test_each_agent_has_a_uid_and_all_one_group() -> None:
    hive = Hive(0, 0, privileged=True)
    assert hive.owner("alice") == Owner(FIRST_UID + web_port("alice"), GROUP, FIRST_UID + web_port("alice"))
    assert hive.owner("manager").uid == FIRST_UID + 8000
    assert hive.owner("alice").uid != hive.owner("bob").uid
    assert Hive(1000, 100, privileged=False).owner("alice") == Owner(1000, 100, 1000)


def test_giving_up_powers_is_complete() -> None:
    front = drop_to("/usr/bin/setpriv", Owner(5, 6, 5), pdeathsig=True)
    assert {"--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"} < set(
        front
    )
    assert has(list(front), "--reuid", "5", "--regid", "6")
    assert front[-1] == "--"


@pytest.mark.parametrize(
    ("id_map", "mapped"),
    [("         0          0 4294967295\n", True), ("0 100000 65536\n", False), ("0 1000 1\n1 100000 65536\n", False)],
)
def test_uids_of_a_rootless_container_are_noticed(id_map: str, mapped: bool) -> None:  # noqa: FBT001
    assert is_mapped(id_map, FIRST_UID) == mapped


def modes(table: dict[str, tuple[int, int, int]]) -> object:
    def look(path: Path) -> os.stat_result:
        mode, uid, gid = table.get(str(path), (stat.S_IFDIR | 0o755, 0, 0))
        return os.stat_result((mode, 0, 0, 0, uid, gid, 0, 0, 0, 0))

    return look


@pytest.mark.parametrize(
    ("directory", "closed"),
    [
        ((0o700, 0, 0), True),
        ((0o711, 0, 0), False),
        ((0o700, 7, 0), False),
        # The owner's bits count for the owner, even where others have more.
        ((0o077, 7, 0), True),
        ((0o710, 0, 8), False),
        ((0o701, 0, 8), True),
    ],
)
def test_a_closed_directory_on_the_way_is_found(directory: tuple[int, int, int], closed: bool) -> None:  # noqa: FBT001
    mode, uid, gid = directory
    look = modes({"/root": (stat.S_IFDIR | mode, uid, gid)})
    found = first_closed(Path("/root/x/python"), Owner(7, 8, 7), look=look)  # type: ignore[arg-type]
    assert found == (Path("/root") if closed else None)


def test_the_end_must_be_readable_and_only_what_counts_is_looked_at() -> None:
    look = modes({"/a": (stat.S_IFDIR | 0o700, 0, 0), "/a/b/f": (stat.S_IFREG | 0o600, 0, 0)})
    owner = Owner(7, 8, 7)
    assert first_closed(Path("/a/b/f"), owner, [Path("/a/b")], look=look) == Path("/a/b/f")  # type: ignore[arg-type]
    assert first_closed(Path("/a/b"), owner, [Path("/a/b")], look=look) is None  # type: ignore[arg-type]


def test_outermost() -> None:
    assert outermost([Path("/a/b"), Path("/a"), Path("/ab"), Path("/"), Path("/a")]) == (Path("/a"), Path("/ab"))


def test_log_joins_pieces_keeps_the_tail_and_rotates(tmp_path: Path) -> None:
    log = OutputLog(tmp_path / "log", lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), rotate_at=100)
    for piece in (b"on", b"e\ntwo\xff\n", b"x" * 40 + b"\n", b"last"):
        log.feed(piece)
    log.close()
    assert log.tail == ("one", "two�", "x" * 40, "last")
    assert (tmp_path / "log.1").read_text().startswith("2026-01-02T03:04:05.000Z one\n2026-01-02T03:04:05.000Z two")
    assert (tmp_path / "log").read_text() == "2026-01-02T03:04:05.000Z last\n"


def test_a_log_that_cannot_be_written_costs_lines_only(tmp_path: Path) -> None:
    log = OutputLog(tmp_path)
    log.feed(b"one\n")
    log.close()
    assert log.tail == ("one",)
