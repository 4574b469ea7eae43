"""The runtimes on which whole swarms run."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(params=["bubblewrap", pytest.param("process", marks=pytest.mark.long)])
def runtime(request: pytest.FixtureRequest, require_tier: Callable[[str, object, str], None]) -> str:
    """Each embedded runtime; the one without containers where it is another matter, and in the long tests."""
    name: str = request.param
    if name == "bubblewrap":
        require_tier("bubblewrap", shutil.which("bwrap"), "there is no bwrap program")
    return name
