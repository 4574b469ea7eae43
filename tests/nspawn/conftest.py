"""One machine with one swarm for the whole tier: booting it takes most of the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio
from nspawn_host import why_not
from nspawn_image import why_no_image
from nspawn_swarm import SCENARIO, swarm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nspawn_swarm import Swarm


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hive(require_tier: Callable[[str, object, str], None]) -> AsyncIterator[Swarm]:
    """A running daemon with alice and bob, each in a container."""
    why = why_not() or why_no_image()
    require_tier("nspawn", not why, why)
    async with swarm({"alice": {}, "bob": {}}, SCENARIO) as made:
        yield made
