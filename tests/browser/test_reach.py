"""WCAG A and AA by axe, on both pages, in both colour schemes, with what can be opened opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from looking import card, expect, open_all
from scenario import propose

if TYPE_CHECKING:
    from stand_in import Hive

    from conftest import Dashboard

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()


def violations(dashboard: Dashboard) -> list[tuple[str, list[Any]]]:
    """What axe finds: the rule, and where."""
    dashboard.page.evaluate(AXE)
    found = dashboard.page.evaluate(
        "() => axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })"
    )
    return [
        (one["id"], [(node["target"], node["failureSummary"]) for node in one["nodes"]]) for one in found["violations"]
    ]


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest, dashboard: Dashboard) -> None:
    dashboard.page.emulate_media(color_scheme=request.param, reduced_motion="reduce")


@pytest.mark.usefixtures("scheme")
def test_axe_finds_nothing_on_the_dashboard(dashboard: Dashboard, hive: Hive) -> None:
    hive.journals["alice"] = ["a line"]
    propose(hive)
    dashboard.open()
    page = dashboard.page
    page.get_by_role("button", name="Tombstones").wait_for()
    for name in ("alice", "carol"):
        page.get_by_role("button", name=f"More about {name}").click()
    expect(page.locator(".drawer")).to_have_count(2)
    expect(page.locator(".approval")).to_have_count(2)
    page.get_by_role("button", name="Read the message").wait_for()
    open_all(page, ".approval button[aria-expanded=false]")
    open_all(
        page,
        ".swarm .drawer button[aria-expanded=false]:not(.chip), .tombstones button[aria-expanded=false],"
        " .newcomer[aria-expanded=false]",
    )
    page.locator(".viewer pre").first.wait_for()
    page.locator(".new-agent").wait_for()
    assert violations(dashboard) == []
    page.locator(card("alice")).locator(".agent-link").click()
    page.locator(".event").last.wait_for()
    assert violations(dashboard) == []


@pytest.mark.usefixtures("scheme")
def test_axe_finds_nothing_on_an_agents_page(dashboard: Dashboard, hive: Hive) -> None:
    hive.agents["alice"]["login"] = {
        "phase": "link",
        "since": "2026-01-01T00:00:00Z",
        "url": "https://claude.example/x",
    }
    dashboard.open_agent("alice")
    page = dashboard.page
    page.get_by_role("button", name="Inbox").click()
    page.locator(".login a").wait_for()
    page.locator(".prompt textarea").fill("/frobnicate ")
    page.keyboard.press("Enter")
    page.locator(".event.local.bad").wait_for()
    page.locator(".prompt textarea").fill("/")
    page.get_by_role("listbox").wait_for()
    assert violations(dashboard) == []
    page.get_by_role("button", name="of alice, change").click()
    assert violations(dashboard) == []


def test_axe_finds_nothing_on_the_box_to_sign_in(dashboard: Dashboard) -> None:
    dashboard.page.goto(dashboard.server.url)
    dashboard.page.locator("#token").wait_for()
    assert violations(dashboard) == []
