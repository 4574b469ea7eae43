"""Keeping Claude's conversation short enough for its model: when that is due, and how it is done.

A compaction is Claude's own `/compact` on the agent's session, run like a turn: it can be cancelled, a stop gives it
its grace, its time is bounded and its cost counts. By itself it comes after a turn that ended well and left the
conversation near the model's limit, behind a turn of its own in which the agent writes down what it must not lose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hyperhive.harness.prompts import WRITE_DOWN
from hyperhive.names import SYSTEM

if TYPE_CHECKING:
    from hyperhive.harness.control import Control
    from hyperhive.harness.outcome import Park, TurnEnd
    from hyperhive.harness.runner import Runner
    from hyperhive.harness.turn import Turn

#: Share of the model's window from which on a conversation is shortened.
SHARE: Final = 0.75
#: Share of the window by which it must have grown further, if shortening it did not bring it below the other.
FURTHER: Final = 0.05
#: Characters of what is said of a failure.
_SAID: Final = 500


@dataclass(slots=True)
class Level:
    """Whether the conversation has grown so far that it is to be shortened, and not again and again."""

    _floor: float = 0.0
    _tried: bool = False

    def due(self, context: int | None, window: int | None) -> bool:
        """Take in what the conversation holds after a turn that ended well.

        Args:
            context: its tokens.
            window: tokens that the model can hold.
        """
        if not context or not window:
            return False
        full = context >= SHARE * window
        if self._tried:
            # The first look after an attempt only tells what that came to.
            self._tried, self._floor = False, context + FURTHER * window if full else 0.0
            return False
        return full and context >= self._floor

    def tried(self) -> None:
        """It was shortened, or that was tried."""
        self._tried = True


@dataclass(slots=True)
class Compaction:
    """Shortens the conversation of one agent; whoever asks for it holds `control.quiet`.

    Args:
        control: knows which turn runs.
        runner: runs Claude.
        level: knows when it is due.
    """

    control: Control
    runner: Runner
    level: Level = field(default_factory=Level)

    async def run(self, *, by_itself: bool = False) -> tuple[Turn, TurnEnd]:
        """Let Claude shorten the conversation. The state stays `compacting`; the caller says what comes next."""
        turn = self.runner.turn(None, trigger="auto" if by_itself else None)
        self._begin(turn)
        try:
            with turn.bounded():
                end = await self.runner.attempt(turn, lambda _news: "/compact", command=True)
            turn.cancelled = turn.halted == "cancel" and not turn.compacted
            return turn, end
        finally:
            self.runner.reporter.tell(usage=turn.usage, session_id=self.runner.session.session_id)
            self._end(turn)

    async def keep_small(self, number: int) -> Park | None:
        """Let the agent write down what matters, then shorten the conversation; no message depends on it.

        Args:
            number: of the turn in which it writes.

        Returns:
            For what to rest, should the API have refused.
        """
        turn, end = await self._write_down(number)
        verdict = self.runner.judge(end)
        if turn.halted or verdict.park or end.fault or self.control.stopping.is_set():
            return verdict.park
        turn, end = await self.run(by_itself=True)
        if turn.compacted:
            return None
        text = f"the conversation was not shortened: {self.runner.events.redactor.clear(why_not(end))}"
        self.runner.events.emit("note", None, text=text)
        return self.runner.judge(end).park

    async def _write_down(self, number: int) -> tuple[Turn, TurnEnd]:
        runner, began = self.runner, self.runner.clock()
        turn = runner.turn(number)
        self._begin(turn)
        turn.emit("turn_start", {"from": SYSTEM, "body": WRITE_DOWN, "unread": 0, "redelivered": False})
        try:
            with turn.bounded():
                end = await runner.attempt(turn, lambda _news: WRITE_DOWN)
            turn.cancelled = turn.halted == "cancel" and (not end.answered or end.is_error)
            runner.conclude(turn, runner.judge(end), began, None)
            return turn, end
        finally:
            self._end(turn)

    def _begin(self, turn: Turn) -> None:
        self.level.tried()
        self.control.begin(turn)
        self.runner.reporter.enter("compacting")

    def _end(self, turn: Turn) -> None:
        self.control.end()
        turn.over.set()


def why_not(end: TurnEnd) -> str:
    """Why a conversation was not shortened."""
    if end.halt:
        reasons = {"cancel": "it was cancelled", "stop": "the harness is stopping"}
        return reasons.get(end.halt, "it took longer than maxTurnMinutes")
    return (str(end.fault or "") or end.text.strip() or "claude did not say why")[:_SAID]
