"""What the operator asks for between two turns: another model, a shorter conversation, a new one.

While one of these is carried out no turn begins, and what needs the session is refused while a turn runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyperhive import wire
from hyperhive.errors import HiveError
from hyperhive.harness.compaction import why_not

if TYPE_CHECKING:
    from hyperhive.harness.any_session import AnySession
    from hyperhive.harness.compaction import Compaction
    from hyperhive.harness.control import Control
    from hyperhive.harness.events import Events
    from hyperhive.harness.means import Means
    from hyperhive.harness.outcome import TurnEnd
    from hyperhive.harness.reporter import Reporter
    from hyperhive.harness.turn import Turn


class Upkeep:
    """Carries out those commands.

    Args:
        control: knows whether a turn runs.
        session: is compacted or given up.
        events: take what happens.
        reporter: takes the state.
        means: knows the model.
        compaction: shortens the conversation.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - that is what it takes
        self,
        control: Control,
        session: AnySession,
        events: Events,
        reporter: Reporter,
        means: Means,
        compaction: Compaction,
    ) -> None:
        self._control, self._session, self._events, self._reporter = control, session, events, reporter
        self._means, self._compaction = means, compaction

    async def model(self, args: dict[str, Any]) -> dict[str, Any]:
        """Use another model from the next turn on.

        Raises:
            HiveError: `malformed`, `storage_full`.
        """
        wanted = args.get("model")
        if not isinstance(wanted, str):
            raise HiveError("malformed", "model is no text")
        return {"model": await self._means.choose_model(wanted)}

    async def compact(self, _args: dict[str, Any]) -> None:
        """Let Claude shorten its conversation.

        Raises:
            HiveError: `wrong_state` with the reason, `operation_failed`.
        """
        self._check("compacted")
        state = self._reporter.state or "starting"
        if state != "idle":
            raise HiveError("wrong_state", f"it can be compacted while it is idle, not while it is {state}")
        if self._session.session_id is None:
            raise HiveError("wrong_state", "there is no conversation yet", "It begins with the agent's first message")
        async with self._control.quiet:
            warm = self._session.warm
            try:
                turn, end = await self._compaction.run()
                _conclude(turn, end)
            finally:
                self._reporter.enter("idle")
                if not warm:
                    await self._session.close()

    async def new_session(self, _args: dict[str, Any]) -> None:
        """Give the conversation up; the next turn begins another one.

        Raises:
            HiveError: `wrong_state` with the reason, `storage_full`.
        """
        self._check("given a new conversation")
        if self._session.session_id is None:
            raise HiveError("wrong_state", "there is no conversation yet", "The next message begins a new one anyway")
        reason = "the operator wanted a new one"
        async with self._control.quiet:
            try:
                await self._session.forget(reason)
            except OSError as error:
                problem = f"the conversation's file cannot be removed: {error.strerror}"
                raise HiveError("storage_full", problem, "See the agent's state directory") from error
            self._events.emit("session_new", None, reason=reason)
            self._reporter.tell(usage=wire.Usage(context_tokens=0), session_id=None)

    def _check(self, what: str) -> None:
        if self._control.stopping.is_set():
            raise HiveError("wrong_state", "the harness is stopping", "Ask again when the agent runs")
        if self._control.quiet.locked():
            compacting = self._control.turn is not None and self._control.turn.number is None
            busy = "it is compacting" if compacting else "a turn is running"
            raise HiveError("wrong_state", f"{busy}, so it cannot be {what} now", "Wait for its end, or cancel it")


def _conclude(turn: Turn, end: TurnEnd) -> None:
    """Say what kept the conversation from being shortened."""
    if turn.compacted:
        return
    code = "wrong_state" if end.halt else "operation_failed"
    raise HiveError(code, f"the conversation was not shortened: {why_not(end)}")
