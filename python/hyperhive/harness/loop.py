"""The turn loop: wait for a login, take one message, run one turn, say how it ended, rest.

The loop alone starts turns and touches the session, so there is never more than one. A message is in its hands from the
answer of `recv` until the hive took its outcome; in between nothing but the end of this process loses it, and that the
hive notices by the instance. `docs/turn-loop.md` draws the states.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import claude_agent_sdk as sdk

from hyperhive import wire
from hyperhive.clock import utc_now
from hyperhive.errors import HiveError
from hyperhive.harness.hive import is_untaken, until_taken
from hyperhive.harness.login import stored_login
from hyperhive.harness.outcome import Park, TurnEnd, Verdict, judge
from hyperhive.harness.prompts import wake_prompt
from hyperhive.harness.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from datetime import datetime

    from hyperhive.clock import Clock
    from hyperhive.harness.control import Control
    from hyperhive.harness.events import Events
    from hyperhive.harness.hive import HiveClient
    from hyperhive.harness.means import Means
    from hyperhive.harness.reporter import Reporter
    from hyperhive.harness.session import Session
    from hyperhive.harness.settings import Settings

_T = TypeVar("_T")

#: Looks at the login files for one look at what the hive says of this agent.
_LOOKS: Final = 5
_log = logging.getLogger(__name__)


class TurnLoop:
    """The loop of one agent.

    Args:
        settings: directories, waits, the instance.
        hive: gives messages and takes outcomes.
        control: knows whether to stop, and is told which turn runs.
        session: where turns run.
        events: take what happens.
        reporter: takes the state.
        means: knows what a turn needs.
        turns: the number of the agent's last turn.
        clock: the time.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - it joins all parts of the harness
        self,
        settings: Settings,
        hive: HiveClient,
        control: Control,
        session: Session,
        events: Events,
        reporter: Reporter,
        *,
        means: Means,
        turns: int,
        clock: Clock = utc_now,
    ) -> None:
        self._settings, self._timings, self._hive, self._control = settings, settings.timings, hive, control
        self._session, self._events, self._reporter = session, events, reporter
        self._means, self._turns, self._clock = means, turns, clock

    async def run(self) -> None:
        """Serve until the control says stop; the running turn then ends within its grace."""
        try:
            while not self._control.stopping.is_set():
                if not await self._login():
                    continue
                self._reporter.enter("idle")
                answer = await self._receive()
                if answer and answer.deliveries:
                    await self._serve(answer.deliveries[0], answer.unread)
        finally:
            await self._close()
        if self._control.loose:
            await self._hand_back()

    async def _close(self) -> None:
        """End the process; what was begun between two turns has the grace of the stop."""
        if not self._control.stopping.is_set():
            self._control.stop(0)
        async with self._control.quiet:
            self._control.close()
            await self._session.close()

    async def _login(self) -> bool:
        """Wait until Claude has a login; False if that is still not so because the harness stops."""
        looks = 0
        while not self._control.stopping.is_set():
            if looks % _LOOKS == 0:
                await self._or_stop(until_taken(self._means.ask, self._timings.backoff))
            if self._means.me is None:
                return False
            await self._means.look()
            if self._means.login(self._means.me):
                return True
            place = stored_login(self._settings)
            self._reporter.enter("needs_login", f"Claude is not logged in: there is no {place}, nor a credential")
            await self._sleep(self._timings.login_look)
            looks += 1
        return False

    async def _receive(self) -> wire.RecvAnswer | None:
        """Wait for one message, and end a process that was kept warm long enough meanwhile."""
        request = wire.RecvRequest(wait_seconds=self._timings.recv, max=1, holding=[], instance=self._settings.instance)
        receiving = asyncio.create_task(
            until_taken(lambda: self._hive.recv(request), self._timings.backoff, is_untaken), name="recv"
        )
        stopping = asyncio.create_task(self._control.stopping.wait(), name="recv-stop")
        both = (receiving, stopping)
        try:
            me = self._means.me
            keep = me.keep_warm_seconds if me and self._session.warm else None
            done, _ = await asyncio.wait(both, timeout=keep, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                async with self._control.quiet:
                    await self._session.close()
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            self._control.loose = not receiving.done()
            return receiving.result() if receiving.done() else None
        finally:
            for task in both:
                task.cancel()
            await asyncio.wait(both)

    async def _serve(self, delivery: wire.Delivery, unread: int) -> None:
        """One message, from here to its outcome."""
        # What the operator asked for between two turns, a compaction for example, ends first.
        async with self._control.quiet:
            park = await self._one_turn(delivery, unread)
        if park:
            await self._rest(park)

    async def _one_turn(self, delivery: wire.Delivery, unread: int) -> Park | None:
        began = self._clock()
        self._turns += 1
        turn = Turn(
            number=self._turns,
            holding=[delivery.id],
            session=self._session,
            emit=self._emitter(self._turns),
            compacting=lambda yes: self._reporter.enter("compacting" if yes else "thinking"),
            patience=self._timings.interrupt,
        )
        self._control.begin(turn)
        self._reporter.enter("thinking")
        start = {"from": delivery.from_, "body": delivery.body, "unread": unread, "id": delivery.id}
        self._events.emit("turn_start", turn.number, **start, redelivered=delivery.redelivered)
        verdict = await self._attempt(turn, delivery, unread)
        verdict = self._close_turn(turn, verdict, began)
        await self._settle(turn, verdict)
        self._control.end()
        return verdict.park

    def _emitter(self, number: int) -> Callable[[wire.EventKind, dict[str, Any]], None]:
        def emit(kind: wire.EventKind, data: dict[str, Any]) -> None:
            self._events.emit(kind, number, **data)

        return emit

    async def _attempt(self, turn: Turn, delivery: wire.Delivery, unread: int) -> Verdict:
        """Run the turn, twice if the login is refused the first time."""

        def prompt(news: str | None) -> str:
            return wake_prompt(delivery, unread, news)

        end = await self._run(turn, prompt, retried=False)
        verdict = judge(end, self._clock(), self._timings)
        if verdict.again:
            turn.emit("note", {"text": f"the login was refused ({verdict.reason}); once more with a new process"})
            await self._session.close()
            end = await self._run(turn, prompt, retried=True)
            verdict = judge(end, self._clock(), self._timings)
        if end.fault:
            # Whatever state the process is in, the next turn gets a new one.
            await self._session.kill()
        return verdict

    async def _run(self, turn: Turn, prompt: Callable[[str | None], str], *, retried: bool) -> TurnEnd:
        try:
            end = await turn.run(await self._means.launch(), prompt)
        except (HiveError, sdk.ClaudeSDKError, OSError) as error:
            return TurnEnd(fault=error, halt=turn.halted, stderr=tuple(self._session.stderr))
        except Exception as error:  # noqa: BLE001 - a fault of ours costs this turn, not the agent
            _log.exception("the turn failed for a reason of the harness")
            return TurnEnd(fault=error, halt=turn.halted, stderr=tuple(self._session.stderr))
        me = self._means.me
        return replace(end, retried=retried, login=self._means.login(me) if me else None)

    def _close_turn(self, turn: Turn, verdict: Verdict, began: datetime) -> Verdict:
        """Say how the turn ended, to whoever looks."""
        ended = self._clock()
        reason = self._events.redactor.clear(verdict.reason)
        ok = verdict.outcome == "settled"
        duration = round((ended - began).total_seconds() * 1000)
        note = reason.splitlines()[0] if reason else None
        used = turn.usage.model_dump(by_alias=True)
        self._events.emit(
            "turn_end", turn.number, ok=ok, note=note, usage=used, durationMs=duration, outcome=verdict.outcome
        )
        last = wire.LastTurn(ended_at=ended, ok=ok, duration_ms=duration, note=note)
        self._reporter.tell(last_turn=last, usage=turn.usage, session_id=self._session.session_id)
        return replace(verdict, reason=reason)

    async def _settle(self, turn: Turn, verdict: Verdict) -> None:
        """Give the outcome to the hive, however long it takes; a stop bounds it."""
        request = wire.OutcomeRequest(ids=turn.holding[:1000], outcome=verdict.outcome, reason=verdict.reason)
        turn.cancelled = verdict.outcome == "cancelled"
        call = until_taken(lambda: self._hive.outcome(request), self._timings.backoff, is_untaken)
        try:
            if await self._or_stop(call, grace=self._timings.flush) is None:
                _log.warning("the hive is away at the stop: it never heard how messages %s ended", turn.holding)
        except HiveError as error:
            _log.error("the hive refuses the outcome of messages %s: %s", turn.holding, error)
        finally:
            # Only now: whoever cancelled is told when the message is settled, not before.
            turn.over.set()

    async def _rest(self, park: Park) -> None:
        """Take nothing until the time of `park`, or until the login or the model changes."""
        self._reporter.enter(park.state, self._events.redactor.clear(park.problem), park.until, park.scope)
        await self._ask_again()
        before, looks = self._means.facts(), 0
        while not self._control.stopping.is_set() and self._means.facts() == before:
            left = (park.until - self._clock()).total_seconds() if park.until else self._timings.login_look
            if left <= 0:
                break
            await self._sleep(min(left, self._timings.login_look))
            looks += 1
            if looks % _LOOKS == 0:
                await self._ask_again()

    async def _ask_again(self) -> None:
        """Hear what the hive says of this agent now, if it is there."""
        with suppress(HiveError):
            await self._means.ask()

    async def _hand_back(self) -> None:
        """Leave no message half-received: one that came while recv was given up goes back as not counted."""
        request = wire.RecvRequest(wait_seconds=0, max=1, holding=[], instance=self._settings.instance)
        with suppress(HiveError, TimeoutError):
            async with asyncio.timeout(self._timings.flush):
                answer = await self._hive.recv(request)
                if ids := [delivery.id for delivery in answer.deliveries]:
                    await self._hive.outcome(
                        wire.OutcomeRequest(ids=ids, outcome="returned", reason="the harness is stopping")
                    )

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but not through a stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._control.stopping.wait()

    async def _or_stop(self, call: Coroutine[Any, Any, _T] | Awaitable[_T], grace: float = 0) -> _T | None:
        """The result of `call`, or None if the harness stops first and `grace` seconds did not do."""
        calling = asyncio.ensure_future(call)
        stopping = asyncio.create_task(self._control.stopping.wait(), name="stop")
        try:
            await asyncio.wait([calling, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not calling.done():
                await asyncio.wait([calling], timeout=grace)
            return calling.result() if calling.done() else None
        finally:
            calling.cancel()
            stopping.cancel()
            await asyncio.wait([calling, stopping])
