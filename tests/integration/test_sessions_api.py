"""What an operator does to an agent's Claude, from the API to the commands that its harness polls for, and back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from broker_bed import DEADLINE
from hive_bed import RunningHive, running_hive, short_place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

AGENTS = {"alice": {"model": "haiku"}, "bob": {}}
LINK = "https://claude.ai/oauth/authorize?z-made-up"
CODE = "a-made-up-code#and-its-state"
SINCE = "2026-11-22T18:03:00.000Z"


@pytest_asyncio.fixture
async def hive() -> AsyncIterator[RunningHive]:
    with short_place() as place:
        async with running_hive(place, AGENTS) as running:
            yield running


class Harness:
    """The harness of alice, as far as commands go."""

    def __init__(self, client: httpx.AsyncClient, instance: str = "one") -> None:
        self.client, self.instance = client, instance

    async def poll(self, *, wait: float = 20, running: list[int] | None = None, **more: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        body = {"waitSeconds": wait, "running": running or [], "instance": self.instance, **more}
        async with asyncio.timeout(DEADLINE):
            return (await self.client.post("/v1/commands", json=body)).json()["commands"]

    async def done(
        self,
        command: dict[str, Any],
        *,
        ok: bool = True,
        running: list[int] | None = None,
        **more: Any,  # noqa: ANN401
    ) -> None:
        done = [{"id": command["id"], "ok": ok, **more}]
        assert await self.poll(wait=0, running=running, done=done) == []

    async def report(self, **report: Any) -> int:  # noqa: ANN401
        return (await self.client.post("/v1/report", json=report)).status_code


async def started(hive: RunningHive) -> tuple[Harness, httpx.AsyncClient]:
    alice = Harness(await hive.agent("alice"))
    await alice.poll(wait=0)
    return alice, await hive.operator()


async def test_a_sign_in_goes_step_by_step_and_its_code_is_written_nowhere(
    hive: RunningHive, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    alice, operator = await started(hive)
    for step, body in (("start", {}), ("code", {"code": CODE}), ("cancel", {})):
        asking = asyncio.create_task(operator.post(f"/api/agents/alice/login/{step}", json=body))
        (command,) = await alice.poll()
        assert (command["kind"], command["args"]) == (f"login-{step}", body)
        await alice.done(command)
        answer = await asking
        assert (answer.status_code, answer.json()) == (200, {"ok": True})
    for phase in ({"phase": "link", "url": LINK}, {"phase": "failed", "error": "That code wasn't accepted."}):
        assert await alice.report(login={**phase, "since": SINCE}) == 200
        row = (await operator.get("/api/agents/alice")).json()
        assert row["login"] == {"since": SINCE, "url": None, "error": None, **phase}
    paths = ("audit", "state", "agents/alice/events", "operations")
    seen = [(await operator.get(f"/api/{path}")).json() for path in paths]
    actions = [entry["action"] for entry in seen[0]["audit"]]
    assert actions[:3] == ["login-cancel", "login-code", "login-start"]
    assert CODE not in json.dumps(seen) + caplog.text
    files = [path for path in hive.place.rglob("*") if path.is_file()]
    assert files
    assert not any(CODE.encode() in path.read_bytes() for path in files)


@pytest.mark.parametrize("body", [{"code": ""}, {"code": 7}, {"code": "x" * 2001}, {"kode": "secret-code"}, {}])
async def test_what_is_no_code_is_refused_without_repeating_it(hive: RunningHive, body: dict[str, Any]) -> None:
    operator = await hive.operator()
    answer = await operator.post("/api/agents/alice/login/code", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed")
    assert "secret-code" not in answer.text
    assert "xxx" not in answer.text


@pytest.mark.parametrize(
    "link",
    [
        "https://example.org/",
        "javascript:alert(1)",
        "http://claude.ai/",
        "https://claude.ai.example.org/",
        "https://claude.ai@example.org/",
        "https://claude.ai/\u202e",
        "https://claude.ai/\n",
        "https://claude.ai/" + "x" * 2000,
    ],
)
async def test_an_agent_cannot_show_a_link_to_elsewhere(hive: RunningHive, link: str) -> None:
    alice, operator = await started(hive)
    assert await alice.report(login={"phase": "link", "since": SINCE, "url": link}) == 422
    assert (await operator.get("/api/agents/alice")).json()["login"] is None


async def test_a_sign_in_is_of_one_harness(hive: RunningHive) -> None:
    alice, operator = await started(hive)
    login = {"phase": "link", "since": SINCE, "url": LINK}
    assert await alice.report(instance="one", n=1, state="idle", login=login) == 200
    assert await alice.report(instance="two", n=1, state="idle") == 200
    assert (await operator.get("/api/agents/alice")).json()["login"] is None


async def test_a_refusal_of_the_harness_keeps_its_code_and_its_words(hive: RunningHive) -> None:
    alice, operator = await started(hive)
    for path in ("compact", "new-session", "login/start"):
        asking = asyncio.create_task(operator.post(f"/api/agents/alice/{path}", json={}))
        (command,) = await alice.poll()
        said = {"code": "wrong_state", "message": "a turn is running", "hint": "Wait for its end"}
        await alice.done(command, ok=False, error="a turn is running. Wait for its end", result=said)
        answer = await asking
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["hint"]) == (409, "wrong_state", "Wait for its end")
        assert "'alice': a turn is running" in error["message"]


@pytest.mark.parametrize("said", [None, {}, {"code": "made_up", "message": "m", "hint": "h"}, {"code": 5}])
async def test_a_refusal_in_an_odd_form_is_one_all_the_same(hive: RunningHive, said: object) -> None:
    alice, operator = await started(hive)
    asking = asyncio.create_task(operator.post("/api/agents/alice/compact"))
    (command,) = await alice.poll()
    await alice.done(command, ok=False, error="so it is", result=said)
    error = (await asking).json()["error"]
    assert (error["code"], error["message"]) == ("wrong_state", "'alice': so it is")


async def test_a_model_is_chosen_until_the_settings_name_another(hive: RunningHive) -> None:
    alice, operator = await started(hive)
    asking = asyncio.create_task(operator.post("/api/agents/alice/model", json={"model": "opus"}))
    (command,) = await alice.poll()
    assert (command["kind"], command["args"]) == ("model", {"model": "opus"})
    await alice.done(command, result={"model": "opus"})
    answer = await asking
    assert (answer.status_code, answer.json()["kind"], answer.json()["status"]) == (200, "model", "done")
    assert (await operator.get("/api/agents/alice")).json()["model"] == "opus"
    assert (await operator.get("/api/audit")).json()["audit"][0]["detail"] == "opus"
    assert await alice.report(model="opus", declaredModel="haiku") == 200
    assert (await operator.get("/api/agents/alice")).json()["model"] == "opus"
    # What was chosen against another declaration is not what the next turn uses.
    assert await alice.report(model="opus", declaredModel="sonnet") == 200
    assert (await operator.get("/api/agents/alice")).json()["model"] == "haiku"


async def test_an_unknown_model_is_refused_before_anybody_is_asked(hive: RunningHive) -> None:
    alice, operator = await started(hive)
    answer = await operator.post("/api/agents/alice/model", json={"model": "gpt"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "malformed")
    assert "haiku, opus, sonnet" in error["hint"]
    assert await alice.poll(wait=0) == []


async def test_a_compaction_that_takes_long_keeps_nobody_from_cancelling(hive: RunningHive) -> None:
    alice, operator = await started(hive)
    compacting = asyncio.create_task(operator.post("/api/agents/alice/compact"))
    (first,) = await alice.poll()
    cancelling = asyncio.create_task(operator.post("/api/agents/alice/cancel"))
    (second,) = await alice.poll(running=[first["id"]])
    assert second["kind"] == "cancel"
    await alice.done(second, running=[first["id"]])
    assert (await cancelling).status_code == 200
    await alice.done(first)
    assert (await compacting).json()["status"] == "done"


async def test_a_command_whose_answer_was_lost_comes_again(hive: RunningHive) -> None:
    alice, operator = await started(hive)
    cancelling = asyncio.create_task(operator.post("/api/agents/alice/cancel"))
    (lost,) = await alice.poll()
    (again,) = await alice.poll()
    assert again == lost, "the harness never heard of it"
    assert await alice.poll(wait=0, running=[lost["id"]]) == []
    assert await alice.poll(wait=0, running=[lost["id"]]) == []
    await alice.done(lost)
    assert (await cancelling).status_code == 200
    assert await alice.poll(wait=0) == []


async def test_a_harness_of_another_time_gets_nothing_twice(hive: RunningHive) -> None:
    """One that does not say what runs is not given anything again, and a new one is not asked what the old one was."""
    alice, operator = await started(hive)
    cancelling = asyncio.create_task(operator.post("/api/agents/alice/cancel"))
    (first,) = await alice.poll()
    bare = await alice.client.post("/v1/commands", json={"instance": "one"})
    assert bare.json() == {"commands": []}
    assert await Harness(alice.client, "two").poll(wait=0) == []
    answer = await cancelling
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "agent_not_running")
    assert first["kind"] == "cancel"


async def test_a_poll_that_breaks_off_gives_its_command_to_the_next(hive: RunningHive) -> None:
    alice, operator = await started(hive)
    polling = asyncio.create_task(alice.poll())
    for _ in range(8):  # the daemon is one loop: what was written to it before is under way when it answers
        await operator.get("/healthz")
    cancelling = asyncio.create_task(operator.post("/api/agents/alice/cancel"))
    polling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await polling
    (command,) = await alice.poll()
    await alice.done(command)
    assert (await cancelling).status_code == 200
