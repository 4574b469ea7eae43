"""A word about each step while something starts: one line with a spinner on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from hyperhive.cli.output import console, note
from hyperhive.cli.text import plain

if TYPE_CHECKING:
    from rich.status import Status


class Progress:
    """Steps of a start, on standard error; use it as a context manager."""

    def __init__(self) -> None:
        self._status: Status | None = None

    def __enter__(self) -> Self:
        """Begin; nothing is shown before the first step."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Take the spinner away."""
        self.done()

    def step(self, text: str) -> None:
        """Say what goes on now."""
        line = f"{plain(text, one_line=True)} …"
        if not sys.stderr.isatty():
            note(line)
        elif self._status is None:
            self._status = console(True).status(line)  # noqa: FBT003 - standard error
            self._status.start()
        else:
            self._status.update(line)

    def done(self) -> None:
        """What comes now is no step."""
        if self._status is not None:
            self._status.stop()
            self._status = None
