"""The operator's token, and those of agents' pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hyperhive.errors import HiveError
from hyperhive.web.tokens import operator_token, page_key, page_token

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    token = operator_token(tmp_path, None)
    assert len(token) >= 43
    assert (tmp_path / "operator-token").stat().st_mode & 0o777 == 0o600
    assert operator_token(tmp_path, None) == token


def test_two_hives_have_two(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assert operator_token(tmp_path / "one", None) != operator_token(tmp_path / "two", None)


def test_a_file_of_the_operators_is_read_and_nothing_is_made(tmp_path: Path) -> None:
    given = tmp_path / "mine"
    given.write_text("x" * 32 + "\n")
    assert operator_token(tmp_path, given) == "x" * 32
    assert not (tmp_path / "operator-token").exists()


@pytest.mark.parametrize("content", ["", "\n", "x" * 31, "x" * 20 + " " + "x" * 20, "x" * 32 + "\x07", "é" * 40])
def test_a_token_that_is_weak_or_no_header_is_refused(tmp_path: Path, content: str) -> None:
    given = tmp_path / "mine"
    given.write_text(content)
    with pytest.raises(HiveError) as caught:
        operator_token(tmp_path, given)
    assert caught.value.code == "bad_config"
    assert str(given) in caught.value.message
    assert len(content) < 10 or content not in str(caught.value), "a secret does not belong into an error"


def test_an_empty_file_of_our_own_is_refused_too(tmp_path: Path) -> None:
    """As after a crash between making and writing it: an empty token must not open the door."""
    (tmp_path / "operator-token").touch(0o600)
    with pytest.raises(HiveError) as caught:
        operator_token(tmp_path, None)
    assert caught.value.code == "bad_config"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(HiveError) as caught:
        operator_token(tmp_path, tmp_path / "missing")
    assert (caught.value.code, "missing" in caught.value.message) == ("bad_config", True)


# --- agents' pages


def test_the_key_of_the_pages_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    key = page_key(tmp_path)
    assert len(key) == 32
    assert (tmp_path / "page-key").stat().st_mode & 0o777 == 0o600
    assert page_key(tmp_path) == key
    assert [path.name for path in tmp_path.iterdir()] == ["page-key"]


def test_what_a_crash_left_of_a_key_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "page-key.new").write_bytes(b"half")
    assert len(page_key(tmp_path)) == 32


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    page_key(tmp_path)
    (tmp_path / "page-key").chmod(mode)
    with pytest.raises(HiveError, match=f"{mode:04o}") as caught:
        page_key(tmp_path)
    assert caught.value.code == "bad_config"


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_key_of_another_size_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "page-key").write_bytes(content)
    (tmp_path / "page-key").chmod(0o600)
    with pytest.raises(HiveError, match="32 bytes"):
        page_key(tmp_path)


def test_a_key_that_is_a_link_or_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "else").write_bytes(b"x" * 32)
    (tmp_path / "else").chmod(0o600)
    (tmp_path / "page-key").symlink_to(tmp_path / "else")
    with pytest.raises(HiveError, match="plain file"):
        page_key(tmp_path)
    (tmp_path / "page-key").unlink()
    (tmp_path / "page-key").mkdir(0o700)
    with pytest.raises(HiveError, match="no file"):
        page_key(tmp_path)


def test_each_page_has_a_token_of_its_own_that_follows_from_key_and_name() -> None:
    tokens = {page_token(key, name) for key in (b"a" * 32, b"b" * 32) for name in ("alice", "bob")}
    assert len(tokens) == 4
    assert all(len(token) == 43 and "=" not in token and "/" not in token for token in tokens)
