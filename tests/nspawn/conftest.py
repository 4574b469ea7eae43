"""One machine with one swarm for the whole tier: booting it takes most of the time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import pytest_asyncio
from nspawn_host import why_not
from nspawn_image import make_image_early, why_no_image
from nspawn_swarm import SCENARIO, swarm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nspawn_swarm import Swarm

#: Seconds that one test may take. It is there to end what hangs: whole machines boot in a test, perhaps on a slow one.
_LONGEST: Final = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder the time that machines take."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(_LONGEST))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin with what takes a minute on a new machine, beside the tests that come before these."""
    wanted = any(item.path.is_relative_to(Path(__file__).parent) for item in session.items)
    if wanted and not session.config.option.collectonly and not why_not() and not why_no_image():
        make_image_early()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hive(require_tier: Callable[[str, object, str], None]) -> AsyncIterator[Swarm]:
    """A running daemon with alice and bob, each in a container."""
    why = why_not() or why_no_image()
    require_tier("nspawn", not why, why)
    async with swarm({"alice": {}, "bob": {}}, SCENARIO) as made:
        yield made
