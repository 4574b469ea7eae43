"""How much is drawn of what tests could go through: all of it in the long tests, others at each run elsewhere."""

from __future__ import annotations

import os
import random
from typing import Any

from hypothesis import settings

_ALL = bool(os.environ.get("HYPERHIVE_LONG"))


def drawn(most: int, **more: Any) -> settings:  # noqa: ANN401 - passed on
    """Settings for `most` examples where the long tests are wanted, and for a third of them otherwise."""
    return settings(max_examples=most if _ALL else max(most // 3, 5), deadline=None, **more)


def moments(most: int) -> range:
    """1 to `most`, or each third of them, from another one on at each run."""
    return range(1, most + 1) if _ALL else range(random.randrange(1, 4), most + 1, 3)  # noqa: S311 - no secret
