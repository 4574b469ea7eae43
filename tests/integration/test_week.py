"""A swarm that is left alone: no message is lost or doubled, nobody is stuck, no budget is exceeded, nothing grows.

The short form is an evening and the night after it; `make week` is the whole week.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import pytest
from hive_bed import short_place
from warp import WarpLoop, warp, warped
from week_bed import POOR, Size, World
from week_swarm import AGENTS, HOUR, is_cursed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Whether it is the whole week.
_WHOLE = bool(os.environ.get("HYPERHIVE_WEEK"))
_FAULTS = {
    *("429", "529", "401", "400", "died", "too slow", "cursed"),
    *("killed", "killed early", "killed meanwhile"),
    *("paused", "restarted", "cancelled", "daemon restarted"),
}


@dataclass(frozen=True)
class Form:
    """How long it is, how often the operator writes (in seconds), what the poor may use a day, how many turns come."""

    hours: float
    every: float
    budget: int
    turns: int
    #: By how many megabytes the memory may grow once it is warm.
    growth: float


FORM = Form(hours=7 * 24, every=400, budget=15, turns=2500, growth=30) if _WHOLE else Form(5, 110, 5, 300, 30)


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.Runner]:
    """Runs in time that passes by itself, and leaves the collector as it was."""
    thresholds, loop = gc.get_threshold(), WarpLoop()
    warp(monkeypatch, loop)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        yield runner
    gc.set_threshold(*thresholds)


@pytest.mark.timeout(3 * 3600 if _WHOLE else 900)
def test_a_swarm_is_left_alone(runner: asyncio.Runner, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    began = time.monotonic()
    with short_place() as place:
        runner.run(_week(place))
    print(f"{time.monotonic() - began:.0f} seconds")  # noqa: T201 - likewise
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


async def _week(place: Path) -> None:
    async with World(place, seed=7, turns=FORM.budget, every="6h" if _WHOLE else "4h") as world:
        await asyncio.sleep(HOUR)
        cold = Size.now()
        await world.live(FORM.hours / 4, FORM.every)
        warm = Size.now()
        await world.live(FORM.hours * 3 / 4, FORM.every)
        _check_budgets(world)
        assert await world.drain(hours=24) == [], "somebody is stuck"
        moves = warped().moves
        await asyncio.sleep(HOUR)
        moves = warped().moves - moves
        done = Size.now()
        figures = {
            "days": round(warped().time() / HOUR / 24, 1),
            "turns": world.book.turns,
            "messages": len(world.book.accepted),
            "faults": dict(world.book.faults),
            "given again": world.book.again,
            "wake-ups in an idle hour": moves,
            "sizes": {"at the start": asdict(cold), "after a quarter": asdict(warm), "at the end": asdict(done)},
        }
        print(json.dumps(figures, indent=1))  # noqa: T201 - see `make week`
        _check_messages(world)
        assert done.files <= cold.files + 3, "files are left open"
        # A harness may have an idle connection that the hive has closed, until its next request.
        assert done.sockets <= cold.sockets + len(AGENTS), "connections are left open"
        assert done.megabytes <= warm.megabytes + FORM.growth, "memory grows"
        assert moves <= 360 * len(AGENTS), "something wakes up more often than every ten seconds"
        assert set(world.book.faults) == _FAULTS
        assert world.book.turns >= FORM.turns


def _check_messages(world: World) -> None:
    """Each message that was accepted is there once, and done, or a dead letter that no turn ended well for."""
    book = world.book
    rows = world.query("SELECT body, state, outcome FROM messages WHERE recipient LIKE 'a%' AND body LIKE '#%'")
    stored = {body.split("#")[1]: (state, outcome) for body, state, outcome in rows}
    assert len(stored) == len(rows), "one is stored twice"
    assert book.accepted.keys() == stored.keys(), "one is lost"
    ends = {label: end for label, end in stored.items() if end != ("settled", "settled")}
    assert {label for label, (state, _outcome) in ends.items() if state == "dead"} == {
        label for label in book.accepted if is_cursed(label)
    }
    assert {outcome for state, outcome in ends.values() if state != "dead"} <= {"cancelled"}
    assert [label for label in book.accepted.keys() - ends.keys() if not book.done[label]] == [], "done by nobody"
    assert book.doubled == []
    assert book.again, "nothing was given again that was done"
    ((scheduled,),) = world.query("SELECT count(*) FROM messages WHERE sender = 'reminder' AND body LIKE 'Your sch%'")
    assert scheduled >= len(AGENTS)


def _check_budgets(world: World) -> None:
    """The poor used up their days, and at most one turn more."""
    days = world.query("SELECT day, agent, sum(turns) FROM usage_days GROUP BY day, agent")
    used_up = [(day, agent, turns) for day, agent, turns in days if agent in POOR and turns >= FORM.budget]
    assert len({day for day, _agent, _turns in used_up}) >= 2, "no budget was used up before and after a midnight"
    assert [one for one in used_up if one[2] > FORM.budget + 1] == []
