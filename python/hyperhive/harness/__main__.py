"""`python -m hyperhive.harness`."""

from __future__ import annotations

import sys
from typing import Any, cast


def start() -> int:
    """Import the harness without what it never needs, and be it."""
    # httpx brings a command line of its own, and with that rich and pygments: 3 MiB in the memory of every agent. It
    # does without where that cannot be imported.
    for name in ("httpx._main", "httpx2._main"):
        cast("dict[str, Any]", sys.modules).setdefault(name, None)
    from hyperhive.harness.main import main  # noqa: PLC0415 - after that

    return main()


if __name__ == "__main__":
    sys.exit(start())
