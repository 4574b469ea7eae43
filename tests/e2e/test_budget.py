"""A budget with the real claude: the turn after the last allowed one waits, and runs once the operator allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from swarm import swarm

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO = {
    "agents": {
        "alice": {
            "rules": [
                {
                    "when": "task (?P<n>[0-9])",
                    "steps": [{"tool": "send", "input": {"to": "operator", "body": "did {n}"}}],
                }
            ]
        }
    }
}


async def test_the_turn_after_the_last_one_waits_and_runs_after_a_raise(tmp_path: Path) -> None:
    agents = {"alice": {"budget": {"turns": 2}}}
    async with swarm(tmp_path, SCENARIO, runtime="process", agents=agents) as hive, hive.client() as client:
        for n in (1, 2):
            done = await client.send("alice", f"task {n}")
            await hive.message_to_operator(f"did {n}")
            await hive.settled(done.id)
        await hive.agent_state("alice", "over_budget")
        sent = await client.send("alice", "task 3")

        row = await client.agent("alice")
        assert (row.state, row.unread, row.today.turns) == ("over_budget", 1, 2)
        assert row.today.cost_usd > 0
        assert "2 of 2 turns" in (row.problem or "")
        (item,) = [item for item in await client.waiting() if item.kind == "over_budget"]
        assert (item.id, item.deadline) == ("over_budget-alice", row.until)

        await client.set_budget("alice", turns=3)
        raised = await hive.until(
            lambda e: e.type == "agent" and (e.data["budget"] or {}).get("turns", {}).get("allowed") == 3
        )
        begun = await hive.until(
            lambda e: e.type == "event" and e.data["kind"] == "turn_start" and "task 3" in e.data["data"]["body"]
        )
        assert raised.seq < begun.seq, "nobody was asked anything before that was allowed"
        await hive.message_to_operator("did 3")
        await hive.settled(sent.id)
        await hive.until(
            lambda e: e.type == "agent" and e.data["state"] == "over_budget" and e.data["today"]["turns"] == 3
        )
        (third,) = [message for message in await client.messages(to="alice") if message.id == sent.id]
        assert (third.state, third.deliveries, third.outcome) == ("settled", 1, "settled"), "it waited uncounted"

        found = await client.usage(days=1)
        assert [(one.agent, one.turns, one.failed) for one in found.usage] == [("alice", 3, 0)]
        assert "haiku" in found.usage[0].model
        assert found.usage[0].cost_usd == pytest.approx((await client.agent("alice")).usage.cost_usd)
        assert 'hyperhive_budget_used_ratio{limit="turns",scope="alice"} 1.0' in await client.metrics()
