"""The one way to run git: bounded in time and output, ended with all that it started, and nothing of us around it."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from broker_bed import DEADLINE

from hyperhive.errors import HiveError
from hyperhive.hive.git import environment, git

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of git."""
    path = tmp_path / "git"
    monkeypatch.setenv("HYPERHIVE_GIT", str(path))
    return path


def _write(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


async def test_more_than_was_asked_for_is_cut_and_ends_the_program(program: Path, tmp_path: Path) -> None:
    _write(program, "yes")
    async with asyncio.timeout(DEADLINE):
        answer = await git(tmp_path, "log", most=1_000_000)
    assert (len(answer.out), answer.cut, answer.ok) == (1_000_000, True, True)


async def test_exactly_as_much_is_not_cut(program: Path, tmp_path: Path) -> None:
    _write(program, "printf 12345678")
    answer = await git(tmp_path, "log", most=8)
    assert (answer.out, answer.cut) == (b"12345678", False)


@pytest.mark.parametrize(
    "script", ["sleep 1000", "yes", "yes >&2", "sleep 1000 & wait", "trap '' TERM; while :; do :; done"]
)
async def test_it_is_ended_in_time_with_all_that_it_started(program: Path, tmp_path: Path, script: str) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    _write(program, f"exec 9>'{alive}'; {script}")
    with pytest.raises(HiveError, match=r"did not end within 0.5 s") as refusal:
        await git(tmp_path, "log", most=10**12, seconds=0.5)
    assert refusal.value.data["late"] is True
    # Nobody holds it open any more.
    assert await asyncio.to_thread(os.read, reader, 1) == b""
    os.close(reader)


async def test_a_caller_who_is_cancelled_leaves_nothing_behind(program: Path, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    reader = os.open(alive, os.O_RDWR)
    _write(program, f"exec 9>'{alive}'; echo up >&9; yes")
    task = asyncio.create_task(git(tmp_path, "log", most=10**12))
    assert await asyncio.to_thread(os.read, reader, 3) == b"up\n"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    os.close(reader)


async def test_a_failure_is_told_in_the_programs_last_words(program: Path, tmp_path: Path) -> None:
    _write(program, "echo 'warning: x' >&2; echo 'fatal: no such thing' >&2; exit 128")
    with pytest.raises(HiveError, match=r"git log failed: fatal: no such thing"):
        await git(tmp_path, "log")
    assert (await git(tmp_path, "log", check=False)).code == 128


async def test_what_it_reads_may_be_more_than_it_wants(program: Path, tmp_path: Path) -> None:
    _write(program, "head -c 3")
    assert (await git(tmp_path, "log", given=b"abc" * 1_000_000)).out == b"abc"


async def test_memory_and_files_are_bounded(program: Path, tmp_path: Path) -> None:
    # Its bounds are set once it is there, before it is given anything to read.
    _write(program, "read word; ulimit -v; ulimit -f; ulimit -c")
    memory, blocks, core = (await git(tmp_path, "log", given=b"word\n")).text.split()
    assert (int(memory), int(blocks) <= 1024 * 1024, core) == (1024**2, True, "0")


def test_nothing_of_the_daemons_environment_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment()
    for name in ("GIT_DIR", "GIT_EXTERNAL_DIFF", "GIT_SSH_COMMAND", "LD_PRELOAD", "HOME", "XDG_CONFIG_HOME", "EDITOR"):
        monkeypatch.setenv(name, "canary")
    assert environment() == before
    assert "canary" not in before.values()
