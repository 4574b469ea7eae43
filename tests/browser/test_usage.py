"""What the swarm uses, on the dashboard and on an agent's page, against the stand-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api_rows import at, budget, spent
from looking import drawn, expect
from scenario import LONG_LINE, SCRIPT

if TYPE_CHECKING:
    from stand_in import Hive

    from conftest import Dashboard


def use(hive: Hive) -> None:
    """Two days of two agents, and a hive's budget."""
    for ago, day, agent, model in (
        (0, "2026-11-27", "alice", "claude-sonnet-4-5"),
        (0, "2026-11-27", "bob", "claude-haiku-4-5"),
        (8, "2026-11-19", "alice", "claude-sonnet-4-5"),
    ):
        row = spent(turns=12, failed=1, inputTokens=45_200, outputTokens=9100, cacheReadTokens=1_200_000, costUsd=0.42)
        hive.used.append({**row, "ago": ago, "day": day, "agent": agent, "model": model})
    hive.usage = {"today": spent(turns=24, costUsd=0.84), "budget": budget(0.84, 5)}


def test_usage_by_day_agent_and_model_with_totals(dashboard: Dashboard, hive: Hive) -> None:
    use(hive)
    dashboard.open()
    page = dashboard.page
    page.get_by_role("link", name="Usage").click()
    page.get_by_text("Today $0.84 in 24 turns of all agents.").wait_for()
    table = page.locator(".figures")
    table.get_by_text("2026-11-27, today").wait_for()
    total = "in all 24 (2 ✗) 90.4k 2.4M 18.2k $0.84"
    expect(table.locator("tr.total")).to_have_text(total, use_inner_text=True)
    page.get_by_role("button", name="30 days").click()
    table.get_by_text("2026-11-19").wait_for()
    page.get_by_label("Allow dollars today").fill("12.5")
    page.keyboard.press("Enter")
    page.get_by_text("$0.84 of $12.50 (changed for today)").wait_for()
    assert hive.calls("POST", "/api/budget") == [{"today": {"usd": 12.5}}]


def test_an_agent_over_its_budget_is_allowed_more_where_it_waits(dashboard: Dashboard, hive: Hive) -> None:
    over = budget(2.1, 2)
    hive.agents["alice"] |= {
        "state": "over_budget",
        "budget": over,
        "until": over["until"],
        "today": spent(costUsd=2.1),
    }
    item = {"id": "over_budget-alice", "kind": "over_budget", "agent": "alice", "since": at(minutes=2)}
    hive.waiting.append(
        {**item, "title": "alice has used up today's budget", "ref": "alice", "deadline": over["until"]}
    )
    dashboard.open()
    page = dashboard.page
    page.locator("[data-agent=alice]").get_by_text("105 %").wait_for()
    page.locator("[data-agent=alice] .until").wait_for()
    waits = page.locator("[data-kind=over_budget]")
    waits.get_by_text("$2.10 of $2.00").wait_for()
    waits.get_by_label("Allow dollars today").focus()
    page.keyboard.type("4")
    page.keyboard.press("Enter")
    waits.wait_for(state="detached")
    assert hive.calls("POST", "/api/agents/alice/budget") == [{"today": {"usd": 4}}]
    page.locator("[data-agent=alice][data-state=idle]").wait_for()


def test_a_held_agent_is_resumed_and_a_warning_dismissed(dashboard: Dashboard, hive: Hive) -> None:
    for kind, name in (("hold", "alice"), ("budget_warning", "bob"), ("login_expiry", "carol")):
        item = {"id": f"{kind}-{name}", "kind": kind, "agent": name, "since": at(minutes=2), "ref": name}
        hive.waiting.append({**item, "title": f"something of {name}"})
    hive.agents["bob"]["budget"] = budget(1.7, 2)
    dashboard.open()
    page = dashboard.page
    page.get_by_role("link", name="Sign carol in").wait_for()
    page.locator("[data-kind=hold]").get_by_role("button", name="Resume alice").click()
    page.locator("[data-agent=alice][data-state=idle]").wait_for()
    assert len(hive.calls("POST", "/api/agents/alice/resume")) == 1
    page.locator("[data-kind=budget_warning]").get_by_role("button", name="Dismiss").click()
    page.locator("[data-kind=budget_warning]").wait_for(state="detached")


def test_an_agents_page_shows_what_it_used_today_and_its_budget(dashboard: Dashboard, hive: Hive) -> None:
    hive.agents["alice"] |= {
        "usage": spent(costUsd=7.5, turns=40),
        "today": spent(costUsd=1.7),
        "budget": budget(1.7, 2),
    }
    dashboard.open_agent("alice")
    chips = dashboard.page.locator(".state-row")
    chips.get_by_text("$7.50 · today $1.70").wait_for()
    chips.get_by_text("budget 85 %").wait_for()


def test_hostile_names_of_models_are_inert(dashboard: Dashboard, hive: Hive) -> None:
    use(hive)
    for text in (SCRIPT, LONG_LINE):
        hive.used.append({**spent(turns=1), "ago": 0, "day": "2026-11-27", "agent": "alice", "model": text})
    dashboard.page.set_viewport_size({"width": 360, "height": 740})
    dashboard.open()
    page = dashboard.page
    page.get_by_role("link", name="Usage").click()
    page.locator(".figures tr").nth(5).wait_for()
    drawn(page)
    assert page.evaluate("window.executed") is None
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
