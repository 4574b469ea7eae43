"""How many examples property tests draw: others at each run, and three times as many in the long tests."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings


def drawn(most: int, **more: Any) -> settings:  # noqa: ANN401 - passed on
    """Settings for `most` examples where the long tests are wanted, and for a third of them otherwise."""
    count = most if os.environ.get("HYPERHIVE_LONG") else max(most // 3, 5)
    return settings(max_examples=count, deadline=None, **more)
