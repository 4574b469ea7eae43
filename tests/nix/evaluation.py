"""What one more agent costs a rebuild: Nix's own count of function calls and thunks of a host's `toplevel.drvPath`.

Run by itself it prints the figures as JSON: `python tests/nix/evaluation.py`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Final

from nix_bed import Nix, at_once

#: Numbers of agents that are measured.
COUNTS: Final = (1, 50)


def work(nix: Nix, directory: Path, count: int) -> int:
    """Function calls and thunks of a host with `count` agents."""
    file = directory / f"{count}.json"
    nix.evaluate("counted", stats=file, count=count)
    stats = json.loads(file.read_text())
    return int(stats["nrFunctionCalls"]) + int(stats["nrThunks"])


def figures(nix: Nix, directory: Path) -> dict[str, float]:
    """The work of the hosts, and what the limits of the design are about."""
    few, many = at_once(partial(work, nix, directory, count) for count in COUNTS)
    more = COUNTS[1] - COUNTS[0]
    return {
        f"calls_and_thunks_{COUNTS[0]}_agent": few,
        f"calls_and_thunks_{COUNTS[1]}_agents": many,
        "one_more_agent_percent": round(100 * (many - few) / more / few, 4),
        "many_to_one": round(many / few, 4),
    }


def main() -> int:
    """Print the figures."""
    with tempfile.TemporaryDirectory(prefix="hyperhive-nix-") as directory:
        place = Path(directory)
        nix = Nix.find(place / "flake")
        if isinstance(nix, str):
            sys.stderr.write(f"not measured: {nix}\n")
            return 1
        sys.stdout.write(json.dumps(figures(nix, place)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
