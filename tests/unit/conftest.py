"""What tests of the commands share: a stand-in hive that they find, and a shell that knows of no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from operator_stand_in import StandIn, served_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty directory, and none of our variables."""
    monkeypatch.chdir(tmp_path)
    for name in ("HYPERHIVE_SOCKET", "HYPERHIVE_STATE_DIR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[StandIn, Path]]:
    """The stand-in and its socket, one a module."""
    stand_in = StandIn()
    with served_in_thread(stand_in) as path:
        yield stand_in, path


@pytest.fixture
def hive(nowhere: None, server: tuple[StandIn, Path], monkeypatch: pytest.MonkeyPatch) -> StandIn:  # noqa: ARG001
    """The stand-in as the hive that commands find."""
    stand_in, path = server
    stand_in.reset()
    monkeypatch.setenv("HYPERHIVE_SOCKET", str(path))
    return stand_in
