"""Exit codes, and how an error is shown: what is wrong on one line, what to do next on the second."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from hyperhive.cli.output import note
from hyperhive.cli.text import plain

if TYPE_CHECKING:
    from hyperhive.errors import HiveError

DONE: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2
NO_DAEMON: Final = 3
REFUSED: Final = 4
#: What a shell makes of SIGINT.
INTERRUPTED: Final = 130

#: HTTP statuses of errors that lie in what was asked: there is no such thing, or it has the wrong form.
_BAD_INPUT: Final = {404, 405, 413, 422}
#: Statuses of errors that lie in what is allowed at all or just now.
_REFUSED: Final = {401, 403, 409, 410, 429}


def exit_code(error: HiveError) -> int:
    """The exit code that stands for an error."""
    if error.code == "no_daemon":
        return NO_DAEMON
    if error.status in _BAD_INPUT:
        return BAD_INPUT
    return REFUSED if error.status in _REFUSED else FAILED


def show_error(error: HiveError, *, as_json: bool) -> None:
    """Say on standard error what is wrong."""
    if as_json:
        note(json.dumps(error.to_json()))
        return
    problems = error.data.get("problems")
    if isinstance(problems, list) and problems:
        note("hyperhive: " + ("this must be corrected:" if len(problems) == 1 else f"{len(problems)} mistakes:"))
        for problem in problems:
            note(f"  {plain(problem, one_line=True)}")
    else:
        note(f"hyperhive: {plain(error.message)}")
    if error.hint:
        note(f"  {plain(error.hint)}")
