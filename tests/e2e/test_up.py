"""What a person does by hand with `hyperhive up`, on both embedded runtimes, with the real claude."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from ends import ended, gone
from swarm import PATIENCE, processes_of, start_up, swarm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hyperhive.shapes import StreamEvent

_BOTH = pytest.mark.parametrize("runtime", ["bubblewrap", "process"], indirect=True)
_ANSWER = {"tool": "send", "input": {"to": "operator", "body": "42"}}


def _ends() -> Iterator[Any]:
    """How `up` is ended, where; those in order that are alike are long."""
    for runtime in ("bubblewrap", "process"):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
            short = number == signal.SIGKILL or (runtime, number) == ("bubblewrap", signal.SIGINT)
            yield pytest.param(runtime, number, marks=[] if short else [pytest.mark.long])


def _kind(agent: str, kind: str) -> Callable[[StreamEvent], bool]:
    return lambda e: e.type == "event" and e.data["agent"] == agent and e.data["kind"] == kind


async def test_a_question_is_answered_and_the_turn_is_seen(tmp_path: Path, runtime: str) -> None:
    scenario = {"agents": {"alice": {"otherwise": [{"text": "Let me think."}, _ANSWER, {"text": "Sent."}]}}}
    async with swarm(tmp_path, scenario, runtime=runtime, agents={"alice": {}}) as up, up.client() as client:
        answer = await client.ask("alice", "What is six times seven?", timeout=PATIENCE)
        assert answer.body == "42"
        await up.until(_kind("alice", "turn_end"))
        kinds = [event.kind for event in reversed(await client.events("alice"))]
        assert kinds[0] == "turn_start"
        assert kinds[-1] == "turn_end"
        assert {"text", "tool_call", "tool_result"} <= set(kinds)
        await up.agent_state("alice", "idle")
        # The outcome comes after the report of what was used, so perhaps after the turn is seen to have ended.
        await up.until(lambda e: e.type == "message" and e.data["to"] == "alice" and e.data["state"] == "settled")
        sent = (await client.messages(to="alice"))[0]
        assert (sent.state, sent.outcome, sent.deliveries) == ("settled", "settled", 1)


@_BOTH
async def test_agents_talk_to_each_other(tmp_path: Path, runtime: str) -> None:
    scenario = {
        "agents": {
            "alice": {
                "rules": [
                    {"when": "from operator", "steps": [{"tool": "send", "input": {"to": "bob", "body": "help"}}]},
                    {"when": "from bob", "steps": [{"tool": "send", "input": {"to": "operator", "body": "done"}}]},
                ]
            },
            "bob": {"otherwise": [{"tool": "send", "input": {"to": "alice", "body": "helped"}}]},
        }
    }
    async with swarm(tmp_path, scenario, runtime=runtime, agents={"alice": {}, "bob": {}}) as up, up.client() as client:
        await client.send("alice", "go")
        message = await up.message_to_operator("done")
        assert message["from"] == "alice"
        route = [(row.from_, row.to) for row in reversed(await client.messages())]
        assert route == [("operator", "alice"), ("alice", "bob"), ("bob", "alice"), ("alice", "operator")]


@_BOTH
async def test_killing_the_harness_in_a_turn_brings_the_message_again(tmp_path: Path, runtime: str) -> None:
    scenario: dict[str, Any] = {
        "agents": {
            "alice": {
                "rules": [
                    {"when": "given this message before", "steps": [_ANSWER]},
                    {"when": "", "steps": [{"text": "Thinking about it."}, {"hang": True}]},
                ]
            }
        }
    }
    async with swarm(tmp_path, scenario, runtime=runtime, agents={"alice": {}}) as up, up.client() as client:
        await client.send("alice", "What is six times seven?")
        await up.until(_kind("alice", "turn_start"))
        async with asyncio.timeout(PATIENCE):
            await up.model.wait_for("alice", 1)
        pid = (await client.agent("alice")).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        message = await up.message_to_operator("42")
        assert message["from"] == "alice"
        await up.until(lambda e: e.type == "message" and e.data["to"] == "alice" and e.data["state"] == "settled")
        asked = (await client.messages(to="alice"))[0]
        assert (asked.state, asked.deliveries) == ("settled", 2)


@pytest.mark.parametrize(("runtime", "number"), [*_ends()], indirect=["runtime"])
async def test_nothing_is_left_running_however_up_ends(tmp_path: Path, runtime: str, number: signal.Signals) -> None:
    scenario = {"agents": {"alice": {"otherwise": [{"tool": "Bash", "input": {"command": "setsid cat"}}]}}}
    async with swarm(tmp_path, scenario, runtime=runtime, agents={"alice": {}}) as up, up.client() as client:
        await client.send("alice", "go")
        await up.until(_kind("alice", "tool_call"))
        pid = (await client.agent("alice")).pid
        assert pid is not None
        harness = os.pidfd_open(pid)
        status = await up.end(number)
        assert status == (0 if number != signal.SIGKILL else -signal.SIGKILL)
        await ended(harness, PATIENCE)
        for other in processes_of(up.state_dir):
            await gone(other, PATIENCE)


async def test_a_new_start_goes_on_where_the_killed_one_was(tmp_path: Path, runtime: str) -> None:
    scenario: dict[str, Any] = {
        "agents": {
            "alice": {"rules": [{"when": "again|before", "steps": [_ANSWER]}], "otherwise": [{"hang": True}]},
        }
    }
    async with swarm(tmp_path, scenario, runtime=runtime, agents={"alice": {}}) as up:
        async with up.client() as client:
            await client.send("alice", "What is six times seven?")
            async with asyncio.timeout(PATIENCE):
                await up.model.wait_for("alice", 1)
            await up.end(signal.SIGKILL)
        up.process, up.said = await start_up(up.config, up.state_dir)
        message = await up.message_to_operator("42")
        assert message["from"] == "alice"
