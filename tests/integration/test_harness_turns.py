"""The harness with the real `claude`, the scripted model and a stand-in hive: turns, and all ways in which they end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from broker_bed import DEADLINE
from ends import ended
from harness_place import claude_children, held, place

from hyperhive.clock import utc_now
from hyperhive.errors import HiveError
from hyperhive.harness import processes
from hyperhive.harness.hive import HiveClient
from hyperhive.harness.launch import find_claude
from hyperhive.harness.settings import Timings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hyperhive import wire


async def test_a_turn_answers_a_message_and_settles_it(tmp_path: Path) -> None:
    rule = {"when": "Message from bob:\nhello", "steps": [{"tool": "send", "input": {"to": "bob", "body": "hi"}}, "ok"]}
    async with place(tmp_path, rule) as here:
        here.start()
        number = await here.hive.put("hello")
        assert await here.outcomes(1) == ["settled"]
        assert here.hive.outcomes[0].ids == [number]
        assert [(one.to, one.body) for one in here.hive.sent] == [("bob", "hi")]
        await here.hive.until(lambda: "turn_end" in here.hive.kinds())
        assert here.hive.kinds() == ["turn_start", "tool_call", "tool_result", "text", "turn_end"]
        start = here.hive.data("turn_start")[0]
        assert start == {"from": "bob", "body": "hello", "unread": 0, "id": number, "redelivered": False}
        assert here.hive.data("tool_call")[0]["name"] == "mcp__hyperhive__send"
        assert here.hive.data("tool_result")[0]["content"] == "Sent to bob as message 1000."
        assert here.hive.data("turn_end")[0]["ok"] is True
        await here.hive.until(lambda: [one for one in here.hive.reports if one.get("usage")])
        report = next(one for one in here.hive.reports if one.get("usage"))
        assert report["usage"]["outputTokens"] > 0
        assert report["usage"]["model"].startswith("claude-haiku")
        assert report["lastTurn"]["ok"] is True
        assert report["sessionId"]
        request = here.model.requests[0]
        assert 'You are "alice", an agent of the hive "test".' in request.system
        assert "You look after the build." in request.system
        assert sorted(request.tools)[:6] == ["Bash", "Edit", "Glob", "Grep", "Read", "Write"]
        assert all(name.startswith("mcp__hyperhive__") for name in sorted(request.tools)[6:])


async def test_what_a_turn_used_is_taken_by_the_hive_before_its_outcome_is_given(tmp_path: Path) -> None:
    """Budgets are looked at when that is counted: the next message must not be asked for before."""
    async with place(tmp_path, {"when": "hello", "steps": ["ok"]}) as here:
        here.hive.counting.clear()
        here.start()
        await here.hive.put("hello")
        await here.hive.until(lambda: [one for one in here.hive.reports if one.get("usage")])
        with pytest.raises(TimeoutError):
            await here.hive.until(lambda: here.hive.outcomes, seconds=0.5)
        here.hive.counting.set()
        assert await here.outcomes(1) == ["settled"]


async def test_what_the_recv_tool_takes_joins_the_turn(tmp_path: Path) -> None:
    rule = {"when": "first", "steps": [{"tool": "recv", "input": {"wait_seconds": 10}}, "both done"]}
    async with place(tmp_path, rule) as here:
        here.start()
        first = await here.hive.put("first")
        await here.hive.until(lambda: "tool_call" in here.hive.kinds())
        second = await here.hive.put("second", "carol")
        assert await here.outcomes(1) == ["settled"]
        assert here.hive.outcomes[0].ids == [first, second]
        assert "Message from carol:\n| second" in here.hive.data("tool_result")[0]["content"]


async def test_a_refused_send_tells_the_model_what_to_do(tmp_path: Path) -> None:
    rule = {"when": "go", "steps": [{"tool": "send", "input": {"to": "nobody", "body": "x"}}, "ok"]}
    async with place(tmp_path, rule) as here:
        here.start()
        await here.hive.put("go")
        await here.outcomes(1)
        await here.hive.until(lambda: here.hive.data("tool_result"))
        result = here.hive.data("tool_result")[0]
        assert result["isError"] is True
        assert result["content"] == "there is no agent 'nobody'. Did you mean bob?"


async def test_cancel_ends_the_turn_and_the_next_one_runs(tmp_path: Path) -> None:
    rule = {"when": "slow", "steps": ["thinking it over", {"delay": 60}, "never said"]}
    async with place(tmp_path, rule) as here:
        here.start()
        await here.hive.put("slow")
        await here.model.wait_for("alice")
        done = await here.hive.command("cancel")
        assert done.ok, done.error
        assert await here.outcomes(1) == ["cancelled"]
        await here.hive.put("quick")
        assert await here.outcomes(2) == ["cancelled", "settled"]
        refused = await here.hive.command("cancel")
        assert not refused.ok
        # Which of the two depends on whether the harness has heard that its outcome was taken.
        assert any(why in (refused.error or "") for why in ("no turn is running", "the turn ended by itself"))
        unknown = await here.hive.command("dance")
        assert not unknown.ok


async def test_cancel_ends_a_process_that_does_not_listen(tmp_path: Path) -> None:
    rule = {"when": "slow", "steps": [{"delay": 60}, "never said"]}
    async with place(tmp_path, rule) as here:
        here.timings = Timings(interrupt=0.3, backoff=(0.02, 0.1))
        here.start()
        await here.hive.put("slow")
        await here.model.wait_for("alice")
        (child,) = claude_children()
        os.kill(child.pid, signal.SIGSTOP)
        done = await here.hive.command("cancel")
        assert done.ok, done.error
        assert await here.outcomes(1) == ["cancelled"]
        assert not processes.tree(child.pid)
        await here.hive.put("quick")
        assert await here.outcomes(2) == ["cancelled", "settled"]


async def test_a_session_goes_on_after_cooling_and_after_a_restart(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.set(keep_warm_seconds=0)
        here.start()
        await here.hive.put("one")
        await here.outcomes(1)
        await here.hive.put("two")
        await here.outcomes(2)
        await here.stop()
        assert not claude_children()
        here.start()
        await here.hive.put("three")
        await here.outcomes(3)
        bodies = [str(request.body) for request in here.model.requests]
        assert len({request.session for request in here.model.requests}) == 1
        assert all(word in bodies[2] for word in ("one", "two", "three"))
        assert "session_new" not in here.hive.kinds()
        await here.hive.until(lambda: len(here.hive.data("turn_end")) == 3)
        costs = [end["usage"]["costUsd"] for end in here.hive.data("turn_end")]
        assert 0 < costs[2] < 3 * costs[0]
        assert [event.turn for event in here.hive.events if event.kind == "turn_start"] == [1, 2, 3]


async def test_a_changed_prompt_and_model_take_effect_on_the_next_turn(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.start()
        await here.hive.put("one")
        await here.outcomes(1)
        here.set(prompt="You look after the tests.", model="sonnet")
        await here.hive.put("two")
        await here.outcomes(2)
        first, second = here.model.requests
        assert "You look after the tests." in second.system
        assert second.model != first.model


async def test_a_session_that_is_gone_begins_anew_and_says_so(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        (tmp_path / "state" / "hyperhive-session").write_text('{"session_id": "6d9f6a0e-7a53-4a9b-9a8b-0a1b2c3d4e5f"}')
        here.start()
        await here.hive.put("hello")
        assert await here.outcomes(1) == ["settled"]
        await here.hive.until(lambda: here.hive.data("session_new"))
        assert "not there any more" in here.hive.data("session_new")[0]["reason"]
        assert "could not be continued" in here.model.requests[0].prompt


async def test_a_killed_claude_is_a_failed_turn(tmp_path: Path) -> None:
    rule = {"when": "slow", "times": 1, "steps": [{"delay": 60}, "never said"]}
    async with place(tmp_path, rule) as here:
        here.start()
        await here.hive.put("slow")
        await here.model.wait_for("alice")
        (child,) = claude_children()
        os.kill(child.pid, signal.SIGKILL)
        assert await here.outcomes(1) == ["failed"]
        assert "-9" in (here.hive.outcomes[0].reason or "")
        await here.hive.put("next")
        assert await here.outcomes(2) == ["failed", "settled"]


async def test_a_refused_login_waits_for_new_credentials(tmp_path: Path) -> None:
    refusal = {"error": {"status": 401, "message": "invalid x-api-key"}, "times": 2}
    async with place(tmp_path, {"when": "hello", "steps": [refusal, "ok"]}) as here:
        # So long that only the change of a file can tell of another login.
        here.timings = Timings(login_look=3600, backoff=(0.02, 0.1))
        environment = {key: value for key, value in here.hive.me.environment.items() if key != "ANTHROPIC_API_KEY"}
        here.set(environment=environment)
        here.start()
        await here.hive.until(lambda: here.hive.reported(state="needs_login"))
        assert "not logged in" in here.hive.reported(state="needs_login")[0]["problem"]
        secret = here.root / "credentials" / "ANTHROPIC_API_KEY"
        secret.write_text("sk-first-made-up\n")
        await here.hive.put("hello")
        assert await here.outcomes(1) == ["returned"]
        assert here.model.count("alice") == 2
        await here.hive.until(lambda: len(here.hive.reported(state="needs_login")) == 2)
        assert "was refused" in here.hive.reported(state="needs_login")[1]["problem"]
        secret.write_text("sk-second-made-up\n")
        assert await here.outcomes(2) == ["returned", "settled"]
        assert "You were given this message before" in here.model.requests[-1].prompt
        assert "made-up" not in str(here.hive.events) + str(here.hive.reports)


async def test_a_rate_limit_rests_and_takes_the_same_message_again(tmp_path: Path) -> None:
    limit = {"error": {"status": 429, "message": "slow down", "headers": {"retry-after": "3600"}}, "times": 1}
    async with place(tmp_path, {"when": "hello", "steps": [limit, "ok"]}) as here:
        here.start()
        number = await here.hive.put("hello")
        assert await here.outcomes(2) == ["returned", "settled"]
        assert [request.ids for request in here.hive.outcomes] == [[number], [number]]
        (rested,) = here.hive.reported(state="rate_limited")
        assert rested["until"]
        assert rested["limitScope"] == "account"
        assert "429" in rested["problem"]
        (account,) = {report["account"] for report in here.hive.reports if report.get("account")}
        assert "made-up" not in account
        assert here.hive.reported(state="idle")[-1]["limitScope"] is None


async def test_the_hive_goes_away_during_a_turn_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, send = asyncio.Event(), HiveClient.send

    async def watched(hive: HiveClient, request: wire.SendRequest) -> wire.SendAnswer:
        try:
            return await send(hive, request)
        except HiveError:
            tried.set()
            raise

    monkeypatch.setattr(HiveClient, "send", watched)
    sending = {"tool": "send", "input": {"to": "bob", "body": "hi"}}
    async with (
        held(tmp_path) as held_up,
        place(tmp_path, {"when": "hello", "steps": [held_up.step, sending, "ok"]}) as here,
    ):
        here.start()
        number = await here.hive.put("hello")
        await here.hive.until(lambda: "tool_call" in here.hive.kinds())
        polls = here.hive.polls
        await here.hive.away()
        held_up.goes_on()
        async with asyncio.timeout(DEADLINE):
            await tried.wait()
        here.hive.refuse = [("POST /v1/outcome", 503)]
        await here.hive.back()
        assert await here.outcomes(1) == ["settled"]
        assert here.hive.outcomes[0].ids == [number]
        assert [one.body for one in here.hive.sent] == ["hi"]
        await here.hive.until(lambda: here.hive.data("turn_end") and here.hive.polls > polls)
        assert here.hive.kinds() == ["turn_start", *["tool_call", "tool_result"] * 2, "text", "turn_end"]
        assert "The hive was away" in here.hive.data("tool_result")[1]["content"]
        assert not here.hive.refuse


async def test_stop_lets_a_turn_end_within_its_grace(tmp_path: Path) -> None:
    async with (
        held(tmp_path) as held_up,
        place(tmp_path, {"when": "slow", "steps": [held_up.step, "said after all"]}) as here,
    ):
        here.start()
        await here.hive.put("slow")
        await here.hive.until(lambda: "tool_call" in here.hive.kinds())
        await here.hive.put("later")
        done = await here.hive.command("stop", graceSeconds=60)
        assert done.ok
        held_up.goes_on()
        async with asyncio.timeout(DEADLINE):
            await here.running[0][1]
        assert await here.outcomes(1) == ["settled"]
        assert [(one.body, one.redelivered) for one in here.hive.queue] == [("later", False)]
        assert here.hive.data("turn_end")


async def test_stop_interrupts_a_turn_that_takes_longer(tmp_path: Path) -> None:
    rule = {"when": "slow", "steps": [{"delay": 60}, "never said"]}
    async with place(tmp_path, rule) as here:
        here.start()
        await here.hive.put("slow")
        await here.model.wait_for("alice")
        await here.hive.command("stop", graceSeconds=0.1)
        async with asyncio.timeout(DEADLINE):
            await here.running[0][1]
        assert await here.outcomes(1) == ["returned"]
        assert not claude_children()


async def test_without_a_claude_program_the_message_waits_and_the_problem_shows(tmp_path: Path) -> None:
    tries = 0

    def find(environment: Mapping[str, str]) -> str:
        nonlocal tries
        tries += 1
        if tries <= 2:
            code = "claude_not_found"
            raise HiveError(code, "there is no claude program: none on the PATH (/nowhere)")
        return find_claude(environment)

    async with place(tmp_path) as here:
        here.find = find
        here.start()
        await here.hive.put("hello")
        assert await here.outcomes(2) == ["returned", "settled"]
        assert any("/nowhere" in str(report.get("problem")) for report in here.hive.reported(state="idle"))


@pytest.mark.parametrize("signals", [(signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)])
async def test_a_signal_returns_the_message_and_ends_the_process(tmp_path: Path, signals: tuple[int, int]) -> None:
    rule = {"when": "slow", "steps": [{"delay": 60}, "never said"]}
    async with place(tmp_path, rule) as here:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "HIVE_SOCKET": str(here.settings.socket),
            "HIVE_STATE": str(here.settings.state),
            "HIVE_SHARED": str(here.settings.shared),
            "CLAUDE_CONFIG_DIR": str(here.settings.claude_config),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hyperhive.harness", env=environment, stderr=asyncio.subprocess.PIPE
        )
        await here.hive.put("slow")
        await here.model.wait_for("alice")
        for number in signals:  # the second one cuts the grace short
            process.send_signal(number)
        async with asyncio.timeout(DEADLINE):
            _, complaints = await process.communicate()
        assert process.returncode == 0, complaints
        assert await here.outcomes(1) == ["returned"]
        assert here.hive.data("turn_end")[0]["outcome"] == "returned"
        assert complaints == b""


async def test_a_message_that_came_while_recv_was_given_up_goes_back_uncounted(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.start()
        await here.hive.until(lambda: here.hive.receiving)
        here.running[0][0].stop(0)
        await here.hive.put("just in time to be missed")
        async with asyncio.timeout(DEADLINE):
            await here.running[0][1]
        assert [request.outcome for request in here.hive.outcomes] in ([], ["returned"], ["settled"])
        assert not here.hive.held


async def test_a_used_up_limit_rests_until_its_reset_or_until_another_login(tmp_path: Path) -> None:
    resets = int(utc_now().timestamp()) + 3600
    headers = {
        "retry-after": "3600",
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": str(resets),
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
        "anthropic-ratelimit-unified-5h-status": "rejected",
        "anthropic-ratelimit-unified-5h-reset": str(resets),
        "anthropic-ratelimit-unified-5h-utilization": "1",
    }
    limit = {"error": {"status": 429, "message": "limit", "headers": headers}, "times": 1}
    async with place(tmp_path, {"when": "hello", "steps": [limit, "ok"]}) as here:
        environment = {key: value for key, value in here.hive.me.environment.items() if key != "ANTHROPIC_API_KEY"}
        here.set(environment=environment | {"CLAUDE_CODE_OAUTH_TOKEN": "made-up-token"})
        here.start()
        await here.hive.put("hello")
        assert await here.outcomes(1) == ["returned"]
        await here.hive.until(lambda: here.hive.reported(state="rate_limited"))
        (rested,) = here.hive.reported(state="rate_limited")
        assert datetime.fromisoformat(rested["until"]).timestamp() == resets
        await here.hive.until(lambda: any("limit is used up" in note["text"] for note in here.hive.data("note")))
        here.set(environment=here.hive.me.environment | {"CLAUDE_CODE_OAUTH_TOKEN": "another-made-up-token"})
        assert await here.outcomes(2) == ["returned", "settled"]


async def test_what_others_write_is_no_command_for_claude(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.start()
        await here.hive.put("/clear")
        assert await here.outcomes(1) == ["settled"]
        assert "Message from bob:\n/clear" in here.model.requests[0].prompt


async def test_cancel_ends_what_a_command_started(tmp_path: Path) -> None:
    command = {"command": f"echo $$ > {tmp_path}/pid; mv {tmp_path}/pid {tmp_path}/began; exec sleep 3600"}
    async with place(tmp_path, {"when": "run", "steps": [{"tool": "Bash", "input": command}, "ok"]}) as here:
        here.start()
        await here.hive.put("run")
        await here.hive.until(lambda: "tool_call" in here.hive.kinds())
        async with asyncio.timeout(DEADLINE):
            while not (tmp_path / "began").exists():  # noqa: ASYNC110
                await asyncio.sleep(0.02)  # nothing tells when a shell has come so far
        began = os.pidfd_open(int((tmp_path / "began").read_text(encoding="ascii")))
        done = await here.hive.command("cancel")
        assert done.ok, done.error
        assert await here.outcomes(1) == ["cancelled"]
        await ended(began, DEADLINE)
