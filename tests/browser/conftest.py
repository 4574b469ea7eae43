"""Browser, stand-in and page for the tests of this directory."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from looking import PATIENCE, drawn, sync_playwright
from scenario import populate
from stand_in import TOKEN, Hive, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


# Not for the session: playwright's loop counts as running in this thread until it is stopped, and the asynchronous
# tests of other directories could not start theirs.
@pytest.fixture(scope="module")
def browser(require_tier: Callable[[str, object, str], None]) -> Iterator[Browser]:
    """One chromium for the tests of a module."""
    require_tier("browser", sync_playwright, "the Python package playwright is not installed")
    require_tier("browser", CHROMIUM, "there is no chromium (Debian: apt-get install --no-install-recommends chromium)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def hive() -> Hive:
    """A populated hive."""
    made = Hive()
    populate(made)
    return made


@pytest.fixture
def server(hive: Hive) -> Iterator[Server]:
    """The stand-in, listening."""
    made = Server(hive)
    made.start()
    yield made
    made.stop(wait=False)


@dataclass
class Watch:
    """What must not happen on a page."""

    complaints: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    #: What the page has asked for: method and path, in order.
    requests: list[tuple[str, str]] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def forgive(self, word: str) -> None:
        """Take complaints with this word as part of the test, whenever they come."""
        self.expected.append(word)

    def unexpected(self) -> list[str]:
        """The other complaints."""
        return [text for text in self.complaints if not any(word in text for word in self.expected)]


@dataclass
class Dashboard:
    """An open page, and what went wrong on it."""

    page: Page
    watch: Watch
    server: Server

    def open(self, fragment: str = f"#token={TOKEN}") -> None:
        """Load the page and wait until it is live."""
        self.page.goto(f"{self.server.url}/{fragment}")
        self.live()

    def open_agent(self, name: str, fragment: str = f"#token={TOKEN}") -> None:
        """Load an agent's page below the dashboard and wait until it is live and has the record."""
        self.page.goto(f"{self.server.url}/agents/{name}/{fragment}")
        self.live()
        self.page.locator(".earlier > :not(.problem)").first.wait_for(state="attached")

    def first_load(self, path: str, *buttons: str) -> dict[str, int]:
        """What a page loads by itself until it shows these buttons, and the bytes of each file as gzip packs them."""
        asked: list[Request] = []

        def keep(request: Request) -> None:
            asked.append(request)

        self.page.on("request", keep)
        self.page.goto(f"{self.server.url}{path}")
        self.live()
        for name in buttons:
            self.page.get_by_role("button", name=name).wait_for()
        found = [request.response() for request in list(asked) if "/api/" not in request.url]
        return {urlsplit(one.url).path: len(gzip.compress(one.body())) for one in found if one is not None}

    def live(self) -> None:
        """Wait until what is shown is what is so."""
        self.page.locator(".connection.live").wait_for()
        self.page.locator("[data-phase=ready]").wait_for()

    def asked(self, method: str, path: str) -> int:
        """How often the page has asked for something by now, whether or not that has come to the server."""
        drawn(self.page)
        return self.watch.requests.count((method, path))


def watched(context: BrowserContext) -> tuple[Page, Watch]:
    """A page that remembers every complaint of the browser."""
    page = context.new_page()
    watch = Watch()

    def on_console(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            watch.complaints.append(message.text)

    def on_dialog(dialog: Dialog) -> None:
        watch.dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("console", on_console)
    page.on("pageerror", lambda error: watch.complaints.append(str(error)))
    page.on("dialog", on_dialog)
    page.on("request", lambda request: watch.requests.append((request.method, urlsplit(request.url).path)))
    return page, watch


@pytest.fixture
def context_options() -> dict[str, Any]:
    """Overridden where a test needs another window."""
    return {"viewport": {"width": 1280, "height": 860}}


@pytest.fixture
def dashboard(browser: Browser, server: Server, context_options: dict[str, Any]) -> Iterator[Dashboard]:
    """A page in a fresh profile, not loaded yet; at the end nothing may have been complained about."""
    context = browser.new_context(**context_options)
    context.set_default_timeout(PATIENCE)
    page, watch = watched(context)
    yield Dashboard(page, watch, server)
    context.close()
    assert watch.dialogs == []
    assert watch.unexpected() == []
