"""Both pages against a real hive with the real claude: what an operator does there reaches the agent."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest
from looking import PATIENCE, expect
from real_hive import real_hive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page
    from real_hive import RealHive


@pytest.fixture(scope="module")
def hive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHive]:
    with real_hive(tmp_path_factory.mktemp("hive")) as made:
        yield made


@pytest.fixture
def page(browser: Browser, hive: RealHive) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    made = context.new_page()
    made.set_default_timeout(PATIENCE)
    made.goto(f"{hive.url}/#token={hive.token}")
    made.locator(".connection.live").wait_for()
    yield made
    context.close()


def say(page: Page, text: str) -> None:
    """Write to alice on her page."""
    page.locator(".prompt textarea").fill(text)
    page.locator(".prompt textarea").press("Enter")


def open_alice(page: Page, hive: RealHive) -> None:
    page.goto(f"{hive.url}/agents/alice/")
    page.locator(".connection.live").wait_for()
    page.locator(".state-row .badge", has_text="idle").wait_for()


def test_an_answer_on_the_dashboard_arrives_at_the_agent(page: Page, hive: RealHive) -> None:
    open_alice(page, hive)
    say(page, "please paint the shed")
    page.goto(f"{hive.url}/")
    asked = page.locator(".item[data-kind=question]")
    asked.get_by_text("Which colour?").wait_for()
    asked.get_by_label("blue").check()
    asked.get_by_role("button", name="Answer").click()
    page.get_by_text("so blue").first.wait_for()
    asked.wait_for(state="detached")


def test_a_turn_is_cancelled_in_its_middle(page: Page, hive: RealHive) -> None:
    open_alice(page, hive)
    say(page, "sleep for a minute")
    page.locator("[data-kind=tool_call]", has_text="sleep 60").last.wait_for()
    page.get_by_role("button", name="Cancel the turn of alice").click()
    page.locator(".state-row .badge", has_text="idle").wait_for()
    page.locator("[data-kind=turn_end]", has_text="cancel").last.wait_for()


def test_another_model_serves_the_next_turn(page: Page, hive: RealHive) -> None:
    open_alice(page, hive)
    page.get_by_role("button", name=re.compile("of alice, change")).click()
    page.get_by_role("menuitemradio", name="opus").click()
    page.get_by_role("button", name="model opus of alice").wait_for()
    say(page, "which model are you?")
    page.locator("[data-kind=text]", has_text="The one you chose.").wait_for()
    page.locator(".state-row .badge", has_text="idle").wait_for()
    page.get_by_role("button", name="model opus of alice").wait_for()


def test_an_agent_is_made_on_the_dashboard(page: Page) -> None:
    page.get_by_role("button", name="New agent").click()
    form = page.get_by_role("form", name="New agent")
    form.get_by_label("name").fill("no name")
    form.get_by_label("prompt").fill("You keep the books.")
    form.get_by_label("prompt").press("Tab")
    form.get_by_role("button", name="Make it").press("Enter")
    form.get_by_role("alert").wait_for()
    expect(form.get_by_label("prompt"), "what was typed is still there").to_have_value("You keep the books.")
    form.get_by_label("name").fill("erin")
    form.get_by_label("name").press("Enter")
    page.locator("[data-agent=erin]").wait_for()
    form.wait_for(state="detached")


def propose(page: Page, hive: RealHive, name: str) -> None:
    """Ask for a new agent over the API."""
    headers = {"Authorization": f"Bearer {hive.token}"}
    body = {"name": name, "description": f"{name} could look after the manual", "prompt": "You write."}
    answer = page.request.post(f"{hive.url}/api/spawn-requests", headers=headers, data=body)
    assert answer.status == 201, answer.text()


def test_a_new_agent_is_approved_on_the_dashboard_and_works(page: Page, hive: RealHive) -> None:
    propose(page, hive, "docs")
    card = page.locator(".item[data-kind=approval]")
    card.get_by_text("docs could look after the manual").wait_for()
    card.get_by_role("button", name="Approve").click()
    card.get_by_role("button", name="Make docs?").click()
    card.wait_for(state="detached")
    page.locator("[data-agent=docs][data-state=idle]").wait_for()
    page.locator(".compose textarea").fill("@docs hello")
    page.locator(".compose textarea").press("Enter")
    page.locator("[data-agent=docs] .turn").wait_for()


def test_a_denial_has_a_reason_and_stands_in_the_history(page: Page, hive: RealHive) -> None:
    propose(page, hive, "extra")
    card = page.locator(".item[data-kind=approval]")
    card.get_by_label("Reason for a denial").fill("one of them is enough")
    card.get_by_role("button", name="Deny").click()
    card.wait_for(state="detached")
    page.get_by_role("link", name="History").click()
    page.locator(".decision", has_text="one of them is enough").wait_for()
    expect(page.locator("[data-agent=extra]")).to_have_count(0)


def test_after_the_daemon_was_killed_the_page_comes_back_with_what_was_typed(page: Page, hive: RealHive) -> None:
    open_alice(page, hive)
    prompt = page.locator(".prompt textarea")
    prompt.fill("half a thought")
    hive.end(signal.SIGKILL)
    page.get_by_text("reconnecting").wait_for()
    hive.start()
    page.locator(".connection.live").wait_for()
    page.locator(".state-row .badge", has_text="idle").wait_for()
    expect(prompt).to_have_value("half a thought")
    say(page, "how are you now?")
    page.get_by_text("how are you now?").first.wait_for()
    page.locator("[data-kind=text]", has_text="Still here.").wait_for()
