"""What holds for every test of this directory: hundreds of hives begin and end in one process."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest import mock

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def nothing_is_frozen() -> Iterator[None]:
    """Without the collection that a daemon begins with, which exempts what is there from all others.

    Each would go through what the hives before it left, and keep it for ever.
    """
    with mock.patch("hyperhive.hive.daemon._freeze"):
        yield
