"""What the operator does to an agent between two turns, with the real `claude`: its model, its conversation."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import pytest
from broker_bed import DEADLINE
from harness_place import QUICK, Place, claude_children, place

from hyperhive.harness import model_choice, session_file

if TYPE_CHECKING:
    from pathlib import Path


def models(here: Place) -> list[str]:
    """The models that were asked, turn by turn."""
    return [request.model for request in here.model.requests if request.kind == "turn"]


def told_model(here: Place) -> str | None:
    """The model that the hive was told last."""
    told = [report["model"] for report in here.hive.reports if report.get("model")]
    return told[-1] if told else None


async def one_turn(here: Place, number: int) -> None:
    """Let the agent do its `number`th turn."""
    await here.hive.put("hello")
    assert await here.outcomes(number) == ["settled"] * number

    def at_rest() -> bool:
        ends = [index for index, report in enumerate(here.hive.reports) if report.get("lastTurn")]
        after = here.hive.reports[ends[-1] :] if len(ends) == number else []
        return any(report.get("state") == "idle" for report in after)

    await here.hive.until(at_rest)


async def test_another_model_serves_from_the_next_turn_on_and_through_a_restart(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.start()
        await one_turn(here, 1)
        done = await here.hive.command("model", model="opus")
        assert (done.ok, done.result) == (True, {"model": "opus"})
        await here.hive.until(lambda: told_model(here) == "opus")
        await one_turn(here, 2)
        await here.stop()
        here.start()
        await here.hive.until(lambda: here.hive.reports[-1].get("model") or here.hive.reported(model="opus"))
        await one_turn(here, 3)
        assert [name.split("-")[1] for name in models(here)] == ["haiku", "opus", "opus"]
        changed = {"model": "opus", "previous": "haiku", "reason": "the operator chose it"}
        assert here.hive.data("model_changed") == [changed]


async def test_a_changed_declaration_ends_the_choice(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.start()
        assert (await here.hive.command("model", model="opus")).ok
        here.set(model="sonnet")
        await one_turn(here, 1)
        assert "sonnet" in models(here)[0]
        await here.hive.until(lambda: len(here.hive.data("model_changed")) == 2)
        ended = here.hive.data("model_changed")[1]
        assert (ended["model"], ended["previous"]) == ("sonnet", "opus")
        assert "haiku" in ended["reason"]
        await here.hive.until(lambda: told_model(here) == "sonnet")
        assert not (tmp_path / "state" / model_choice.FILE).exists()


async def test_the_declared_model_ends_a_choice_too(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.start()
        assert (await here.hive.command("model", model="claude-opus-4-1")).ok
        assert (tmp_path / "state" / model_choice.FILE).exists()
        assert (await here.hive.command("model", model="haiku")).ok
        assert not (tmp_path / "state" / model_choice.FILE).exists()


@pytest.mark.parametrize("name", ["gpt", "Opus", "claude-", "--resume", "claude-x y"])
async def test_a_model_that_there_is_not_is_refused_with_those_that_there_are(tmp_path: Path, name: str) -> None:
    async with place(tmp_path) as here:
        here.start()
        refused = await here.hive.command("model", model=name)
        assert refused.result is not None
        assert refused.result["code"] == "malformed"
        assert "haiku, opus, sonnet" in refused.result["hint"]
        assert here.hive.data("model_changed") == []


async def test_a_model_that_the_api_refuses_is_the_agents_problem_until_another_one_is_chosen(tmp_path: Path) -> None:
    missing = {"when": "hello", "times": 1, "steps": [{"error": {"status": 404, "message": "model: claude-none-9"}}]}
    async with place(tmp_path, missing) as here:
        here.start()
        assert (await here.hive.command("model", model="claude-none-9")).ok
        number = await here.hive.put("hello")
        assert await here.outcomes(1) == ["returned"]
        await here.hive.until(lambda: any(one.get("problem") for one in here.hive.reported(state="idle")))
        problem = next(one["problem"] for one in here.hive.reported(state="idle") if one.get("problem"))
        assert "refuses the model" in problem
        assert (await here.hive.command("model", model="opus")).ok
        assert await here.outcomes(2) == ["returned", "settled"]
        assert here.hive.outcomes[1].ids == [number]
        await here.hive.until(lambda: here.hive.reported(state="idle")[-1].get("problem") is None)


async def test_a_compaction_shortens_the_conversation_and_its_cost_counts(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.start()
        await one_turn(here, 1)
        session = session_file.load(tmp_path / "state")
        assert (await here.hive.command("compact")).ok
        await here.hive.until(lambda: here.hive.data("compacted"))
        assert here.hive.data("compacted")[0]["trigger"] == "manual"
        assert [request.kind for request in here.model.requests] == ["turn", "compaction"]
        await here.hive.until(lambda: here.hive.reported(state="compacting"))
        await here.hive.until(lambda: len([one for one in here.hive.reports if one.get("usage")]) == 2)
        used = [one for one in here.hive.reports if one.get("usage")]
        assert "lastTurn" in used[0]
        assert "lastTurn" not in used[1]
        assert used[1]["usage"]["costUsd"] > 0
        assert used[1]["usage"]["contextTokens"] == here.hive.data("compacted")[0]["postTokens"]
        assert used[0]["usage"]["contextWindow"] > 100_000
        await one_turn(here, 2)
        after = session_file.load(tmp_path / "state")
        assert session is not None
        assert after is not None
        assert after.session_id == session.session_id
        assert here.hive.kinds().count("turn_start") == 2


async def test_a_compaction_of_an_agent_at_rest_starts_claude_and_ends_it_again(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.set(keep_warm_seconds=0)
        here.start()
        await one_turn(here, 1)
        await here.hive.until(lambda: not claude_children())
        assert (await here.hive.command("compact")).ok
        assert claude_children() == []


async def test_what_needs_the_session_is_refused_while_a_turn_runs(tmp_path: Path) -> None:
    async with place(tmp_path, otherwise=[{"delay": 60}, "late"]) as here:
        here.start()
        await here.hive.until(lambda: here.hive.reported(state="idle"))
        for kind in ("compact", "new-session"):
            early = await here.hive.command(kind)
            assert "there is no conversation yet" in (early.error or "")
        await here.hive.put("hello")
        await here.model.wait_for()
        for kind in ("compact", "new-session"):
            refused = await here.hive.command(kind)
            assert refused.result is not None
            assert refused.result["code"] == "wrong_state"
            assert "a turn is running" in refused.result["message"]
        assert (await here.hive.command("model", model="opus")).ok, "it is for the next turn"


async def test_a_message_waits_for_the_end_of_a_compaction(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.start()
        await one_turn(here, 1)
        command = await here.hive.give("compact")
        await here.hive.until(lambda: here.hive.reported(state="compacting"))
        await here.hive.put("again")
        assert await here.outcomes(2) == ["settled", "settled"]
        assert here.hive.done[command].ok
        kinds = here.hive.kinds()
        assert kinds.index("compacted") < len(kinds) - 1 - kinds[::-1].index("turn_start")


class Endpoint:
    """An API that answers everything with `refusal`, or with nothing at all."""

    def __init__(self, refusal: str | None = None) -> None:
        self.asked = asyncio.Event()
        self._refusal = refusal
        self._open: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def came(self) -> None:
        """Wait for a request."""
        async with asyncio.timeout(DEADLINE):
            await self.asked.wait()

    def serves(self, here: Place) -> None:
        """From the next process on."""
        url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        here.set(environment={**here.hive.me.environment, "ANTHROPIC_BASE_URL": url})

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        self.asked.set()
        if self._refusal:
            error = {"type": "invalid_request_error", "message": self._refusal}
            content = json.dumps({"type": "error", "error": error}).encode()
            head = "HTTP/1.1 400 X\r\nconnection: close\r\nx-should-retry: false\r\ncontent-type: application/json"
            writer.write(f"{head}\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content)
            await writer.drain()


async def test_a_compaction_can_be_cancelled(tmp_path: Path) -> None:
    async with place(tmp_path) as here, Endpoint() as silent:
        here.start()
        await one_turn(here, 1)
        before = dict(here.hive.me.environment)
        silent.serves(here)
        number = await here.hive.give("compact")
        await silent.came()
        again = await here.hive.command("compact")
        assert "it is compacting" in (again.error or "")
        assert (await here.hive.command("cancel")).ok
        await here.hive.until(lambda: number in here.hive.done)
        assert "it was cancelled" in (here.hive.done[number].error or "")
        here.set(environment=before)
        await one_turn(here, 2)


async def test_a_compaction_that_the_api_refuses_fails_with_its_words(tmp_path: Path) -> None:
    async with place(tmp_path) as here, Endpoint("no compaction today") as refusing:
        here.start()
        await one_turn(here, 1)
        refusing.serves(here)
        failed = await here.hive.command("compact")
        assert "no compaction today" in (failed.error or "")
        assert failed.result is not None
        assert failed.result["code"] == "operation_failed"
        await here.hive.until(lambda: [one["state"] for one in here.hive.reports if one.get("state")][-1] == "idle")


async def test_a_stop_ends_a_compaction(tmp_path: Path) -> None:
    async with place(tmp_path) as here, Endpoint() as silent:
        here.start()
        await one_turn(here, 1)
        silent.serves(here)
        await here.hive.give("compact")
        await silent.came()
        await here.stop()
        assert claude_children() == []


async def test_a_new_session_forgets_the_old_one_and_tells_the_agent(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.timings = replace(QUICK, recv=1)
        here.start()
        await one_turn(here, 1)
        first = session_file.load(tmp_path / "state")
        assert (await here.hive.command("new-session")).ok
        assert session_file.load(tmp_path / "state") is None
        await one_turn(here, 2)
        second = session_file.load(tmp_path / "state")
        assert first is not None
        assert second is not None
        assert first.session_id != second.session_id
        assert here.hive.data("session_new") == [{"reason": "the operator wanted a new one"}]
        last = json.dumps(here.model.requests[-1].prompt)
        assert "the operator wanted a new one" in last
        assert here.model.requests[-1].messages < 4
        await one_turn(here, 3)
        assert "the operator wanted" not in here.model.requests[-1].prompt.rpartition("Message from")[0][-400:]
