"""What holds for every test of this directory: hundreds of hives and harnesses begin and end in one process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hive_bed import short_place
from in_flight import counting
from lent_apps import lent_apps

from hyperhive.harness import launch

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory for a hive."""
    with short_place() as made:
        yield made


@pytest.fixture(scope="session", autouse=True)
def nothing_is_frozen() -> Iterator[None]:
    """Without the collection that a daemon begins with, which exempts what is there from all others.

    Each would go through what the hives before it left, and keep it for ever.
    """
    with mock.patch("hyperhive.hive.daemon._freeze"):
        yield


@pytest.fixture(scope="session", autouse=True)
def applications_are_built_once() -> Iterator[None]:
    """And lent to the hives that begin in this process."""
    with lent_apps():
        yield


@pytest.fixture(scope="session", autouse=True)
def operations_are_waited_for() -> Iterator[None]:
    """Until they end, however slow the machine is; a test of those that go on says how long."""
    with mock.patch("hyperhive.hive.operations.PATIENCE", 60):
        yield


@pytest.fixture(scope="session", autouse=True)
def nobody_falls_silent() -> Iterator[None]:
    """The harnesses of tests poll when a test says so, however long that takes; a test of silence says how long."""
    with mock.patch.multiple("hyperhive.hive.signs", _FIRST=600, _NEXT=600):
        yield


@pytest.fixture(scope="session", autouse=True)
def what_is_in_flight_is_known() -> Iterator[None]:
    """So that a test can wait until there is nothing."""
    with counting():
        yield


@pytest.fixture(scope="session", autouse=True)
def claude_says_once_what_it_can() -> Iterator[None]:
    """Every harness asks its `claude` which flags it knows; here a hundred would ask the same program."""
    ask, said = launch._help, dict[tuple[str, int], str]()

    async def ask_once(program: str) -> str:
        key = (program, Path(program).stat().st_mtime_ns)  # noqa: ASYNC240 - one question to the kernel
        if key not in said:
            said[key] = await ask(program)
        return said[key]

    with mock.patch.object(launch, "_help", ask_once):
        yield
