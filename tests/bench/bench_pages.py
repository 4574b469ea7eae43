"""The figures of the pages: how soon an operator who looks sees what happened.

A real daemon with agents that are connections of ours, and one chromium with many viewers. What the page shows is noted
by the page itself, by the clock that the load has, too: both are on this machine.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

from processes import agent_names, daemon
from raw_client import Line, get, post

try:
    from playwright.async_api import async_playwright
except ImportError:
    async_playwright = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from figures import Results
    from playwright.async_api import Browser, Page
    from processes import Daemon

_AGENTS: Final = 50
_VIEWERS: Final = 10
_EVENTS: Final = 100
_CHANGES: Final = 30
_LOADS: Final = 7
#: Agents, and seconds, of ten events a second each.
_STORMING: Final = 30
_STORM: Final = 60.0
#: Milliseconds until something that should be seen must have been.
_PATIENCE: Final = 200_000
#: Seconds between two things that happen.
_BETWEEN: Final = 0.05
#: Notes when a word that begins with `mark-` is first seen, and when a row first has another state.
_NOTE: Final = """
  window.seen = {};
  const note = (key) => { window.seen[key] ??= Date.now(); };
  new MutationObserver((changes) => {
    for (const { type, target, addedNodes } of changes) {
      if (type === 'attributes') note(`${target.dataset.agent} ${target.dataset.state}`);
      for (const node of addedNodes)
        for (const word of node.textContent.match(/mark-[0-9]+/g) ?? []) note(word);
      if (type === 'characterData') for (const word of target.data.match(/mark-[0-9]+/g) ?? []) note(word);
    }
  }).observe(document, {
    subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ['data-state'],
  });
"""
_READY: Final = """count =>
  document.querySelector('.connection.live') && document.querySelectorAll('li.agent').length >= count"""
#: Frames a second, over so many milliseconds.
_FRAMES: Final = """span => new Promise((done) => {
  let frames = 0;
  const begin = performance.now();
  const frame = (now) => {
    if (now - begin >= span) done((1000 * frames) / (now - begin));
    else { frames += 1; requestAnimationFrame(frame); }
  };
  requestAnimationFrame(frame);
})"""


def why_not_pages() -> str:
    """Why there are no pages to look at; empty where there are."""
    if async_playwright is None:
        return "the Python package playwright is not installed"
    return "" if _chromium() else "there is no chromium"


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


class _Bed:
    """A hive with agents at rest, and what the viewers need."""

    def __init__(self, hive: Daemon, url: str, names: list[str], reports: dict[str, Line]) -> None:
        self.hive, self.names, self._reports, self._numbers = hive, names, reports, 1
        self.address, _, self.token = url.partition("/#token=")

    async def report(self, name: str, state: str) -> float:
        """An agent's harness says how it is; when that was, in milliseconds."""
        self._numbers += 1
        body = {"instance": "bench", "n": self._numbers, "state": state}
        at = time.time() * 1000
        (await self._reports[name].ask(post("/v1/report", body))).json()
        return at

    async def happen(self, name: str, number: int) -> float:
        """Something happens in a turn; when that was, in milliseconds."""
        now = datetime.now(UTC).isoformat()
        event = {"n": number + 1, "at": now, "kind": "text", "turn": 1, "data": {"text": f"mark-{number}"}}
        at = time.time() * 1000
        (await self._reports[name].ask(post("/v1/events", {"instance": "bench", "events": [event]}))).json()
        return at


@asynccontextmanager
async def _bed(directory: Path, count: int) -> AsyncIterator[_Bed]:
    names = agent_names(count)
    settings = {"agents": {name: {} for name in names}, "manager": {"enable": False}}
    async with daemon(directory / "pages", settings) as hive, AsyncExitStack() as stack:
        reports = {}
        for name in names:
            socket = hive.run / "agents" / name / "hive.sock"
            poll, reports[name] = await Line.open(socket), await Line.open(socket)
            stack.callback(poll.close)
            stack.callback(reports[name].close)
            parked = poll.ask(post("/v1/commands", {"waitSeconds": 180, "done": []}))
            parked.add_done_callback(lambda done: done.exception())
        operator = await Line.open(hive.host_socket)
        stack.callback(operator.close)
        url = (await operator.ask(get("/api/dashboard-url"))).json()["url"]
        bed = _Bed(hive, url, names, reports)
        for name in names:
            await bed.report(name, "idle")
        yield bed


async def _viewer(browser: Browser, bed: _Bed, path: str) -> Page:
    page = await (await browser.new_context()).new_page()
    await page.add_init_script(_NOTE)
    page.set_default_timeout(_PATIENCE)
    await page.goto(f"{bed.address}{path}#token={bed.token}")
    await page.locator(".connection.live").wait_for()
    return page


async def _close(pages: list[Page]) -> None:
    for page in pages:
        await page.context.close()


async def _usable(browser: Browser, bed: _Bed, rounds: int) -> list[float]:
    """Seconds from the navigation until all agents are shown and the stream is open, with an empty cache each."""
    found = []
    for _ in range(rounds):
        page = await (await browser.new_context()).new_page()
        page.set_default_timeout(_PATIENCE)
        await page.goto(f"{bed.address}/#token={bed.token}", wait_until="commit")
        await page.wait_for_function(_READY, arg=len(bed.names), polling="raf", timeout=_PATIENCE)
        found.append(await page.evaluate("performance.now()") / 1000)
        await _close([page])
    return found


async def _seen(page: Page, keys: list[str]) -> dict[str, float]:
    await page.wait_for_function("keys => keys.every((key) => window.seen[key])", arg=keys, timeout=_PATIENCE)
    return dict(await page.evaluate("window.seen"))


async def _badges(browser: Browser, bed: _Bed, viewers: int, changes: int) -> list[float]:
    pages = [await _viewer(browser, bed, "/") for _ in range(viewers)]
    began = {}
    for name in bed.names[:changes]:
        began[f"{name} thinking"] = await bed.report(name, "thinking")
        await asyncio.sleep(_BETWEEN)
    found = [(await _seen(page, list(began)))[key] - at for page in pages for key, at in began.items()]
    await _close(pages)
    return found


async def _rows(browser: Browser, bed: _Bed, viewers: int, events: int) -> list[float]:
    name = bed.names[0]
    pages = [await _viewer(browser, bed, f"/agents/{name}/") for _ in range(viewers)]
    began = {}
    for number in range(events):
        began[f"mark-{number}"] = await bed.happen(name, number)
        await asyncio.sleep(_BETWEEN)
    found = [(await _seen(page, list(began)))[key] - at for page in pages for key, at in began.items()]
    await _close(pages)
    return found


async def _storm(browser: Browser, bed: _Bed, agents: int, seconds: float) -> tuple[float, float, float]:
    """Ten events a second of each agent: frames a second in the middle, and MiB of the page's heap there and after."""
    page = await _viewer(browser, bed, "/")
    tools = await page.context.new_cdp_session(page)

    async def heap() -> float:
        await tools.send("HeapProfiler.collectGarbage")
        metrics = (await tools.send("Performance.getMetrics"))["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "JSHeapUsedSize")) / 1024**2

    async def events(name: str) -> None:
        for number in range(1000, 1000 + int(seconds * 10)):
            begun = time.monotonic()
            await bed.happen(name, number)
            await asyncio.sleep(max(0.0, begun + 0.1 - time.monotonic()))

    await tools.send("Performance.enable")
    async with asyncio.TaskGroup() as group:
        for name in bed.names[:agents]:
            group.create_task(events(name))
        await asyncio.sleep(seconds / 3)
        middle = await heap()
        frames = float(await page.evaluate(_FRAMES, 1000 * seconds / 3))
    after = await heap()
    await _close([page])
    return frames, middle, after


def _percentile(values: list[float], hundredths: int) -> float:
    return quantiles(values, n=100, method="inclusive")[hundredths - 1]


async def pages(results: Results, directory: Path, *, quick: bool) -> None:
    """All figures of the pages."""
    if why := why_not_pages():
        results.not_run["pages"] = why
        return
    agents, viewers, few = (5, 2, 3) if quick else (_AGENTS, _VIEWERS, None)
    async with _bed(directory, agents) as bed, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_chromium(), args=["--disable-gpu"])
        results.add("usable", await _usable(browser, bed, few or _LOADS))
        badges = await _badges(browser, bed, viewers, few or _CHANGES)
        rows = await _rows(browser, bed, viewers, few or _EVENTS)
        frames, middle, after = await _storm(browser, bed, few or _STORMING, few or _STORM)
        await browser.close()
    results.add("badge_p95", [_percentile(badges, 95)])
    results.add("badge", [median(badges)])
    results.add("row_p95", [_percentile(rows, 95)])
    results.add("row", [median(rows)])
    results.add("storm_frames", [frames])
    results.add("storm_heap", [middle])
    results.add("storm_heap_after", [after])
