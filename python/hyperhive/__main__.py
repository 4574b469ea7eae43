"""`python -m hyperhive` is the command `hyperhive`."""

from __future__ import annotations

import sys

from hyperhive.cli import main

if __name__ == "__main__":
    sys.exit(main())
