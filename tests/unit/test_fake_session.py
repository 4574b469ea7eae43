"""The fake session keeps the contracts, and a whole harness runs on it: a day of turns in no time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from hyperhive.harness.launch import Launch
from hyperhive.testing.contracts.session import CONTRACTS, Subject
from hyperhive.testing.fake_session import Answer, FakeSession, Memory

if TYPE_CHECKING:
    from hyperhive.harness.any_session import AnySession
    from hyperhive.testing.contracts.session import Contract

LAUNCH = Launch(program="claude", model="haiku", prompt="You are alice.", tools=("Bash",), environment={})


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
async def test_contract(contract: Contract) -> None:
    memory, slow = Memory(), asyncio.Event()

    def part(prompt: str) -> Answer:
        if prompt == "slow":
            slow.set()
            return Answer(seconds=60)
        return Answer(text="nope", status=400, error="unknown") if prompt == "refused" else Answer()

    async def asked(_prompt: str) -> None:
        async with asyncio.timeout(60):
            await slow.wait()

    async def crash(session: AnySession) -> None:
        assert isinstance(session, FakeSession)
        await session.crash()

    subject = Subject(lambda: FakeSession(part, memory), LAUNCH, crash, memory.conversations.clear, asked)
    await contract(subject)


async def test_a_conversation_fills_up_is_refused_and_is_shortened() -> None:
    session = FakeSession(lambda _prompt: Answer(tokens=60_000), Memory(window=200_000))

    async def nothing(_session: AnySession) -> None: ...

    async def at_once(_prompt: str) -> None: ...

    subject = Subject(lambda: session, LAUNCH, nothing, session.lose, at_once)
    await session.prepare(LAUNCH)
    ends = [(await subject.answer(session, "hello"))[-1] for _ in range(4)]
    assert [getattr(end, "terminal_reason", None) for end in ends] == ["completed"] * 3 + ["prompt_too_long"]
    await subject.answer(session, "/compact", command=True)
    assert getattr((await subject.answer(session, "hello"))[-1], "terminal_reason", None) == "completed"
    await session.close()
