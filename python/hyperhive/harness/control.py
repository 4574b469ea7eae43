"""What the loop and the commands share: the running turn, and whether the harness is to stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from hyperhive.harness.turn import Turn


class Control:
    """Lives as long as the harness."""

    def __init__(self) -> None:
        self.turn: Turn | None = None
        self.stopping = asyncio.Event()
        self.loose = False
        """A recv was given up: the hive may have handed out a message that nobody here knows of."""
        self.quiet = asyncio.Lock()
        """Held by whoever uses the session: a turn, or what the operator asks for between two of them."""
        self._deadline: asyncio.TimerHandle | None = None
        self._late = False

    def begin(self, turn: Turn) -> None:
        """`turn` is the running one."""
        self.turn = turn
        if self._late:
            turn.halt("stop")

    def end(self) -> None:
        """No turn runs."""
        self.turn = None

    def cancel(self) -> Turn:
        """Cancel the running turn.

        Raises:
            HiveError: `wrong_state`; there is none, or it is ending already.
        """
        if self.turn is None or self.turn.over.is_set():
            raise HiveError("wrong_state", "no turn is running", "There is nothing to cancel")
        self.turn.halt("cancel")
        return self.turn

    def stop(self, grace: float) -> None:
        """Take no further message, and give the running turn `grace` seconds; a shorter grace replaces a longer one."""
        loop = asyncio.get_running_loop()
        self.stopping.set()
        when = loop.time() + max(grace, 0)
        if self._deadline is None or when < self._deadline.when():
            if self._deadline:
                self._deadline.cancel()
            self._deadline = loop.call_at(when, self._halt)

    def close(self) -> None:
        """Drop the timer."""
        if self._deadline:
            self._deadline.cancel()

    def _halt(self) -> None:
        self._late = True
        if self.turn:
            self.turn.halt("stop")
