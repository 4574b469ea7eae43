"""Ways into a directory that somebody else has filled: none leads out of it, and none waits for anybody."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hyperhive.beneath import has_file, open_beneath, size_of, wipe
from hyperhive.errors import HiveError
from hyperhive.runtime.command import Done

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[Path], object]

ROOT = os.geteuid() == 0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    (made / "claude" / "deeper").mkdir(parents=True)
    (made / "claude" / "login").write_text("in it")
    (tmp_path / "login").write_text("the operator's")
    (tmp_path / "claude").mkdir()
    (tmp_path / "claude" / "login").write_text("the operator's")
    return made


def _read(root: Path, relative: str) -> str:
    descriptor = open_beneath(root, relative)
    with os.fdopen(descriptor) as file:
        return file.read()


def _opened() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no directory of ours


def test_a_file_is_read_however_deep_it_lies(root: Path) -> None:
    (root / "claude" / "deeper" / "file").write_text("deep")
    (root / "top").write_text("top")
    assert [_read(root, name) for name in ("claude/login", "claude/deeper/file", "top")] == ["in it", "deep", "top"]


@pytest.mark.parametrize(
    "relative",
    [
        *("", ".", "..", "/", "../login", "claude/../../login", "claude/../claude/login", "claude/.."),
        *("./claude/login", "claude//login", "claude/login/", "/etc/hostname", "claude/./login"),
    ],
)
def test_a_path_that_is_not_plainly_below_is_refused(root: Path, relative: str) -> None:
    before = _opened()
    with pytest.raises(OSError, match=r".") as refusal:
        open_beneath(root, relative)
    assert refusal.value.errno is not None
    assert (has_file(root, relative), _opened()) == (False, before)


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # its name alone fits
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _link_above(path: Path) -> None:
    """The directory is a link to one that has such a file."""
    path.parent.rename(path.parents[1] / "moved")
    path.parent.symlink_to(path.parents[1] / "moved")
    (path.parents[1] / "moved" / path.name).write_text("moved")


STRANGE = {
    "a link out": lambda path: path.symlink_to(path.parents[2] / "login"),
    "a link out by ..": lambda path: path.symlink_to("../../login"),
    "a link inside": lambda path: path.symlink_to("login"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link of the kernel's": lambda path: path.symlink_to("/proc/self/exe"),
    "a link in its way": _link_above,
    "a directory": Path.mkdir,
    "a fifo": os.mkfifo,
    "a socket": _socket,
    "nothing": lambda _path: None,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE)
def test_what_is_no_file_of_its_own_is_refused_at_once(root: Path, make: Make) -> None:
    make(root / "claude" / "strange")
    before = _opened()
    with pytest.raises(OSError, match=r"."):
        open_beneath(root, "claude/strange")
    assert (has_file(root, "claude/strange"), _opened()) == (False, before)


@pytest.mark.skipif(not ROOT, reason="only root makes devices")
@pytest.mark.timeout(60)
def test_a_device_is_refused(root: Path) -> None:
    try:
        os.mknod(root / "claude" / "tty", 0o20666, os.makedev(5, 0))
    except PermissionError:
        pytest.skip("not even root makes devices here")
    with pytest.raises(OSError, match=r"."):
        open_beneath(root, "claude/tty")


def test_a_root_that_is_a_link_or_a_file_or_nothing_is_refused(root: Path) -> None:
    (root.parent / "link").symlink_to(root)
    before = _opened()
    for other in (root.parent / "link", root.parent / "login", root.parent / "nothing"):
        with pytest.raises(OSError, match=r"."):
            open_beneath(other, "claude/login")
        assert not has_file(other, "claude/login")
    assert _opened() == before


def test_an_empty_file_is_as_none(root: Path) -> None:
    (root / "claude" / "empty").touch()
    assert (has_file(root, "claude/empty"), has_file(root, "claude/login")) == (False, True)


# --- sizes


async def test_the_size_is_what_lies_there_and_not_what_is_linked(root: Path) -> None:
    before = await size_of(root)
    (root / "claude" / "big").write_bytes(os.urandom(200_000))
    (root / "usr").symlink_to("/usr")
    with (root / "sparse").open("wb") as sparse:
        sparse.truncate(2**40)
    after = await size_of(root)
    assert before is not None
    assert after is not None
    assert 200_000 <= after - before < 300_000


async def test_the_size_of_nothing_is_nothing_and_of_a_link_is_not_its_targets(root: Path) -> None:
    assert await size_of(root / "nothing") == 0
    (root.parent / "link").symlink_to("/usr")
    assert (await size_of(root.parent / "link") or 0) < 10_000


async def test_a_size_that_nobody_can_say_in_time_is_none(root: Path) -> None:
    async def late(*_command: str, seconds: float) -> Done:
        raise HiveError("operation_failed", f"took more than {seconds}", "Wait")

    async def odd(*_command: str, seconds: float) -> Done:  # noqa: ARG001 - the protocol's
        return Done(1, "", "du: cannot access")

    assert (await size_of(root, late), await size_of(root, odd)) == (None, None)


# --- removals


async def test_a_tree_goes_and_what_it_links_to_stays(root: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "file").write_text("stays")
    (outside / "file").chmod(0o400)
    outside.chmod(0o500)
    (root / "out").symlink_to(outside)
    (root / "file").symlink_to(outside / "file")
    (root / "closed").mkdir()
    (root / "closed" / "file").touch()
    (root / "closed").chmod(0)
    await wipe(root)
    assert not root.exists()  # noqa: ASYNC240 - a test may block
    assert (outside / "file").read_text() == "stays"
    assert (outside.stat().st_mode & 0o777, (outside / "file").stat().st_mode & 0o777) == (0o500, 0o400)
    await wipe(root)


async def test_a_root_that_is_a_link_goes_alone(root: Path) -> None:
    (root / "claude").chmod(0o500)
    link = root.parent / "link"
    link.symlink_to(root)
    await wipe(link)
    assert not link.is_symlink()
    assert (root / "claude" / "login").read_text() == "in it"
    assert (root / "claude").stat().st_mode & 0o777 == 0o500


async def test_what_cannot_be_removed_is_named(root: Path) -> None:
    async def nothing(*_command: str, seconds: float) -> Done:  # noqa: ARG001 - the protocol's
        return Done(1, "", "rm: cannot remove: Operation not permitted\n")

    with pytest.raises(HiveError, match="Operation not permitted") as refusal:
        await wipe(root, nothing)
    assert refusal.value.code == "operation_failed"
    assert str(root) in refusal.value.message


async def test_names_like_options_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    odd = Path("/") / str(tmp_path) / "-rf"
    (odd / "--no-preserve-root").mkdir(parents=True)
    (odd / "\n*").write_text("x" * 5000)
    assert (await size_of(odd) or 0) >= 5000
    await wipe(odd)
    assert not odd.exists()
