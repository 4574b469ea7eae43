"""One agent's page in a real browser, against the stand-in: below the dashboard, and on a port of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from api_rows import agent, at
from looking import drawn, expect, until
from scenario import BIDI, HOSTILE, LONG_LINE, SCRIPT
from stand_in import PAGE_TOKEN, TOKEN, Hive, Server

if TYPE_CHECKING:
    from conftest import Dashboard

PROMPT = ".prompt textarea"


def say(dashboard: Dashboard, text: str) -> None:
    dashboard.page.locator(PROMPT).fill(text)
    dashboard.page.locator(PROMPT).press("Enter")


# --- the way in


def test_on_its_own_port_it_has_a_token_of_its_own(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.watch.forgive("401")
    alone = Server(hive, alone="alice")
    alone.start()
    page = dashboard.page
    page.goto(alone.url)
    page.get_by_text("hyperhive dashboard-url alice").wait_for()
    page.locator("#token").fill(f"{alone.url}/#token={PAGE_TOKEN}")
    page.keyboard.press("Enter")
    dashboard.live()
    expect(page).not_to_have_url(re.compile("token"))
    assert page.evaluate("Object.keys(localStorage)") == ["hyperhive.token.alice"]
    say(dashboard, "over your own port")
    page.get_by_text("message 16", exact=True).wait_for()
    page.reload()
    dashboard.live()
    page.goto(f"{alone.url}/#token={TOKEN}")
    page.get_by_text("not accepted").wait_for()
    alone.stop()


def test_below_the_dashboard_the_operators_token_is_used(dashboard: Dashboard) -> None:
    dashboard.open()
    dashboard.page.get_by_role("link", name="Sign bob in").click()
    expect(dashboard.page).to_have_url(f"{dashboard.server.url}/agents/bob/")
    dashboard.live()
    expect(dashboard.page).to_have_title("bob · apiary")
    dashboard.page.get_by_role("link", name="apiary").click()
    dashboard.page.locator(".waiting").wait_for()


# --- what it shows


def test_the_state_row_follows_the_agent(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open_agent("manager")
    page, row = dashboard.page, dashboard.page.locator(".state-row")
    expect(row.locator(".badge")).to_have_text(re.compile(r"^\s*idle"))
    for word in ("45.2k", "$1.94", "last turn well in 42s"):
        expect(row).to_contain_text(word)
    hive.change_agent("manager", state="thinking", statusText="reading")
    page.get_by_role("button", name="Cancel the turn of manager").click()
    row.locator(".badge", has_text="idle").wait_for()
    assert len(hive.calls("POST", "/api/agents/manager/cancel")) == 1
    expect(page.get_by_role("button", name="Cancel the turn of manager")).to_have_count(0)


def test_the_model_is_changed_in_two_presses_or_by_keys(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.watch.forgive("422")
    dashboard.open_agent("alice")
    chip = dashboard.page.get_by_role("button", name=re.compile("of alice, change"))
    chip.click()
    dashboard.page.get_by_role("menuitemradio", name="opus").click()
    _model_is(dashboard, "opus")
    chip.press("Enter")
    dashboard.page.keyboard.press("ArrowUp")
    dashboard.page.keyboard.press("Enter")
    _model_is(dashboard, "sonnet")
    assert hive.calls("POST", "/api/agents/alice/model") == [{"model": "opus"}, {"model": "sonnet"}]
    chip.click()
    dashboard.page.get_by_role("textbox", name="Another model").fill("gpt")
    dashboard.page.keyboard.press("Enter")
    dashboard.page.get_by_text("There are: haiku, sonnet, opus").wait_for()


def _model_is(dashboard: Dashboard, model: str) -> None:
    """Wait until that is so, and not only asked for."""
    expect(dashboard.page.locator(".picker .spinner")).to_have_count(0)
    dashboard.page.get_by_role("button", name=f"model {model} of alice").wait_for()


def test_the_terminal_shows_changes_as_a_diff_and_talk_as_words(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open_agent("alice")
    page = dashboard.page
    lines = page.locator("[data-kind=tool_call]", has_text="bisect.md").locator(".line")
    expect(lines.filter(has_text=re.compile(r"^\s*[+-]"))).to_have_text(
        ["- bad: 3", "- left: 9", "+ bad: 4", "+ next: 4f2a", "+ left: 8"]
    )
    expect(page.locator(".talk", has_text="On it.")).to_contain_text("manager")
    new = {"file_path": "/state/new.md", "content": "\n".join(f"row {n}" for n in range(60))}
    hive.happen("alice", "tool_call", {"id": "w", "name": "Write", "input": new})
    written = page.locator("[data-kind=tool_call]", has_text="new.md")
    written.get_by_role("button", name="Show all · 60 lines").click()
    written.get_by_text("+ row 59").wait_for()
    hive.happen("alice", "compacted", {"trigger": "auto", "preTokens": 150_000})
    page.get_by_text("trigger auto · pre tokens 150000").wait_for()


def test_mail_opens_and_shows_what_became_of_each_message(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open_agent("bob")
    page = dashboard.page
    page.get_by_role("button", name="Inbox 2 waiting").click()
    rows = page.locator(".mail .message")
    expect(rows).to_have_count(2)
    fresh = hive.arrive("alice", "bob", "one more")
    page.get_by_role("button", name="Inbox 3 waiting").wait_for()
    expect(rows.first.locator(".body")).to_have_text("one more")
    hive.change_message(fresh["id"], state="settled", outcome="settled", settledAt=at())
    page.get_by_role("button", name="Inbox 2 waiting").wait_for()
    rows.first.locator(".fate", has_text="done").wait_for()


def test_it_stays_where_somebody_reads_and_counts_what_is_new(dashboard: Dashboard, hive: Hive) -> None:
    for number in range(80):
        hive.happen("alice", "text", {"text": f"line {number}"})
    dashboard.open_agent("alice")
    page = dashboard.page
    box = page.locator(".terminal .scroll-box")
    gap = "box => box.scrollHeight - box.scrollTop - box.clientHeight"
    drawn(page)
    hive.happen("alice", "text", {"text": "followed"})
    page.get_by_text("followed").wait_for()
    drawn(page)
    assert box.evaluate(gap) < 2
    box.evaluate("box => { box.scrollTop = 600 }")
    page.get_by_role("button", name="To the newest").wait_for()
    drawn(page)
    where = page.get_by_text("line 30", exact=True).bounding_box()
    for number in range(7):
        hive.happen("alice", "text", {"text": f"unseen {number}"})
    page.get_by_role("button", name="7 new").wait_for()
    drawn(page)
    assert page.get_by_text("line 30", exact=True).bounding_box() == where
    page.get_by_role("button", name="7 new").click()
    page.get_by_role("button", name="new").wait_for(state="detached")
    drawn(page)
    assert box.evaluate(gap) < 2


#: The most rows that one rendering has added.
_MOST_AT_ONCE = """
  window.most = 0;
  let before = 0;
  new MutationObserver(() => {
    const rows = document.querySelectorAll('.event').length;
    window.most = Math.max(window.most, rows - before);
    before = rows;
  }).observe(document, { subtree: true, childList: true });
"""


def test_two_thousand_rows_are_there_and_few_of_them_drawn(dashboard: Dashboard, hive: Hive) -> None:
    for number in range(2000):
        hive.happen("bob", "tool_call", {"name": "Bash", "input": {"command": f"make target-{number}"}})
    dashboard.page.add_init_script(_MOST_AT_ONCE)
    dashboard.open_agent("bob")
    page = dashboard.page
    page.get_by_text("make target-1999").wait_for()
    assert page.locator(".event").count() <= 700
    page.evaluate("window.first = () => document.querySelector('.events').innerText.includes('make target-0\\n')")
    until(page, "(document.querySelector('.terminal .scroll-box').scrollTop = 0) || window.first()")
    page.get_by_text("make target-0", exact=True).wait_for(state="attached")
    # A rendering never draws many at once, whatever is known; what that takes is the machine's matter.
    assert 200 <= page.evaluate("window.most") <= 700


# --- the prompt


def test_enter_sends_shift_enter_breaks_the_line_and_arrows_bring_back(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open_agent("bob")
    page, box = dashboard.page, dashboard.page.locator(PROMPT)
    box.fill("first")
    box.press("Shift+Enter")
    page.keyboard.type("second")
    page.keyboard.press("Enter")
    page.get_by_text("message 16", exact=True).wait_for()
    say(dashboard, "another")
    page.get_by_text("message 17", exact=True).wait_for()
    assert [one["body"] for one in hive.calls("POST", "/api/agents/bob/messages")] == ["first\nsecond", "another"]
    box.fill("a draft")
    steps = (("Up", "another"), ("Up", "first\nsecond"), ("Up", "first\nsecond"), ("Down", "first\nsecond"))
    for key, text in (*steps, ("Down", "another"), ("Down", "a draft")):
        box.press(f"Arrow{key}")
        expect(box, key).to_have_value(text)
    page.evaluate(
        """box => document.querySelector(box).dispatchEvent(
             new KeyboardEvent('keydown', { key: 'Enter', keyCode: 229, bubbles: true, cancelable: true }))""",
        PROMPT,
    )
    assert dashboard.asked("POST", "/api/agents/bob/messages") == 2
    expect(box).to_have_value("a draft")
    page.reload()
    dashboard.live()
    expect(box).to_have_value("a draft")


def test_commands_complete_do_what_they_say_and_unknown_ones_are_a_row(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.watch.forgive("409")
    dashboard.open_agent("alice")
    page, box = dashboard.page, dashboard.page.locator(PROMPT)
    say(dashboard, "/help")
    page.locator(".event.local", has_text="/new-session").wait_for()
    say(dashboard, "/clear ")
    page.locator(".event").first.wait_for(state="detached")
    say(dashboard, "/frobnicate now")
    page.locator(".event.local.bad").get_by_text("There is no command /frobnicate").wait_for()
    say(dashboard, "/compact ")
    page.locator(".event.local.bad").get_by_text("alice is thinking").wait_for()
    say(dashboard, "/cancel ")
    page.locator(".event.local").get_by_text("The turn is cancelled").wait_for()
    box.fill("")
    page.keyboard.type("/mo")
    page.get_by_role("option", name="/model").wait_for()
    page.keyboard.press("Tab")
    expect(box).to_have_value("/model ")
    page.keyboard.type("op")
    page.get_by_role("option", name="/model opus").wait_for()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.locator(".event.local").get_by_text("The next turn uses opus").wait_for()
    say(dashboard, "/new-session ")
    page.locator(".event.local").get_by_text("begins a new session").wait_for()
    assert dashboard.asked("POST", "/api/agents/alice/messages") == 0
    assert len(hive.calls("POST", "/api/agents/alice/new-session")) == 1
    hive.happen("alice", "text", {"text": "after the clearing"})
    page.locator(".event").get_by_text("after the clearing").wait_for()


def test_a_message_whose_answer_got_lost_is_not_sent_twice(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.watch.forgive("ERR_")
    dashboard.open_agent("bob")
    path = "/api/agents/bob/messages"
    hive.losses.add(("POST", path))
    say(dashboard, "only once")
    dashboard.page.locator(".prompt [role=alert]").wait_for()
    expect(dashboard.page.locator(PROMPT)).to_have_value("only once")
    dashboard.page.locator(PROMPT).press("Enter")
    dashboard.page.get_by_text("message 16", exact=True).wait_for()
    first, second = hive.calls("POST", path)
    assert first == second
    assert len(hive.messages) == 16


# --- signing in


def test_signing_in_goes_from_start_to_link_to_code_to_done(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open_agent("bob")
    page, card = dashboard.page, dashboard.page.locator(".login")
    link = "https://claude.example/oauth/authorize?code=true&state=1"
    card.get_by_role("button", name="Start the sign-in").click()
    card.get_by_text("Starting the sign-in…").wait_for()
    hive.change_agent("bob", login={"phase": "link", "since": at(), "url": link, "error": "that was no code"})
    card.get_by_text("that was no code").wait_for()
    expect(card.get_by_role("link", name=link)).to_have_attribute("rel", "noopener noreferrer")
    card.get_by_role("textbox").fill(" the-code ")
    page.keyboard.press("Enter")
    card.get_by_text("Checking the code…").wait_for()
    assert hive.calls("POST", "/api/agents/bob/login/code") == [{"code": "the-code"}]
    hive.change_agent("bob", login={"phase": "failed", "since": at(), "error": "the code was not accepted"})
    card.get_by_text("The last sign-in failed: the code was not accepted").wait_for()
    card.get_by_role("button", name="Try again").click()
    card.get_by_role("button", name="Cancel the sign-in").click()
    card.get_by_text("The last sign-in was cancelled").wait_for()
    hive.change_agent("bob", login={"phase": "expired", "since": at()})
    card.get_by_text("took too long").wait_for()
    hive.change_agent("bob", state="idle", login={"phase": "done", "since": at()})
    card.get_by_text("Signed in.").wait_for()
    card.get_by_role("button", name="Dismiss").click()
    card.wait_for(state="detached")


def test_an_address_that_is_no_web_address_is_not_a_link(dashboard: Dashboard, hive: Hive) -> None:
    hive.agents["bob"]["login"] = {"phase": "link", "since": at(), "url": "javascript:window.executed=1"}
    dashboard.open_agent("bob")
    dashboard.page.locator(".login code").wait_for()
    expect(dashboard.page.locator(".login a")).to_have_count(0)


# --- nothing is taken away, nothing acts


def test_what_is_typed_stays_while_events_arrive(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open_agent("alice")
    page, box = dashboard.page, dashboard.page.locator(PROMPT)
    result = page.locator("[data-kind=tool_result]").first
    result.get_by_role("button", name="40 lines").click()
    box.fill("half a thought")
    box.evaluate("box => box.setSelectionRange(4, 6)")
    for number in range(30):
        hive.happen("alice", "text", {"text": f"event {number}"})
        hive.change_agent("alice", statusText=f"status {number}")
        hive.arrive("manager", "alice", f"mail {number}")
    page.get_by_text("event 29").wait_for(state="attached")
    # The record is loaded anew then, and put in the place of what is shown.
    with page.expect_response(lambda response: "/events?" in response.url):
        hive.emit("resync", {})
    hive.happen("alice", "text", {"text": "after the resync"})
    page.get_by_text("after the resync").wait_for(state="attached")
    expect(box).to_have_value("half a thought")
    assert box.evaluate("box => [document.activeElement === box, box.selectionStart, box.selectionEnd]") == [True, 4, 6]
    expect(result.locator("pre")).to_be_visible()


def test_a_break_is_shown_and_ends_with_what_was_missed(dashboard: Dashboard, server: Server, hive: Hive) -> None:
    dashboard.watch.forgive("ERR_")
    dashboard.open_agent("alice")
    page = dashboard.page
    server.stop()
    page.get_by_text("reconnecting").wait_for()
    hive.loop, hive.epoch, hive.seq = None, 2, 0
    hive.ring.clear()
    hive.agents["alice"] = agent("alice", "idle", statusText="all done")
    hive.happen("alice", "text", {"text": "said meanwhile"})
    server.start()
    dashboard.live()
    page.locator(".state-row").get_by_text("all done").wait_for()
    page.locator(".event").get_by_text("said meanwhile").wait_for()


class TestHostileTexts:
    """Everything that an agent wrote, everywhere, on a narrow screen."""

    @pytest.fixture
    def context_options(self) -> dict[str, Any]:
        return {"viewport": {"width": 360, "height": 740}}

    def test_they_are_inert_and_push_nothing_apart(self, dashboard: Dashboard, hive: Hive) -> None:
        for text in HOSTILE:
            hive.happen("bob", "tool_call", {"name": "Edit", "input": _edit(text)})
            hive.happen("bob", "tool_call", {"name": "Write", "input": {"file_path": text[:2000], "content": text}})
            hive.happen("bob", "tool_call", {"name": "mcp__hyperhive__send", "input": {"to": text, "body": text}})
            hive.happen("bob", "tool_call", {"name": "mcp__hyperhive__ask", "input": _ask(text)})
            hive.happen("bob", "model_changed", {"model": text, text[:40]: text})
            hive.happen("bob", "turn_end", {"ok": False, "note": text})
            hive.ask("bob", text, options=[text, SCRIPT])
            hive.arrive("bob", "operator", text)
        login = {"phase": "failed", "since": at(), "error": LONG_LINE + SCRIPT}
        turn = {"endedAt": at(), "ok": False, "durationMs": 3, "note": SCRIPT + LONG_LINE}
        hive.agents["bob"] |= {
            "statusText": LONG_LINE,
            "model": SCRIPT,
            "problem": BIDI,
            "login": login,
            "lastTurn": turn,
        }
        hive.warnings = list(HOSTILE)
        dashboard.open_agent("bob")
        page = dashboard.page
        page.locator(".login").wait_for()
        page.evaluate(
            "() => document.querySelectorAll('[aria-expanded=false]:not(.chip)').forEach((one) => one.click())"
        )
        page.locator(".mail .message").first.wait_for()
        drawn(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.locator(".prompt").bounding_box()["y"] + 30 < 740  # type: ignore[index]
        assert page.evaluate("window.executed") is None
        assert page.locator("body script, iframe, object, embed, base, [onerror], [srcdoc]").count() == 0
        assert page.locator("a:not([href='../../'])").count() == 0


def _edit(text: str) -> dict[str, Any]:
    return {"file_path": "/state/x", "old_string": text, "new_string": text[::-1]}


def _ask(text: str) -> dict[str, Any]:
    return {"question": text, "options": [text, SCRIPT]}
