"""The operator's token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hyperhive.errors import HiveError
from hyperhive.web.tokens import operator_token

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
