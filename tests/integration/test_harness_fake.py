"""A whole harness on the fake session, with the stand-in hive: what needs no `claude` and many turns."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from harness_hive import StandInHive
from harness_place import QUICK, only_drawn_transitions

from hyperhive import wire
from hyperhive.clock import utc_now
from hyperhive.harness.control import Control
from hyperhive.harness.main import run
from hyperhive.harness.settings import Settings
from hyperhive.testing.fake_session import Answer, FakeSession, Memory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@asynccontextmanager
async def harness(root: Path, part: Callable[[str], Answer], memory: Memory) -> AsyncIterator[StandInHive]:
    """A running harness whose Claude plays `part`."""
    for name in ("state", "claude", "credentials"):
        (root / name).mkdir(exist_ok=True)
    settings = Settings(
        socket=root / "hive.sock",
        state=root / "state",
        shared=root,
        claude_config=root / "claude",
        credentials=root / "credentials",
        timings=QUICK,
    )
    me = wire.SelfInfo(
        name="alice",
        role="agent",
        hive="test",
        operator=wire.OperatorInfo(name="Sam"),
        model="haiku",
        environment={"ANTHROPIC_API_KEY": "sk-made-up-key"},
    )
    control = Control()
    async with StandInHive(settings.socket, me) as hive:
        running = asyncio.create_task(
            run(
                settings,
                control=control,
                find=lambda _environment: "claude",
                make_session=lambda *_parts: FakeSession(part, memory),
            )
        )
        with only_drawn_transitions():
            try:
                yield hive
            finally:
                control.stop(0)
                await running


async def test_a_hundred_turns_and_the_conversation_never_overflows(tmp_path: Path) -> None:
    memory = Memory(window=50_000)
    async with harness(tmp_path, lambda _prompt: Answer(tokens=4_000), memory) as hive:
        for number in range(1, 101):
            await hive.put(f"message {number}")
            await hive.until(lambda wanted=number: len(hive.outcomes) >= wanted)
        assert {request.outcome for request in hive.outcomes} == {"settled"}
        compacted = hive.data("compacted")
        assert 8 < len(compacted) < 20
        assert all(one["trigger"] == "auto" for one in compacted)
        assert len(memory.conversations) == 1


async def test_limits_deaths_and_refusals_are_told_and_no_message_is_lost(tmp_path: Path) -> None:
    now = utc_now().timestamp()
    faults = [
        Answer(text="limit", status=429, error="rate_limit", resets_at=now + 0.2),
        Answer(text="529 Overloaded", status=529, error="server_error"),
        Answer(dies=True),
        Answer(text="API Error: 400 no", status=400, error="unknown"),
    ]

    def part(prompt: str) -> Answer:
        return faults.pop(0) if faults and "hello" in prompt else Answer()

    async with harness(tmp_path, part, Memory()) as hive:
        number = await hive.put("hello")
        await hive.until(lambda: len(hive.outcomes) == 3)
        assert [request.outcome for request in hive.outcomes] == ["returned", "returned", "failed"]
        assert {request.ids[0] for request in hive.outcomes} == {number}
        assert "out of memory" in str(hive.outcomes[2].reason)
        assert [report["limitScope"] for report in hive.reported(state="rate_limited")] == ["account", "endpoint"]
        await hive.put("hello")
        await hive.put("hello")
        await hive.until(lambda: len(hive.outcomes) == 5)
        assert [request.outcome for request in hive.outcomes[3:]] == ["failed", "settled"]
