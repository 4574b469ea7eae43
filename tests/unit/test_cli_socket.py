"""Which hive is meant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hyperhive.errors import HiveError
from hyperhive.socket_path import find_socket, short_enough


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch()


def test_what_is_given_wins() -> None:
    environ = {"HYPERHIVE_SOCKET": "env.sock", "HYPERHIVE_STATE_DIR": "state"}
    assert find_socket(Path("given.sock"), environ) == Path("given.sock")


def test_then_the_variable_for_the_socket() -> None:
    environ = {"HYPERHIVE_SOCKET": "env.sock", "HYPERHIVE_STATE_DIR": "state"}
    assert find_socket(None, environ) == Path("env.sock")


def test_then_the_state_directory_that_is_named_even_if_nothing_is_there(tmp_path: Path) -> None:
    _make(tmp_path / ".hyperhive/run/host.sock")
    assert find_socket(None, {"HYPERHIVE_STATE_DIR": "state"}) == Path("state/run/host.sock")


def test_then_the_hive_of_the_working_directory(tmp_path: Path) -> None:
    _make(tmp_path / ".hyperhive/run/host.sock")
    assert find_socket(None, {}) == Path(".hyperhive/run/host.sock")


def test_then_the_one_of_the_system() -> None:
    assert find_socket(None, {"HYPERHIVE_SOCKET": ""}) == Path("/run/hyperhive/host.sock")


def test_a_long_path_through_a_link_is_spelled_shorter(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    (tmp_path / "s").mkdir()
    (long / "run").symlink_to(tmp_path / "s")
    assert short_enough(long / "run" / "host.sock") == str((tmp_path / "s" / "host.sock").resolve())


def test_a_long_path_below_here_is_spelled_relatively(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.chdir(long)
    assert short_enough(long / "host.sock") == "host.sock"


def test_a_path_that_stays_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HiveError) as caught:
        short_enough(tmp_path / ("x" * 120) / "host.sock")
    assert caught.value.code == "path_too_long"
    assert len(os.fsencode(tmp_path)) < 107
