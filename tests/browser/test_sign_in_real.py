"""Signing an agent in on its page: a real hive, the real `claude auth login`, a stand-in for the hosts behind it."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from looking import PATIENCE, expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator, Page


@contextmanager
def hive_with_hosts(directory: Path, *more: str) -> Iterator[str]:
    """The dashboard's address of a hive whose agent carol has no login."""
    command = [sys.executable, str(Path(__file__).with_name("sign_in_hive.py")), str(directory), *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def open_card(page: Page, address: str) -> Locator:
    """Open carol's page by what waits for the operator."""
    page.goto(address)
    page.get_by_role("link", name="Sign carol in").click()
    return page.locator(".login")


def begin(page: Page, address: str) -> Locator:
    """Start a sign-in, and wait for its link."""
    card = open_card(page, address)
    card.get_by_role("button", name="Start the sign-in").click()
    card.locator("ol.steps a").wait_for()
    return card


def give(card: Locator, code: str) -> None:
    """Paste what the page behind the link would have shown."""
    link = card.locator("ol.steps a").get_attribute("href") or ""
    assert link.startswith("https://claude.com/")
    card.locator("#login-code").fill(f"{code}#{parse_qs(urlsplit(link).query)['state'][0]}")
    card.get_by_role("button", name="Sign carol in").click()


def test_a_wrong_code_a_cancel_and_then_the_right_code(page: Page, tmp_path: Path) -> None:
    with hive_with_hosts(tmp_path) as address:
        card = begin(page, address)
        give(card, "wrong")
        card.get_by_text("wasn't accepted").wait_for()
        card.get_by_role("button", name="Try again").click()
        card.locator("ol.steps a").wait_for()
        card.get_by_role("button", name="Cancel the sign-in").click()
        card.get_by_text("The last sign-in was cancelled").wait_for()
        page.locator(".prompt textarea").fill("are you there?")
        page.locator(".prompt textarea").press("Enter")
        card.get_by_role("button", name="Try again").click()
        card.locator("ol.steps a").wait_for()
        give(card, "right")
        card.get_by_text("Signed in.").wait_for()
        # What was written before she had a login was kept, and is done now.
        page.locator("[data-kind=text]", has_text="Well.").last.wait_for()
        page.goto(address.partition("#")[0])
        page.locator("[data-agent=carol][data-state=idle]").wait_for()
        expect(page.locator(".item[data-kind=needs_login]")).to_have_count(0)


def test_a_sign_in_that_takes_too_long_is_ended_and_shown(page: Page, tmp_path: Path) -> None:
    # The first one gets so little time, and the next one as much as always.
    with hive_with_hosts(tmp_path, "0.5") as address:
        card = open_card(page, address)
        card.get_by_role("button", name="Start the sign-in").click()
        card.get_by_text("took too long and was ended").wait_for()
        card.get_by_role("button", name="Try again").click()
        card.locator("ol.steps a").wait_for()
