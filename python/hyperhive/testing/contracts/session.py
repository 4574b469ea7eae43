"""What a session of the harness does: numbered behaviours, run on the fake one and on the real `claude`.

A test makes a `Subject` and runs each of `CONTRACTS` on it. To `hello` the subject's model answers `Done.`; to `slow`
it says nothing for a minute; `refused` the API refuses with status 400.
"""

# ruff: noqa: S101 - contracts assert, and the package does without pytest

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import claude_agent_sdk as sdk

from hyperhive.harness.session import Ended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hyperhive.harness.any_session import AnySession
    from hyperhive.harness.launch import Launch
    from hyperhive.harness.meter import Spent

    Contract = Callable[["Subject"], Awaitable[None]]

_SECONDS: Final = 60
_BAD_REQUEST: Final = 400


@dataclass
class Subject:
    """Sessions under test, all of one agent.

    Attributes:
        make: makes the session of a harness; made again, it is that of a harness that was restarted.
        launch: how Claude is started.
        crash: makes the process of a session end by itself.
        lose: takes the conversation away, behind the back of whoever remembers it.
        asked: waits until the model was asked that prompt.
        fresh_prompt: whether the program takes another prompt into a conversation; older ones do not.
    """

    make: Callable[[], AnySession]
    launch: Launch
    crash: Callable[[AnySession], Awaitable[None]]
    lose: Callable[[], None]
    asked: Callable[[str], Awaitable[None]]
    fresh_prompt: bool = True

    async def begin(self, session: AnySession, prompt: str, *, command: bool = False) -> asyncio.Queue[object]:
        """Ask, as a turn does; what comes back is in the queue."""
        queue: asyncio.Queue[object] = asyncio.Queue()

        def listen(message: object) -> None:
            if isinstance(message, sdk.SystemMessage) and message.subtype == "init":
                session.begun(message.data.get("session_id"))
            queue.put_nowait(message)

        session.listener = listen
        await session.ask(prompt, str(uuid.uuid4()), command=command)
        return queue

    async def answer(self, session: AnySession, prompt: str, *, command: bool = False) -> list[object]:
        """Ask, and hear all that comes back: a result at the end, or that the process has ended."""
        return await until_end(await self.begin(session, prompt, command=command))


async def until_end(queue: asyncio.Queue[object]) -> list[object]:
    """What comes, up to the result or the end of the process."""
    heard: list[object] = []
    async with asyncio.timeout(_SECONDS):
        while not heard or not isinstance(heard[-1], (sdk.ResultMessage, Ended)):
            heard.append(await queue.get())
    return heard


def result(heard: list[object]) -> sdk.ResultMessage:
    """The result, which was the last thing that was heard."""
    assert isinstance(heard[-1], sdk.ResultMessage), heard
    return heard[-1]


def said(heard: list[object]) -> list[str]:
    """What Claude said."""
    blocks = [block for message in heard if isinstance(message, sdk.AssistantMessage) for block in message.content]
    return [block.text for block in blocks if isinstance(block, sdk.TextBlock)]


async def s1_a_prompt_is_answered_and_names_the_conversation(subject: Subject) -> None:
    """S1. A prepared session answers; from then on the conversation has an id, which the result names too."""
    session = subject.make()
    assert (session.session_id, session.warm) == (None, False)
    assert await session.prepare(subject.launch) is None
    assert session.warm
    heard = await subject.answer(session, "hello")
    assert said(heard) == ["Done."]
    assert not result(heard).is_error
    assert session.session_id == result(heard).session_id
    await session.close()


async def s2_the_process_is_kept_and_the_conversation_outlives_it(subject: Subject) -> None:
    """S2. The process serves a second prompt; after a close and in a restarted harness the conversation goes on."""
    session = subject.make()
    await session.prepare(subject.launch)
    first = result(await subject.answer(session, "hello")).session_id
    assert await session.prepare(subject.launch) is None
    assert result(await subject.answer(session, "hello")).session_id == first
    await session.close()
    assert not session.warm
    again = subject.make()
    assert again.session_id == first
    assert await again.prepare(subject.launch) is None
    assert result(await subject.answer(again, "hello")).session_id == first
    await again.close()


async def s3_another_launch_takes_effect_in_the_same_conversation(subject: Subject) -> None:
    """S3. Another model or prompt is that of the next turn, in the same conversation if the program can do that."""
    session = subject.make()
    await session.prepare(subject.launch)
    first = await subject.answer(session, "hello")
    other = replace(subject.launch, model="opus", prompt="You are somebody else.")
    why = await session.prepare(other)
    second = await subject.answer(session, "hello")
    assert (why is None) == subject.fresh_prompt
    assert (result(second).session_id == result(first).session_id) == subject.fresh_prompt
    models = [message.model for message in (*first, *second) if isinstance(message, sdk.AssistantMessage)]
    assert models[0] != models[-1]
    await session.close()


async def s4_an_interrupt_ends_the_turn_with_an_error_and_leaves_the_process(subject: Subject) -> None:
    """S4. An interrupted turn ends with a result that is an error; the next prompt is answered."""
    session = subject.make()
    await session.prepare(subject.launch)
    queue = await subject.begin(session, "slow")
    await subject.asked("slow")
    await session.interrupt()
    assert result(await until_end(queue)).is_error
    assert session.warm
    assert said(await subject.answer(session, "hello")) == ["Done."]
    await session.close()


async def s5_a_killed_process_tells_its_end(subject: Subject) -> None:
    """S5. A kill ends the process, the turn hears it, and the conversation goes on in the next one."""
    session = subject.make()
    await session.prepare(subject.launch)
    first = result(await subject.answer(session, "hello")).session_id
    queue = await subject.begin(session, "slow")
    await subject.asked("slow")
    await session.kill()
    assert isinstance((await until_end(queue))[-1], Ended)
    assert not session.warm
    assert await session.prepare(subject.launch) is None
    assert result(await subject.answer(session, "hello")).session_id == first
    await session.close()


async def s6_a_process_that_dies_tells_its_end(subject: Subject) -> None:
    """S6. A process that ends in the middle of a turn is an end with a fault; the next prepare starts another one."""
    session = subject.make()
    await session.prepare(subject.launch)
    await subject.answer(session, "hello")
    queue = await subject.begin(session, "slow")
    await subject.asked("slow")
    await subject.crash(session)
    end = (await until_end(queue))[-1]
    assert isinstance(end, Ended)
    assert end.fault is not None
    await session.prepare(subject.launch)
    assert said(await subject.answer(session, "hello")) == ["Done."]
    await session.close()


async def s7_a_conversation_that_is_gone_begins_anew_and_that_is_news_until_heard(subject: Subject) -> None:
    """S7. Where the conversation is gone, prepare says why; that stays the news until Claude has heard it."""
    session = subject.make()
    await session.prepare(subject.launch)
    first = result(await subject.answer(session, "hello")).session_id
    await session.close()
    subject.lose()
    why = await session.prepare(subject.launch)
    assert why
    assert session.news == why
    assert await session.prepare(subject.launch) is None
    assert session.news == why
    assert result(await subject.answer(session, "hello")).session_id != first
    session.heard()
    assert not session.news
    await session.close()


async def s8_a_conversation_can_be_given_up(subject: Subject) -> None:
    """S8. Forgotten, the conversation has no id and no process; the next is another one, and the reason is news."""
    session = subject.make()
    await session.prepare(subject.launch)
    first = result(await subject.answer(session, "hello")).session_id
    await session.forget("the operator wanted it")
    assert (session.session_id, session.warm) == (None, False)
    assert subject.make().session_id is None
    assert await session.prepare(subject.launch) is None
    assert session.news == "the operator wanted it"
    assert result(await subject.answer(session, "hello")).session_id != first
    await session.close()


async def s9_what_is_spent_is_the_turns_own(subject: Subject) -> None:
    """S9. Totals are cumulative, what `spent` gives is not: over turns, a new process and a restarted harness."""
    session = subject.make()
    used = [await _spent(subject, session), await _spent(subject, session)]
    await session.close()
    used.append(await _spent(subject, session))
    await session.close()
    session = subject.make()
    used.append(await _spent(subject, session))
    costs = [one.cost for one in used]
    assert 0 < max(costs) < 3 * min(costs)
    assert min(one.tokens.input for one in used) > 0
    estimate = session.estimate(used[-1].tokens)
    assert 0.5 * costs[-1] < estimate.cost < 2 * costs[-1]
    await session.close()


async def _spent(subject: Subject, session: AnySession) -> Spent:
    await session.prepare(subject.launch)
    return session.spent(result(await subject.answer(session, "hello")))


async def s10_a_compaction_says_its_boundary_and_the_conversation_stays(subject: Subject) -> None:
    """S10. The command `/compact` shortens the conversation, says so before its result, and leaves its id."""
    session = subject.make()
    await session.prepare(subject.launch)
    first = result(await subject.answer(session, "hello")).session_id
    # Older programs find a single exchange too little.
    await subject.answer(session, "hello")
    heard = await subject.answer(session, "/compact", command=True)
    boundaries = [one for one in heard if isinstance(one, sdk.SystemMessage) and one.subtype == "compact_boundary"]
    assert len(boundaries) == 1
    assert boundaries[0].data["compact_metadata"]["post_tokens"] > 0
    assert not result(heard).is_error
    assert result(await subject.answer(session, "hello")).session_id == first
    await session.close()


async def s11_a_refusal_of_the_api_is_a_result_with_its_words(subject: Subject) -> None:
    """S11. What the API refuses is a result that is an error, with status and words; the process is there still."""
    session = subject.make()
    await session.prepare(subject.launch)
    end = result(await subject.answer(session, "refused"))
    assert end.is_error
    assert end.api_error_status == _BAD_REQUEST
    assert "nope" in str(end.result)
    assert said(await subject.answer(session, "hello")) == ["Done."]
    await session.close()


async def s12_an_end_in_a_row_is_nothing(subject: Subject) -> None:
    """S12. Closing, killing and interrupting a session without a process is nothing."""
    session = subject.make()
    await session.interrupt()
    await session.kill()
    await session.close()
    assert not session.warm
    assert await session.mcp_status() == []


CONTRACTS: Final[tuple[Contract, ...]] = (
    s1_a_prompt_is_answered_and_names_the_conversation,
    s2_the_process_is_kept_and_the_conversation_outlives_it,
    s3_another_launch_takes_effect_in_the_same_conversation,
    s4_an_interrupt_ends_the_turn_with_an_error_and_leaves_the_process,
    s5_a_killed_process_tells_its_end,
    s6_a_process_that_dies_tells_its_end,
    s7_a_conversation_that_is_gone_begins_anew_and_that_is_news_until_heard,
    s8_a_conversation_can_be_given_up,
    s9_what_is_spent_is_the_turns_own,
    s10_a_compaction_says_its_boundary_and_the_conversation_stays,
    s11_a_refusal_of_the_api_is_a_result_with_its_words,
    s12_an_end_in_a_row_is_nothing,
)
