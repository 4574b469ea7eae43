"""What every run of Claude has in common, whether a message woke it or not: its means, its faults, its end.

A fault of any kind becomes a `TurnEnd`, so whoever runs a turn only has to judge. `docs/turn-loop.md` tells the rest.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import claude_agent_sdk as sdk

from hyperhive import wire
from hyperhive.errors import HiveError
from hyperhive.harness.outcome import TurnEnd, Verdict, judge
from hyperhive.harness.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from hyperhive.clock import Clock
    from hyperhive.harness.any_session import AnySession
    from hyperhive.harness.events import Events
    from hyperhive.harness.mcp_servers import McpServers
    from hyperhive.harness.means import Means
    from hyperhive.harness.outcome import Remedy
    from hyperhive.harness.reporter import Reporter
    from hyperhive.harness.settings import Timings
    from hyperhive.wire import OutcomeKind

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Runner:
    """Makes, runs and concludes the turns of one agent.

    Args:
        session: where they run.
        events: take what happens.
        reporter: takes the state, and what was used.
        means: knows what a turn needs.
        servers: told which of the agent's own MCP servers there are.
        timings: waits.
        clock: the time.
    """

    session: AnySession
    events: Events
    reporter: Reporter
    means: Means
    servers: McpServers
    timings: Timings
    clock: Clock

    def turn(self, number: int | None, holding: Sequence[int] = (), trigger: str | None = None) -> Turn:
        """A turn that is yet to run.

        Args:
            number: as `Turn` has it.
            holding: the messages that it covers; without any, none can join it.
            trigger: who wanted it, where it is a compaction and not Claude's own word tells.
        """

        def emit(kind: wire.EventKind, data: dict[str, Any]) -> None:
            more = {"trigger": trigger} if trigger and kind == "compacted" else {}
            self.events.emit(kind, number, **(data | more))

        state: wire.TurnState = "thinking" if holding else "compacting"
        return Turn(
            number=number,
            holding=list(holding),
            session=self.session,
            emit=emit,
            compacting=lambda yes: self.reporter.enter("compacting" if yes else state),
            patience=self.timings.interrupt,
            takes_messages=bool(holding),
            servers=self.servers.look,
        )

    async def attempt(
        self,
        turn: Turn,
        prompt: Callable[[str | None], str],
        *,
        tried: frozenset[Remedy] = frozenset(),
        command: bool = False,
    ) -> TurnEnd:
        """Run `turn` once, within its bounds; after a fault its process is gone, and the next run gets a new one."""
        try:
            launch = await self.means.launch()
            turn.limit(self.means.minutes)
            end = await turn.run(launch, prompt, command=command)
        except (HiveError, sdk.ClaudeSDKError, OSError) as error:
            end = TurnEnd(fault=error, halt=turn.halted, stderr=tuple(self.session.stderr))
        except Exception as error:  # noqa: BLE001 - a fault of ours costs this turn, not the agent
            _log.exception("the turn failed for a reason of the harness")
            end = TurnEnd(fault=error, halt=turn.halted, stderr=tuple(self.session.stderr))
        if end.fault:
            await self.session.kill()
        me = self.means.me
        return replace(end, tried=tried, login=self.means.login(me) if me else None, minutes=self.means.minutes)

    def judge(self, end: TurnEnd) -> Verdict:
        """What `end` means, without the agent's secrets in its words."""
        verdict = judge(end, self.clock(), self.timings)
        reason = self.events.redactor.clear(verdict.reason)
        park = verdict.park
        park = replace(park, problem=self.events.redactor.clear(park.problem)) if park else None
        return replace(verdict, reason=reason, park=park)

    def conclude(self, turn: Turn, verdict: Verdict, began: datetime, outcome: OutcomeKind | None) -> None:
        """Say how the turn ended, to whoever looks."""
        ended = self.clock()
        ok = verdict.outcome == "settled"
        duration = round((ended - began).total_seconds() * 1000)
        note = verdict.reason.splitlines()[0] if verdict.reason else None
        used = turn.usage.model_dump(by_alias=True)
        turn.emit("turn_end", {"ok": ok, "note": note, "usage": used, "durationMs": duration, "outcome": outcome})
        last = wire.LastTurn(ended_at=ended, ok=ok, duration_ms=duration, note=note)
        self.reporter.tell(last_turn=last, usage=turn.usage, session_id=self.session.session_id)
