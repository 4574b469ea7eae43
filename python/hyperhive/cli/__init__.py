"""The command `hyperhive`. One command group a file; whatever is not needed for `hyperhive list` is imported late."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: by default those of this process.

    Returns:
        The exit code: 0 done, 1 failed, 2 bad input, 3 no daemon there, 4 refused.
    """
    # Imports make many objects and no garbage: collecting in between is a tenth of the time of a short command.
    gc.set_threshold(50_000, 20, 50)
    from hyperhive.cli.app import app  # noqa: PLC0415 - so that importing this package costs nothing
    from hyperhive.cli.exits import DONE, INTERRUPTED, exit_code, show_error  # noqa: PLC0415
    from hyperhive.errors import HiveError  # noqa: PLC0415

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Unicode gets question marks, not a traceback
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(words, prog_name="hyperhive")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else DONE if end.code is None else 1
    except HiveError as error:
        show_error(error, as_json="--json" in words)
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE
