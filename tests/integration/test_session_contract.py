"""The real session with the real `claude` keeps the contracts that the fake one keeps."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest
from broker_bed import DEADLINE
from harness_place import claude_children

from hyperhive import wire
from hyperhive.harness.launch import Abilities, find_claude, plan
from hyperhive.harness.session import Session
from hyperhive.harness.settings import Settings
from hyperhive.testing.contracts.session import CONTRACTS, Subject
from hyperhive.testing.scripted_model import ScriptedModel

if TYPE_CHECKING:
    from pathlib import Path

    from hyperhive.harness.any_session import AnySession
    from hyperhive.testing.contracts.session import Contract

SCRIPT = {
    "rules": [
        {"when": "^slow", "steps": [{"delay": 60}, "never said"]},
        {"when": "^refused", "steps": [{"error": {"status": 400, "message": "nope"}}]},
    ],
    "otherwise": ["Done."],
}


async def crash(_session: AnySession) -> None:
    for child in claude_children():
        os.kill(child.pid, signal.SIGKILL)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
async def test_contract(contract: Contract, tmp_path: Path) -> None:
    for name in ("state", "claude"):
        (tmp_path / name).mkdir()
    settings = Settings(
        socket=tmp_path / "socket", state=tmp_path / "state", shared=tmp_path, claude_config=tmp_path / "claude"
    )
    async with ScriptedModel({"agents": {"alice": SCRIPT}}) as model:
        environment = {"ANTHROPIC_BASE_URL": model.base_url("alice"), "ANTHROPIC_API_KEY": "sk-made-up"}
        me = wire.SelfInfo(
            name="alice",
            role="agent",
            hive="test",
            operator=wire.OperatorInfo(name="Sam"),
            model="haiku",
            environment={**environment, "CLAUDE_CODE_MAX_RETRIES": "1", "HOME": str(tmp_path)},
        )

        async def asked(prompt: str) -> None:
            async with asyncio.timeout(DEADLINE):
                while prompt not in (await model.wait_for("alice", max(1, model.count("alice")))).prompt:
                    await model.wait_for("alice", model.count("alice") + 1)

        def make() -> Session:
            # Without the hive's tools: another server in their place.
            tools = {"type": "http", "url": "http://127.0.0.1:9/mcp"}
            return Session(settings, lambda: tools, lambda _line: None, Abilities())

        subject = Subject(
            make=make,
            launch=plan(me, settings, {}, find_claude({})),
            crash=crash,
            lose=lambda: shutil.rmtree(tmp_path / "claude" / "projects"),
            asked=asked,
            fresh_prompt=await Abilities().fresh_prompt(find_claude({})),
        )
        await contract(subject)
    assert claude_children() == []
