"""The turn loop: wait for a login, take one message, run one turn, say how it ended, rest.

The loop alone starts turns and touches the session, so there is never more than one. A message is in its hands from the
answer of `recv` until the hive took its outcome; in between nothing but the end of this process loses it, and that the
hive notices by the instance. `docs/turn-loop.md` draws the states.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hyperhive import wire
from hyperhive.errors import HiveError
from hyperhive.harness.hive import is_untaken, until_taken
from hyperhive.harness.login import stored_login
from hyperhive.harness.outcome import refused, too_long
from hyperhive.harness.prompts import wake_prompt
from hyperhive.harness.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

    from hyperhive.harness.compaction import Compaction
    from hyperhive.harness.control import Control
    from hyperhive.harness.hive import HiveClient
    from hyperhive.harness.outcome import Park, Remedy, Verdict
    from hyperhive.harness.runner import Runner
    from hyperhive.harness.settings import Settings
    from hyperhive.harness.turn import Turn

_T = TypeVar("_T")

#: Refusals of the model in a row after which the conversation is given up.
_REFUSALS: Final = 2
_log = logging.getLogger(__name__)


class TurnLoop:
    """The loop of one agent.

    Args:
        settings: directories, waits, the instance.
        hive: gives messages and takes outcomes.
        control: knows whether to stop, and is told which turn runs.
        runner: runs them.
        compaction: keeps the conversation short enough.
        turns: the number of the agent's last turn.
    """

    def __init__(  # noqa: PLR0913 - it joins all parts of the harness
        self,
        settings: Settings,
        hive: HiveClient,
        control: Control,
        runner: Runner,
        compaction: Compaction,
        *,
        turns: int,
    ) -> None:
        self._settings, self._timings, self._hive, self._control = settings, settings.timings, hive, control
        self._runner, self._compaction, self._turns, self._refusals = runner, compaction, turns, 0
        self._session, self._reporter, self._means = runner.session, runner.reporter, runner.means

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
        with self._watch() as watch:
            while not self._control.stopping.is_set():
                await self._or_stop(until_taken(self._means.ask, self._timings.backoff))
                if self._means.me is None:
                    return False
                if await self._found_login(watch):
                    return True
        return False

    async def _found_login(self, watch: Watch) -> bool:
        """Look for a login, now and at each change of its files, until it is time to ask the hive again."""
        until = asyncio.get_running_loop().time() + self._timings.login_look
        while not self._control.stopping.is_set() and self._means.me:
            watch.changed.clear()
            await self._means.look()
            if self._means.login(self._means.me):
                return True
            place = stored_login(self._settings)
            self._reporter.enter("needs_login", f"Claude is not logged in: there is no {place}, nor a credential")
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                break
            await self._sleep(left, watch)
        return False

    def _watch(self) -> Watch:
        return Watch(self._settings.claude_config, self._settings.credentials)

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
        """One message, from here to its outcome, and what the conversation needs behind it."""
        # What the operator asked for between two turns, a compaction for example, ends first.
        async with self._control.quiet:
            verdict, usage = await self._one_turn(delivery, unread)
            park = verdict.park
            clean = verdict.outcome == "settled" and not self._control.stopping.is_set()
            if clean and self._compaction.level.due(usage.context_tokens, usage.context_window):
                self._turns += 1
                park = await self._compaction.keep_small(self._turns)
        if park:
            await self._rest(park)

    async def _one_turn(self, delivery: wire.Delivery, unread: int) -> tuple[Verdict, wire.Usage]:
        began = self._runner.clock()
        self._turns += 1
        turn = self._runner.turn(self._turns, [delivery.id])
        self._control.begin(turn)
        self._reporter.enter("thinking")
        start = {"from": delivery.from_, "body": delivery.body, "unread": unread, "id": delivery.id}
        turn.emit("turn_start", {**start, "redelivered": delivery.redelivered})
        with turn.bounded():
            verdict = await self._attempt(turn, delivery, unread)
        self._runner.conclude(turn, verdict, began, verdict.outcome)
        # What it used is known to the hive before its end is: by a budget, no other turn may be allowed to follow.
        await self._or_stop(self._reporter.sent(), grace=self._timings.flush)
        await self._settle(turn, verdict)
        self._control.end()
        return verdict, turn.usage

    async def _attempt(self, turn: Turn, delivery: wire.Delivery, unread: int) -> Verdict:
        """Run the turn; once more if the login was refused, or the conversation had to be shortened first."""

        def prompt(news: str | None) -> str:
            return wake_prompt(delivery, unread, news)

        tried: frozenset[Remedy] = frozenset()
        while True:
            end = await self._runner.attempt(turn, prompt, tried=tried)
            verdict = self._runner.judge(end)
            if verdict.again == "login":
                turn.emit("note", {"text": f"the login was refused ({verdict.reason}); once more with a new process"})
                await self._session.close()
            elif verdict.again == "compact":
                turn.emit("note", {"text": f"{verdict.reason}; once more with a shorter conversation"})
                if other := await self._shorten(turn):
                    return other
            else:
                break
            tried |= {verdict.again}
        self._refusals = self._refusals + 1 if refused(end) else 0
        if too_long(end):
            await self._give_up(turn, "it had grown too long, and could not be shortened")
        elif self._refusals >= _REFUSALS:
            await self._give_up(turn, "the model refused to go on with it")
        return verdict

    async def _shorten(self, turn: Turn) -> Verdict | None:
        """Shorten the conversation in the middle of a turn; the verdict, should the turn have ended over that."""
        self._reporter.enter("compacting")
        end = await self._runner.attempt(turn, lambda _news: "/compact", command=True)
        self._reporter.enter("thinking")
        verdict = self._runner.judge(end)
        return verdict if turn.halted or verdict.park else None

    async def _give_up(self, turn: Turn, reason: str) -> None:
        """Nothing can follow in this conversation: the next try begins another one."""
        self._refusals = 0
        with suppress(OSError):
            await self._session.forget(reason)
            turn.emit("session_new", {"reason": reason})

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
        self._reporter.enter(park.state, park.problem, park.until, park.scope)
        await self._ask_again()
        before = self._means.facts()
        with self._watch() as watch:
            while not self._control.stopping.is_set() and self._means.facts() == before:
                left = (park.until - self._runner.clock()).total_seconds() if park.until else self._timings.login_look
                if left <= 0:
                    break
                watch.changed.clear()
                if not await self._sleep(min(left, self._timings.login_look), watch):
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

    async def _sleep(self, seconds: float, watch: Watch) -> bool:
        """Sleep, but through neither a stop nor a change; True if one of them came first."""
        waits = [asyncio.create_task(event.wait(), name="sleep") for event in (self._control.stopping, watch.changed)]
        done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)
        return bool(done)

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
