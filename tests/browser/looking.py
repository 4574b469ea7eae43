"""How the tests look at a page: until it shows what is wanted, and never once and at once.

The page draws what it knows with the next frame, and hears it from a server before that; how long that takes is the
machine's matter. So what has to come is waited for (`expect`, `until`), and what must not come is looked at after
something that comes later was seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Page

try:
    from playwright.sync_api import expect, sync_playwright
except ImportError:
    expect = sync_playwright = None  # type: ignore[assignment]

__all__ = ["FLOW", "PATIENCE", "card", "drawn", "expect", "message", "open_all", "sync_playwright", "until"]

#: Milliseconds after which what has not come never will: a guard against hanging, on the slowest machine there is.
PATIENCE: Final = 60_000
#: The box in which the messages of the dashboard scroll.
FLOW: Final = ".pane-messages .scroll-box"

if expect is not None:
    expect.set_options(timeout=PATIENCE)


def card(name: str) -> str:
    """An agent's row on the dashboard."""
    return f"[data-agent={name}]"


def message(number: int) -> str:
    """A message in the flow of the dashboard."""
    return f".pane-messages [data-message='{number}']"


def until(page: Page, condition: str) -> None:
    """Wait for a condition in the page; `wait_for_function` would need the eval that the policy forbids."""
    page.evaluate(
        f"""() => new Promise((done, fail) => {{
          const end = performance.now() + {PATIENCE};
          const look = () => {{
            if ({condition}) done();
            else if (performance.now() > end) fail(new Error("it did not come"));
            else setTimeout(look, 20);
          }};
          look();
        }})"""
    )


def drawn(page: Page) -> None:
    """Wait until whatever the page has begun to do at once is done and drawn."""
    page.evaluate(
        """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"""
    )


def open_all(page: Page, closed: str) -> None:
    """Press every button that opens something, also those that come to light by it, and wait for what they load."""
    page.evaluate(
        f"""async (closed) => {{
          const end = performance.now() + {PATIENCE};
          const busy = () => [...document.querySelectorAll('p, span, button')]
            .some((one) => one.children.length === 0 && one.textContent.trim() === 'Loading…');
          for (let quiet = 0; quiet < 4; ) {{
            const found = document.querySelectorAll(closed);
            quiet = found.length || busy() ? 0 : quiet + 1;
            for (const button of found) button.click();
            if (performance.now() > end) throw new Error('it does not end');
            await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 20)));
          }}
        }}""",
        closed,
    )
