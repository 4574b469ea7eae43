"""A change in a directory is told at once, and a directory that is not there is no trouble."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hyperhive.harness.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _write(place: Path) -> None:
    (place / "new").write_text("x")


def _move(place: Path) -> None:
    (place / "old").rename(place / "other")


def _remove(place: Path) -> None:
    (place / "old").unlink()


@pytest.mark.parametrize("change", [_write, _move, _remove])
async def test_a_change_is_told(tmp_path: Path, change: Callable[[Path], None]) -> None:
    (tmp_path / "old").write_text("x")
    with Watch(None, tmp_path / "not-there", tmp_path) as watch:
        assert not watch.changed.is_set()
        change(tmp_path)
        async with asyncio.timeout(60):
            await watch.changed.wait()


async def test_what_is_only_read_is_no_change_and_nothing_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("x")
    before = _open_files()
    with Watch(tmp_path) as watch:
        (tmp_path / "old").read_text()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await watch.changed.wait()
    assert _open_files() == before


async def test_without_inotify_nothing_is_told_and_nothing_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda *_arguments, **_options: object())
    with Watch(tmp_path) as watch:
        _write(tmp_path)
        assert not watch.changed.is_set()
