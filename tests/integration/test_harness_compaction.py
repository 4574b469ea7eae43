"""A conversation that grows too long or is lost, with the real `claude`, and what a turn that is broken off used."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from harness_place import QUICK, Place, claude_children, held, place

from hyperhive.harness import session_file

if TYPE_CHECKING:
    from pathlib import Path

FULL = {"usage": {"input_tokens": 800_000}}
"""Of a window of a million."""
TOO_LONG = {"error": {"status": 400, "message": "prompt is too long: 210000 tokens > 200000 maximum"}}


def states(here: Place) -> list[str]:
    """The states that were reported, one after the other."""
    found = [report["state"] for report in here.hive.reports if report.get("state")]
    return [state for index, state in enumerate(found) if index == 0 or found[index - 1] != state]


def starts(here: Place) -> list[str]:
    """Who woke each turn."""
    return [start["from"] for start in here.hive.data("turn_start")]


async def at_rest(here: Place, after: str) -> None:
    """Wait until the agent is idle again after it was `after`."""
    await here.hive.until(lambda: after in states(here) and states(here)[-1] == "idle")


async def test_a_conversation_near_its_limit_is_written_down_and_shortened(tmp_path: Path) -> None:
    write = {
        "when": "shortened to a summary",
        "steps": [{"tool": "Bash", "input": {"command": "echo kept > notes.md"}}],
    }
    async with place(tmp_path, write, {"when": "hello", "steps": [FULL, "big"]}) as here:
        here.start()
        number = await here.hive.put("hello")
        await here.hive.until(lambda: here.hive.data("compacted"))
        await at_rest(here, "compacting")
        assert [(one.outcome, one.ids) for one in here.hive.outcomes] == [("settled", [number])]
        assert starts(here) == ["bob", "system"]
        assert [event.turn for event in here.hive.events if event.kind == "turn_start"] == [1, 2]
        assert (tmp_path / "state" / "notes.md").read_text() == "kept\n"
        assert here.hive.data("compacted")[0]["trigger"] == "auto"
        assert states(here) == ["idle", "thinking", "compacting", "idle"]
        ends = here.hive.data("turn_end")
        assert [(end["ok"], end["outcome"]) for end in ends] == [(True, "settled"), (True, None)]
        used = [report["usage"]["costUsd"] for report in here.hive.reports if report.get("usage")]
        assert len(used) == 3, "the turn, the one that writes down, and the compaction"
        assert all(cost > 0 for cost in used)
        models = {report["usage"]["model"] for report in here.hive.reports if report.get("usage")}
        assert len(models) == 1, "a compaction says what answered under the name that turns say"
        assert [request.kind for request in here.model.requests] == ["turn", "turn", "turn", "compaction"]
        await here.hive.put("on we go")
        assert await here.outcomes(2) == ["settled", "settled"]
        assert starts(here) == ["bob", "system", "bob"]


async def test_a_conversation_that_stays_long_is_not_shortened_again_and_again(tmp_path: Path) -> None:
    rules = [
        {"when": f"hello {n}", "steps": [{"usage": {"input_tokens": n * 10_000}}, "big"]} for n in (80, 81, 82, 90)
    ]
    async with place(tmp_path, *rules) as here:
        here.start()
        for count, (size, compacted) in enumerate([(80, 1), (81, 1), (82, 1), (90, 2)], 1):
            await here.hive.put(f"hello {size}")
            await here.outcomes(count)
            await here.hive.until(lambda wanted=compacted: len(here.hive.data("compacted")) == wanted)
            await here.hive.until(lambda: states(here)[-1] == "idle")
        assert starts(here) == ["bob", "system", "bob", "bob", "bob", "system"]


@pytest.mark.parametrize("how", ["cancel", "stop"])
async def test_what_comes_in_between_ends_it_and_leaves_the_message_settled(tmp_path: Path, how: str) -> None:
    write = {"when": "shortened to a summary", "steps": [{"delay": 60}, "never said"]}
    async with place(tmp_path, write, {"when": "hello", "steps": [FULL, "big"]}) as here:
        here.start()
        await here.hive.put("hello")
        await here.model.wait_for("alice", 2)
        await here.hive.until(lambda: states(here)[-1] == "compacting")
        if how == "cancel":
            assert (await here.hive.command("cancel")).ok
            await at_rest(here, "compacting")
            await here.hive.put("on we go")
            assert await here.outcomes(2) == ["settled", "settled"]
        else:
            await here.stop()
            assert claude_children() == []
        assert here.hive.outcomes[0].outcome == "settled"
        assert here.hive.data("compacted") == []
        assert here.hive.data("turn_end")[1]["ok"] is False


async def test_messages_do_not_join_the_turn_that_writes_down(tmp_path: Path) -> None:
    async with (
        held(tmp_path) as held_up,
        place(
            tmp_path,
            {"when": "shortened to a summary", "steps": [held_up.step, {"tool": "recv", "input": {}}, "ok"]},
            {"when": "hello", "steps": [FULL, "big"]},
        ) as here,
    ):
        here.start()
        await here.hive.put("hello")
        await here.model.wait_for("alice", 2)
        second = await here.hive.put("second")
        held_up.goes_on()
        assert await here.outcomes(2) == ["settled", "settled"]
        assert here.hive.outcomes[1].ids == [second]
        assert any("what waits for you stays" in str(one["content"]) for one in here.hive.data("tool_result"))


async def test_a_limit_in_between_rests_and_the_message_stays_settled(tmp_path: Path) -> None:
    limit = {"error": {"status": 429, "message": "slow down", "headers": {"retry-after": "3600"}}, "times": 1}
    write = {"when": "shortened to a summary", "steps": [limit, "ok"]}
    async with place(tmp_path, write, {"when": "hello", "steps": [FULL, "big"]}) as here:
        here.start()
        await here.hive.put("hello")
        await here.hive.until(lambda: here.hive.reported(state="rate_limited"))
        await at_rest(here, "rate_limited")
        assert [one.outcome for one in here.hive.outcomes] == ["settled"]


async def test_a_first_message_that_is_too_long_fails_and_the_next_conversation_is_a_new_one(tmp_path: Path) -> None:
    async with place(tmp_path, {"when": "huge", "steps": [TOO_LONG]}) as here:
        here.start()
        await here.hive.put("huge")
        assert await here.outcomes(1) == ["failed"]
        assert "Prompt is too long" in str(here.hive.outcomes[0].reason)
        assert any("once more with a shorter conversation" in note["text"] for note in here.hive.data("note"))
        assert session_file.load(tmp_path / "state") is None
        await here.hive.put("hello")
        assert await here.outcomes(2) == ["failed", "settled"]
        assert "it had grown too long" in here.model.requests[-1].prompt


async def test_a_later_message_that_is_too_long_is_answered_after_a_compaction(tmp_path: Path) -> None:
    async with place(tmp_path, {"when": "more", "steps": [TOO_LONG | {"times": 1}, "answered"]}) as here:
        here.start()
        await here.hive.put("hello")
        await here.outcomes(1)
        await here.hive.put("more")
        assert await here.outcomes(2) == ["settled", "settled"]
        await here.hive.until(lambda: here.hive.data("compacted"))
        assert [request.outcome for request in here.hive.outcomes] == ["settled", "settled"]


async def test_a_turn_over_its_time_is_interrupted_and_fails_with_the_setting_as_reason(tmp_path: Path) -> None:
    async with place(tmp_path, {"when": "slow", "steps": ["well", {"delay": 60}, "never said"]}) as here:
        here.timings = replace(QUICK, interrupt=5)
        here.set(max_turn_minutes=1.5 / 60)
        here.start()
        await here.hive.put("slow")
        assert await here.outcomes(1) == ["failed"]
        reason = here.hive.outcomes[0].reason
        assert reason == "the turn took longer than 0.025 minutes (maxTurnMinutes) and was interrupted"
        await here.hive.until(lambda: here.hive.data("turn_end"))
        assert here.hive.data("turn_end")[0]["note"] == reason
        here.set(max_turn_minutes=60)
        await here.hive.put("quick")
        assert await here.outcomes(2) == ["failed", "settled"]


_LIKE_GARBAGE = ("a directory", "empty", "no object")


def _lose(root: Path, how: str) -> None:
    """Spoil the transcript of the only conversation."""
    (transcript,) = (root / "claude" / "projects").rglob("*.jsonl")
    if how == "no projects":
        for path in sorted((root / "claude" / "projects").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    elif how == "a directory":
        transcript.unlink()
        transcript.mkdir()
    else:
        transcript.write_bytes({"empty": b"", "garbage": bytes(range(256)) * 40, "no object": b"[]\n" * 9}[how])


@pytest.mark.parametrize(
    "how", ["no projects", "garbage", *(pytest.param(how, marks=pytest.mark.long) for how in _LIKE_GARBAGE)]
)
async def test_a_conversation_that_cannot_be_resumed_begins_anew_at_once(tmp_path: Path, how: str) -> None:
    async with place(tmp_path) as here:
        here.set(keep_warm_seconds=0)
        here.start()
        await here.hive.put("hello")
        await here.outcomes(1)
        await here.hive.until(lambda: states(here)[-1] == "idle")
        await here.stop()
        before = session_file.load(tmp_path / "state")
        _lose(tmp_path, how)
        here.start()
        await here.hive.put("again")
        assert await here.outcomes(2) == ["settled", "settled"], here.hive.outcomes
        await here.hive.until(lambda: here.hive.data("session_new"))
        after = session_file.load(tmp_path / "state")
        assert before is not None
        assert after is not None
        assert before.session_id != after.session_id
        assert "could not be continued" in here.model.requests[-1].prompt
        await here.hive.put("third")
        await here.outcomes(3)
        assert here.model.requests[-1].prompt.count("could not be continued") == 0


async def test_the_news_of_a_new_conversation_survives_a_turn_that_came_to_nothing(tmp_path: Path) -> None:
    limit = {"error": {"status": 429, "message": "slow down", "headers": {"retry-after": "3600"}}, "times": 1}
    async with place(tmp_path, {"when": "hello", "steps": [limit, "ok"]}) as here:
        (tmp_path / "state" / "hyperhive-session").write_text('{"session_id": "6d9f6a0e-7a53-4a9b-9a8b-0a1b2c3d4e5f"}')
        here.start()
        await here.hive.put("hello")
        assert await here.outcomes(2) == ["returned", "settled"]
        assert all("could not be continued" in request.prompt for request in here.model.requests)


def used(here: Place) -> list[dict[str, Any]]:
    """What the turns used."""
    return [report["usage"] for report in here.hive.reports if report.get("usage")]


@pytest.mark.parametrize("patient", [True, False])
async def test_what_a_cancelled_turn_used_counts(tmp_path: Path, patient: bool) -> None:  # noqa: FBT001 - a parameter of the test
    step = {"tool": "Bash", "input": {"command": "true"}}
    slow = [
        {"usage": {"input_tokens": 1000}},
        step,
        {"usage": {"input_tokens": 2000}},
        "partly",
        {"delay": 60},
        "never",
    ]
    async with place(tmp_path, {"when": "slow", "steps": slow}) as here:
        here.timings = QUICK if patient else replace(QUICK, interrupt=0)
        here.start()
        await here.hive.put("hello")
        await here.outcomes(1)
        await here.hive.put("slow")
        await here.hive.until(lambda: any(one["text"] == "partly" for one in here.hive.data("text")))
        assert (await here.hive.command("cancel")).ok
        await here.hive.put("hello")
        assert await here.outcomes(3) == ["settled", "cancelled", "settled"]
        await here.hive.until(lambda: len(used(here)) == 3)
        first, second, third = used(here)
        assert second["inputTokens"] == 3000
        assert second["model"] == first["model"]
        # The same price for a token of input in each.
        assert second["costUsd"] == pytest.approx(first["costUsd"] / first["inputTokens"] * 3000, rel=0.2)
        assert third["costUsd"] == pytest.approx(
            first["costUsd"] / first["inputTokens"] * third["inputTokens"], rel=0.2
        )
        assert 0 < third["inputTokens"] < 1.5 * first["inputTokens"], "not the total of the conversation"
