"""Approvals on the dashboard, against the stand-in: what is shown is what is decided about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from api_rows import at
from looking import drawn, expect, open_all
from scenario import HOSTILE, PATCH, SCRIPT, propose

if TYPE_CHECKING:
    from playwright.sync_api import Locator
    from stand_in import Hive

    from conftest import Dashboard

COMMIT = "9a2c7f0" * 5 + "12345"


@pytest.fixture
def proposed(dashboard: Dashboard, hive: Hive) -> Dashboard:
    propose(hive)
    dashboard.open()
    return dashboard


def item(dashboard: Dashboard, number: int) -> Locator:
    """The card of an approval, loaded."""
    found = dashboard.page.locator(f'[data-item="approval-{number}"]')
    found.locator(".approval").wait_for()
    return found


def test_a_change_is_shown_whole_and_approved_by_its_commit(proposed: Dashboard, hive: Hive) -> None:
    shown = item(proposed, 2)
    expect(shown).to_contain_text("proposes a change to alice")
    expect(shown.locator(".line").locator("visible=true").first).to_have_text("diff --git a/agent.nix b/agent.nix")
    expect(shown.locator(".line.added")).to_have_text(
        ["+  environment.systemPackages = [ pkgs.git pkgs.ffmpeg ];", '+  time.timeZone = "Europe/Berlin";']
    )
    expect(shown).to_contain_text("Built, 1.8 GiB · restarts hyperhive-harness.service")
    shown.get_by_role("button", name="What changes in the system").click()
    shown.get_by_text("ffmpeg: ∅ → 7.1").wait_for()
    shown.get_by_role("button", name="Build log").click()
    shown.get_by_text("building ffmpeg...").wait_for()
    shown.get_by_role("button", name="Approve").click()
    shown.get_by_role("button", name="Deploy 9a2c7f09a2?").wait_for()
    assert proposed.asked("POST", "/api/approvals/2/approve") == 0
    shown.get_by_role("button", name="Deploy 9a2c7f09a2?").click()
    shown.wait_for(state="detached")
    assert hive.calls("POST", "/api/approvals/2/approve") == [{"commit": COMMIT}]


def test_a_new_agent_is_denied_with_a_reason_by_the_keyboard_alone(proposed: Dashboard, hive: Hive) -> None:
    shown, page = item(proposed, 1), proposed.page
    for text in ("asks for a new agent, docs", "opus", SCRIPT):
        expect(shown).to_contain_text(text)
    shown.get_by_role("button", name="Deny").focus()
    page.keyboard.press("Enter")
    shown.get_by_text("Say why").wait_for()
    page.keyboard.type("not this month")
    page.keyboard.press("Enter")
    shown.wait_for(state="detached")
    assert hive.calls("POST", "/api/approvals/1/deny") == [{"reason": "not this month"}]
    expect(page.locator("[data-item] :focus")).to_have_count(1)


def test_a_new_agent_is_approved_without_a_commit(proposed: Dashboard, hive: Hive) -> None:
    shown = item(proposed, 1)
    shown.get_by_role("button", name="Approve").click()
    shown.get_by_role("button", name="Make docs?").click()
    shown.wait_for(state="detached")
    assert hive.calls("POST", "/api/approvals/1/approve") == [{}]


def test_what_is_being_built_cannot_be_approved_yet(proposed: Dashboard, hive: Hive) -> None:
    shown = item(proposed, 2)
    hive.change_approval(2, status="building", build={"status": "building", "log": None, "units": []})
    shown.get_by_text("Is being built").wait_for()
    expect(shown.get_by_role("button", name="Approve")).to_have_count(0)
    hive.change_approval(2, status="pending", build={"status": "none", "log": None, "units": []}, stale=True)
    shown.get_by_text("Nothing was built").wait_for()
    shown.get_by_text("compared and built anew").wait_for()
    shown.get_by_role("button", name="Approve").wait_for()


def test_what_is_built_before_anybody_is_asked_is_named_and_what_the_hive_says_of_it_shown(
    dashboard: Dashboard, hive: Hive
) -> None:
    build = {"status": "building", "log": None, "units": []}
    note = f"it cannot be built now, and is tried again {SCRIPT}"
    hive.propose("apply", "alice", status="building", commit=COMMIT, base="b" * 40, diff=PATCH, build=build, note=note)
    hive.wait_for_operator([])
    dashboard.open()
    dashboard.page.get_by_text("Being built before you are asked: alice").wait_for()
    waits = {"id": "approval-1", "kind": "approval", "agent": "alice", "since": at(), "title": "a change", "ref": 1}
    hive.change_approval(1, status="pending", build={"status": "none", "log": None, "units": []})
    hive.wait_for_operator([waits])
    item(dashboard, 1).get_by_text("tried again <script>").wait_for()
    dashboard.page.get_by_text("Being built before").wait_for(state="detached")


def test_who_is_second_is_told_who_was_first_and_keeps_what_was_typed(proposed: Dashboard, hive: Hive) -> None:
    proposed.watch.forgive("409")
    shown = item(proposed, 2)
    shown.get_by_label("Reason").fill("half a reason")
    hive.refuse_next("POST", "/api/approvals/2/approve", code="wrong_state", message="approval 2 was denied by eve")
    shown.get_by_role("button", name="Approve").click()
    shown.get_by_role("button", name="Deploy").click()
    shown.get_by_text("approval 2 was denied by eve").wait_for()
    for number in range(30):
        hive.change_agent("carol", unread=number)
    hive.change_approval(2, description="said better")
    shown.get_by_text("said better").wait_for()
    drawn(proposed.page)
    expect(shown.get_by_label("Reason")).to_have_value("half a reason")


def test_a_long_change_is_fetched_when_it_is_asked_for(dashboard: Dashboard, hive: Hive) -> None:
    long = PATCH + "".join(f"+  line{n} = true;\n" for n in range(4000))
    build = {"status": "none", "log": None, "units": []}
    hive.propose(
        "apply", "alice", commit=COMMIT, base="b" * 40, diff=long, approved="c" * 40, approvedDiff=PATCH, build=build
    )
    dashboard.open()
    shown = item(dashboard, 1)
    shown.get_by_role("button", name="Show all").click()
    shown.get_by_text("line3999 = true;").wait_for()
    assert len(hive.calls("GET", "/api/approvals/1")) == 1
    shown.get_by_role("button", name="last approved").click()
    shown.get_by_text("what was approved last, cccccccccc").wait_for()
    expect(shown.get_by_text("line3999 = true;")).to_have_count(0)


class TestOnAPhone:
    """360 pixels wide."""

    @pytest.fixture
    def context_options(self) -> dict[str, Any]:
        return {"viewport": {"width": 360, "height": 740}}

    def test_hostile_proposals_are_inert_and_push_nothing_apart(self, dashboard: Dashboard, hive: Hive) -> None:
        for text in HOSTILE:
            build = {"status": "ok", "log": text, "units": [text], "sizeBytes": 1}
            spec = {"model": text, "prompt": text}
            hive.propose(
                "apply",
                "alice",
                commit=COMMIT,
                base="b" * 40,
                diff=f"+{text}",
                description=text,
                closureDiff=text,
                build=build,
            )
            hive.propose("spawn", "docs", spec=spec, description=text)
        dashboard.open()
        item(dashboard, 2 * len(HOSTILE))
        open_all(dashboard.page, ".approval button[aria-expanded=false]")
        drawn(dashboard.page)
        assert dashboard.page.evaluate("window.executed") is None
        assert dashboard.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert dashboard.page.locator(".approval").evaluate_all(
            "all => all.every((one) => one.getBoundingClientRect().right <= innerWidth)"
        )
