"""Questions on a real store: whatever happens in whatever order, the asker gets exactly one end."""

# ruff: noqa: ANN401 - rows of the store and JSON

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
import pytest_asyncio
from broker_bed import BrokerBed, refused
from drawn import drawn
from hypothesis import given
from hypothesis import strategies as some

from hyperhive.errors import HiveError
from hyperhive.hive.limits import Limits
from hyperhive.hive.questions import Questions
from hyperhive.store import audit, messages
from hyperhive.store import questions as statements
from hyperhive.wire import AskRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class QuestionBed(BrokerBed):
    """A broker with its questions, and a clock that the test moves."""

    questions: Questions

    async def open(self) -> Self:
        await super().open()
        self.rows: list[tuple[int, str]] = []
        self.questions = Questions(self.store, self.broker, self.clock, self._told)
        await self.questions.load()
        return self

    def _told(self, row: Any) -> None:
        self.rows.append((row.id, row.status))

    async def close(self) -> None:
        self.questions.close()
        await self.idle()
        await super().close()

    async def restart(self, *, kill: bool) -> None:
        if kill:
            self.questions.close()
        await super().restart(kill=kill)

    async def ask(self, asker: str = "alice", to: str = "operator", text: str = "Which?", **more: Any) -> Any:
        return await self.questions.ask(asker, AskRequest(text=text, to=to, **more))

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, and what is due expire."""
        self.clock.advance(seconds)
        self.questions.deadlines.look()
        await self.idle()

    async def idle(self) -> None:
        await self.questions.deadlines.idle()

    async def get(self, number: int) -> Any:
        return await self.store.read(statements.get, number)

    async def words(self, agent: str = "alice") -> list[str]:
        """What the hive wrote to an agent, handed out and done with."""
        got = (await self.recv(agent, most=32)).deliveries
        if got:
            await self.outcome(agent, [delivery.id for delivery in got], "settled")
        return [delivery.body for delivery in got if delivery.from_ == "system"]

    async def stored(self, agent: str) -> list[str]:
        wanted = messages.Filter(sender="system", recipient=agent, limit=2000)
        return [row.body for row in reversed(await self.store.read(messages.page, wanted))]


@pytest_asyncio.fixture
async def bed(tmp_path: Path) -> AsyncIterator[QuestionBed]:
    made = await QuestionBed(tmp_path).open()
    yield made
    await made.close()


# --- each of the ends


async def test_an_answer_arrives_at_the_asker(bed: QuestionBed) -> None:
    asked = await bed.ask(options=["red", "blue"])
    assert (asked.id, asked.status, await bed.inbox()) == (1, "open", [])
    row = await bed.questions.answer(1, "operator", ["blue"], "if you must")
    assert (row.status, row.answer, row.ended_by, row.ended_at) == (
        "answered", "blue\nif you must", "operator", bed.clock(),
    )  # fmt: skip
    (word,) = await bed.words()
    assert word.startswith("Your question 1 to operator was answered by operator:\n| blue\n| if you must\n")
    assert bed.rows == [(1, "open"), (1, "answered")]
    (entry,) = await bed.store.read(audit.page, None, 10)
    assert (entry.actor, entry.action, entry.subject) == ("operator", "answer", "question 1")


async def test_a_peer_is_told_and_answers_and_nobody_else_may(bed: QuestionBed) -> None:
    await bed.ask(to="bob")
    assert "| Which?" in (await bed.words("bob"))[0]
    assert (await refused(bed.questions.answer(1, "carol", [], "me"))).code == "not_allowed"
    assert (await refused(bed.questions.answer(1, "alice", [], "me"))).code == "not_allowed"
    assert (await refused(bed.questions.cancel(1, "bob"))).code == "not_allowed"
    assert (await refused(bed.questions.answer(2, "bob", [], "x"))).code == "unknown_question"
    await bed.questions.answer(1, "bob", [], "that one")
    assert "answered by bob:\n| that one" in (await bed.words())[0]
    assert await bed.store.read(audit.page, None, 10) == []


async def test_the_operator_may_answer_what_was_asked_of_another(bed: QuestionBed) -> None:
    await bed.ask(to="bob")
    await bed.questions.answer(1, "operator", [], "leave bob alone")
    assert "answered by operator" in (await bed.words())[0]
    late = await refused(bed.questions.answer(1, "bob", [], "this"))
    assert (late.code, "answered by operator" in late.message) == ("wrong_state", True)


@pytest.mark.parametrize("by", ["alice", "operator"])
async def test_a_cancel_arrives_too(bed: QuestionBed, by: str) -> None:
    await bed.ask()
    assert (await bed.questions.cancel(1, by)).status == "cancelled"
    assert (await bed.words())[0].startswith(f"[cancelled] Your question 1 to operator was cancelled by {by}.")
    assert (await refused(bed.questions.answer(1, "operator", [], "x"))).code == "wrong_state"
    assert len(await bed.store.read(audit.page, None, 10)) == (by == "operator")


async def test_it_expires_at_its_deadline_and_not_before(bed: QuestionBed) -> None:
    await bed.ask(ttl_seconds=60)
    await bed.ask(ttl_seconds=90, default="yes")
    await bed.ask()
    await bed.pass_by(59)
    assert await bed.words() == []
    await bed.pass_by(1)
    (word,) = await bed.words()
    assert word.startswith("[expired] Nobody has answered your question 1 to operator by 2026-01-02T03:05:05.000Z.")
    await bed.pass_by(30)
    (word,) = await bed.words()
    assert "your question 2" in word
    assert "Your default holds:\n| yes" in word
    await bed.pass_by(30 * 86400)
    assert await bed.words() == []
    assert [(row.id, row.status, row.answer) for row in await bed.store.read(statements.page)] == [
        (3, "open", None), (2, "expired", "yes"), (1, "expired", None),
    ]  # fmt: skip


async def test_the_timer_comes_by_itself(bed: QuestionBed) -> None:
    waiting = asyncio.create_task(bed.recv("alice", wait=30))
    await bed.parked("alice")
    await bed.ask(ttl_seconds=1)
    await bed.ask(ttl_seconds=600)
    bed.clock.advance(1)
    assert (await waiting).deliveries[0].body.startswith("[expired]")
    assert bed.questions.deadlines._alarm is not None


# --- who may ask whom, and how much


async def test_whom_one_may_ask(bed: QuestionBed) -> None:
    await bed.destroy("carol")
    codes = {}
    for asker, to in (("alice", "alice"), ("alice", "*"), ("alice", "bop"), ("alice", "carol"), ("dave", "bob")):
        codes[asker, to] = (await refused(bed.ask(asker, to))).code
    assert list(codes.values()) == ["not_allowed", "not_allowed", "unknown_recipient", "recipient_gone", "not_allowed"]
    for to in ("alice", "operator"):
        assert (await bed.ask("dave", to)).status == "open"
    await bed.questions.answer(1, "alice", [], "gladly")
    assert len(await bed.words("dave")) == 1


async def test_fifty_may_be_open_and_one_that_ends_makes_room(bed: QuestionBed) -> None:
    made = await asyncio.gather(*(bed.ask(idempotency_key=f"k{n}") for n in range(50)))
    assert {row.id for row in made} == set(range(1, 51))
    assert (await refused(bed.ask())).code == "too_many_questions"
    assert (await bed.ask(idempotency_key="k7")).id == made[7].id, "what was asked before is no other one"
    assert (await bed.ask("bob")).id == 51
    await bed.questions.answer(3, "operator", [], "x")
    assert (await bed.ask()).id == 52


async def test_a_full_inbox_is_asked_nothing_and_still_hears_an_end(tmp_path: Path) -> None:
    bed = await QuestionBed(tmp_path, Limits(unread=2)).open()
    await bed.ask("bob")
    for _ in range(2):
        await bed.send("alice", "bob")
    assert (await refused(bed.ask("alice", "bob"))).code == "too_many_unread"
    await bed.questions.answer(1, "operator", [], "x")
    assert len(await bed.words("bob")) == 1
    await bed.close()


async def test_the_same_key_is_the_same_question(bed: QuestionBed) -> None:
    made = await asyncio.gather(*(bed.ask(to="bob", idempotency_key="k") for _ in range(5)))
    assert {row.id for row in made} == {1}
    assert len(await bed.words("bob")) == 1
    await bed.questions.answer(1, "bob", [], "x")
    await bed.destroy("bob")
    again = await bed.ask(to="bob", idempotency_key="k")
    assert (again.id, again.status) == (1, "answered"), "also when it could not be asked any more"
    assert (await bed.ask("carol", idempotency_key="k")).id == 2


async def test_two_answers_at_once(bed: QuestionBed) -> None:
    await bed.ask(to="bob")
    work = [bed.questions.answer(1, by, [], by) for by in ("bob", "operator", "operator")]
    results = await asyncio.gather(*work, return_exceptions=True)
    (winner,) = [result for result in results if not isinstance(result, BaseException)]
    late = [result for result in results if isinstance(result, HiveError)]
    assert [error.code for error in late] == ["wrong_state"] * 2
    assert all(f"answered by {winner.ended_by} at" in error.message for error in late)
    assert f"answered by {winner.ended_by}:" in (await bed.words())[0]


async def test_a_peer_that_did_not_hear_may_say_the_same_again(bed: QuestionBed) -> None:
    """The harness tries again when the hive restarts between the commit and its answer."""
    await bed.ask(to="bob")
    for _ in range(2):
        assert (await bed.questions.answer(1, "bob", [], "red")).status == "answered"
    assert (await refused(bed.questions.answer(1, "bob", [], "blue"))).code == "wrong_state"
    assert len(await bed.words()) == 1


# --- restarts, and what cannot be written


@pytest.mark.parametrize("kill", [True, False])
async def test_questions_survive(bed: QuestionBed, kill: bool) -> None:  # noqa: FBT001 - pytest gives it
    await bed.ask(to="bob", ttl_seconds=60)
    await bed.ask()
    await bed.restart(kill=kill)
    assert bed.rows == [(1, "open"), (2, "open")]
    assert len(await bed.words("bob")) == 1
    await bed.questions.answer(2, "operator", [], "x")
    await bed.pass_by(60)
    assert [word.split("\n")[0] for word in await bed.words()] == [
        "Your question 2 to operator was answered by operator:",
        "[expired] Nobody has answered your question 1 to bob by 2026-01-02T03:05:05.000Z.",
    ]
    await bed.restart(kill=kill)
    assert bed.rows == []
    assert len(await bed.stored("alice")) == 2


@pytest.mark.parametrize("kill", [True, False])
async def test_what_expired_while_the_hive_was_down_is_settled_at_its_start(bed: QuestionBed, kill: bool) -> None:  # noqa: FBT001
    for ttl in (60, 50, 3600):
        await bed.ask(ttl_seconds=ttl, default=f"after {ttl}")
    bed.clock.advance(60)
    await bed.restart(kill=kill)
    assert (await bed.get(1)).status == (await bed.get(2)).status == "expired"
    assert [("after 60" in word, "after 50" in word) for word in await bed.words()] == [(False, True), (True, False)]
    assert (await bed.get(3)).status == "open"
    await bed.restart(kill=kill)
    assert len(await bed.stored("alice")) == 2


class Trouble:
    """Lets the message of a question fail once, after all else of the transaction was written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 0
        monkeypatch.setattr(statements, "insert_messages", self._insert)

    def _insert(self, connection: Any, items: Any) -> Any:
        if self.left:
            self.left -= 1
            msg = "made to fail"
            raise OSError(msg)
        return messages.insert_messages(connection, items)


async def test_a_question_and_its_messages_are_written_together_or_not_at_all(
    bed: QuestionBed, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble = Trouble(monkeypatch)
    trouble.left = 1
    with pytest.raises(OSError, match="made to fail"):
        await bed.ask(to="bob")
    assert await bed.store.read(statements.page) == []
    assert (await bed.ask(to="bob", ttl_seconds=60)).id == 1
    trouble.left = 1
    with pytest.raises(OSError, match="made to fail"):
        await bed.questions.answer(1, "operator", [], "lost")
    assert (await bed.get(1)).status == "open"
    assert await bed.store.read(audit.page, None, 10) == [], "nor is a decision that did not happen"
    assert await bed.stored("alice") == []
    assert bed.broker._box("alice").coming == bed.broker._box("bob").coming == 0
    await bed.questions.answer(1, "bob", [], "found")
    assert len(await bed.words()) == 1


async def test_an_expiry_that_cannot_be_written_is_tried_again(
    bed: QuestionBed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trouble = Trouble(monkeypatch)
    await bed.ask(ttl_seconds=60)
    trouble.left = 1
    await bed.pass_by(60)
    assert ((await bed.get(1)).status, await bed.stored("alice")) == ("open", [])
    assert "(1, 'alice') failed and is tried again" in caplog.text
    await bed.pass_by(29)
    assert (await bed.get(1)).status == "open"
    await bed.pass_by(1)
    assert (await bed.get(1)).status == "expired"
    assert len(await bed.words()) == 1


async def test_a_caller_that_goes_away_loses_nothing(bed: QuestionBed) -> None:
    await bed.ask(to="bob")
    task = asyncio.create_task(bed.questions.answer(1, "bob", [], "x"))
    while bed.broker._box("alice").coming == 0:  # noqa: ASYNC110 - until it is on its way
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert (await bed.recv("alice", wait=20)).deliveries[0].body.startswith("Your question 1")
    assert bed.rows[-1] == (1, "answered")


# --- an agent that is purged


async def test_a_purge_cancels_what_the_agent_asked_and_what_it_was_asked(bed: QuestionBed) -> None:
    await bed.ask("alice", "operator")
    await bed.ask("alice", "bob", ttl_seconds=60)
    await bed.ask("carol", "alice")
    await bed.ask("carol", "bob")
    await bed.questions.purged("alice")
    found = {row.id: row.status for row in await bed.store.read(statements.page)}
    assert found == {1: "cancelled", 2: "cancelled", 3: "cancelled", 4: "open"}
    assert await bed.stored("alice") == [(await bed.stored("alice"))[0]], "only what carol asked"
    (word,) = await bed.words("carol")
    assert word.startswith("[cancelled] Your question 3 to alice was cancelled because 'alice' was purged.")
    await bed.pass_by(60)
    assert (await bed.get(2)).status == "cancelled"


# --- whatever the order


_ENDS = some.sampled_from(
    ["operator answers", "bob answers", "alice cancels", "operator cancels", "it expires", "look"]
)


async def _any_order(place: Path, ends: list[str], kill: bool) -> None:  # noqa: FBT001
    bed = await QuestionBed(place).open()
    await bed.ask(to="bob", ttl_seconds=60)
    doing = {
        "operator answers": lambda: bed.questions.answer(1, "operator", [], "a"),
        "bob answers": lambda: bed.questions.answer(1, "bob", [], "b"),
        "alice cancels": lambda: bed.questions.cancel(1, "alice"),
        "operator cancels": lambda: bed.questions.cancel(1, "operator"),
        "it expires": lambda: bed.pass_by(60),
        "look": lambda: bed.pass_by(0),
    }
    await asyncio.gather(*(doing[end]() for end in ends), return_exceptions=True)
    await bed.idle()
    await bed.restart(kill=kill)
    row = await bed.get(1)
    carried = await bed.stored("alice")
    assert len(carried) == (row.status != "open")
    if row.status == "answered":
        assert f"| {row.answer}\n" in carried[0]
    elif row.status != "open":
        assert f"[{row.status}]" in carried[0]
    assert len(await bed.words()) == len(carried)
    await bed.pass_by(3600)
    assert len(await bed.stored("alice")) == 1
    assert (await bed.get(1)).status != "open"
    await bed.close()


@drawn(40)
@given(some.lists(_ENDS, max_size=6), some.booleans())
def test_the_asker_gets_exactly_one_end(ends: list[str], kill: bool) -> None:  # noqa: FBT001
    place = Path(tempfile.mkdtemp(prefix="hh-"))
    try:
        asyncio.run(_any_order(place, ends, kill))
    finally:
        shutil.rmtree(place)
