"""Budgets against a model of them: whatever happens, a turn begins exactly when something is left of every budget."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest import mock

from drawn import drawn
from hive_bed import short_place
from hypothesis import example, given
from hypothesis import strategies as st
from lifecycle_bed import Harness, life

from hyperhive.clock import utc_now
from hyperhive.hive.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_DECLARED: dict[str, dict[str, float]] = {"*": {"turns": 7}, "alice": {"turns": 3, "usd": 1}, "bob": {"tokens": 100}}
_AGENTS = {name: {"budget": budget} for name, budget in _DECLARED.items() if name != "*"}

_NO_MANAGER = {"enable": False}
#: What failed may go out again at once, and never becomes a dead letter.
_LIMITS = Limits(attempts=1000, back_off=0)

_name = st.sampled_from(["alice", "bob"])
_STEPS = st.one_of(
    st.tuples(st.just("send"), _name),
    st.tuples(st.just("turn"), _name, st.sampled_from([0, 0.25, 0.5, 2]), st.sampled_from([0, 30, 99, 100])),
    st.tuples(st.just("turn"), _name, st.sampled_from([0, 0.25, 0.5, 2]), st.sampled_from([0, 30, 99, 100])),
    st.tuples(st.just("die"), _name),
    st.tuples(st.just("raise"), st.sampled_from(["*", "alice"]), st.just("turns"), st.sampled_from([0, 2, 5, 9, None])),
    st.tuples(st.just("raise"), st.just("bob"), st.just("tokens"), st.sampled_from([0, 50, 300, None])),
    st.tuples(st.just("midnight")),
    st.tuples(st.just("restart")),
)


@dataclass
class _Model:
    """What was used today, and what is allowed."""

    used: dict[str, Counter[str]] = field(default_factory=dict)
    raised: dict[str, dict[str, float | None]] = field(default_factory=dict)

    def use(self, name: str, usd: float, tokens: int) -> None:
        for scope in (name, "*"):
            self.used.setdefault(scope, Counter()).update({"turns": 1, "usd": usd, "tokens": tokens})  # type: ignore[dict-item]

    def allows(self, name: str) -> bool:
        return not any(self._over(scope) for scope in (name, "*"))

    def _over(self, scope: str) -> bool:
        today = {kind: limit for kind, limit in self.raised.get(scope, {}).items() if limit is not None}
        used = self.used.get(scope, Counter())
        return any(used[kind] >= limit for kind, limit in {**_DECLARED[scope], **today}.items())


class _Hive:
    """A daemon at a place, again and again; its time is a number of days ahead of ours."""

    def __init__(self, place: Path) -> None:
        self.model, self.days, self.n = _Model(), 0, 0
        self._place, self._stack = place, AsyncExitStack()
        self._harnesses: dict[str, Harness] = {}

    def clock(self) -> datetime:
        return utc_now() + timedelta(days=self.days)

    async def start(self) -> None:
        self.n += 1
        self.hive = await self._stack.enter_async_context(
            life(self._place, _AGENTS, limits=_LIMITS, budgets=_DECLARED["*"], timeZone="UTC", manager=_NO_MANAGER)
        )
        for name in _AGENTS:
            self._harnesses[name] = await self.hive.up(name, f"run-{self.n}")

    async def stop(self) -> None:
        await self._stack.aclose()

    async def send(self, name: str) -> None:
        await self.hive.send(name)

    async def turn(self, name: str, usd: float, tokens: int) -> None:
        if not (ids := await self._begin(name)):
            return
        self.n += 1
        ended = self.clock().isoformat()
        await self._harnesses[name].ask("/v1/report", {
            "instance": self._harnesses[name].instance, "n": self.n, "state": "idle",
            "usage": {"costUsd": usd, "inputTokens": tokens, "cacheReadTokens": 10**6},
            "lastTurn": {"endedAt": ended, "ok": True, "durationMs": 1},
        })  # fmt: skip
        self.model.use(name, usd, tokens)
        await self._harnesses[name].outcome(*ids)

    async def die(self, name: str) -> None:
        """A turn begins and its harness is gone: what it used nobody says. The next one gives back what it is given."""
        if not await self._begin(name):
            return
        self.n += 1
        self.model.use(name, 0, 0)
        self._harnesses[name] = self.hive.harness(name, f"again-{self.n}")
        # What the first one held waits again, whether or not it may be handed out.
        if got := await self._begin(name, returned=1):
            await self._harnesses[name].outcome(*got, kind="returned")

    async def _begin(self, name: str, returned: int = 0) -> list[int]:
        unread = (await self.hive.row(name))["unread"] + returned
        got = [delivery["id"] for delivery in await self._harnesses[name].recv(most=1)]
        assert bool(got) == (unread > 0 and self.model.allows(name)), (name, unread, self.model)
        return got

    async def set_today(self, scope: str, kind: str, limit: float | None) -> None:
        path = "/api/budget" if scope == "*" else f"/api/agents/{scope}/budget"
        await self.hive.operator.ask("POST", path, {"today": {kind: limit}})
        self.model.raised.setdefault(scope, {})[kind] = limit

    async def midnight(self) -> None:
        """A host that slept wakes up on another day: no timer has noticed, but whatever comes next does."""
        self.days += 1
        self.model.used.clear()
        self.model.raised.clear()
        for name in _AGENTS:
            await self.hive.send(name)

    async def restart(self) -> None:
        await self._stack.aclose()
        await self.start()


async def _play(place: Path, steps: list[tuple[Any, ...]]) -> None:
    hive = _Hive(place)
    does: dict[str, Callable[..., Any]] = {
        "send": hive.send, "turn": hive.turn, "die": hive.die, "raise": hive.set_today,
        "midnight": hive.midnight, "restart": hive.restart,
    }  # fmt: skip
    with mock.patch("hyperhive.hive.daemon.utc_now", hive.clock):
        await hive.start()
        try:
            for step in steps:
                await does[step[0]](*step[1:])
        finally:
            await hive.stop()


@drawn(15)
@given(st.lists(_STEPS, min_size=5, max_size=25))
@example([("raise", "alice", "turns", 9), *[("send", "alice")] * 4, ("midnight",), *[("turn", "alice", 0, 0)] * 5])
def test_a_turn_begins_exactly_when_something_is_left(steps: list[tuple[Any, ...]]) -> None:
    with short_place() as place:
        asyncio.run(_play(place, steps))
