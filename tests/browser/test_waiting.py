"""What waits for the operator, in a real browser against the stand-in: shown, told and settled."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from api_rows import at
from looking import card, drawn, expect, open_all, until
from scenario import HOSTILE, LONG_LINE, SCRIPT
from stand_in import PATIENCE, TOKEN, Hive

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

    from conftest import Dashboard

#: Stands in for the browser's notifications, which a browser without a screen does not show.
NOTIFICATIONS = """
  window.shown = [];
  window.Notification = class {
    static permission = localStorage.getItem('test.permission') ?? 'default';
    static async requestPermission() {
      localStorage.setItem('test.permission', 'granted');
      return (Notification.permission = 'granted');
    }
    constructor(title, options) { window.shown.push([title, options.body, options.tag]); }
    close() {}
  };
"""


#: What is wider than the box that it scrolls in.
_WIDE = """() => {
  const box = document.querySelector('.swarm');
  if (box.scrollWidth <= box.clientWidth) return [];
  const edge = box.getBoundingClientRect().right;
  const wide = [...box.querySelectorAll('*')].filter((one) => one.getBoundingClientRect().right > edge);
  return wide.slice(0, 5).map((one) => `${one.tagName} ${one.className}`);
}"""


def item(dashboard: Dashboard, kind: str) -> Any:  # noqa: ANN401 - a locator
    return dashboard.page.locator(f".item[data-kind={kind}]")


# --- questions


def test_a_question_is_answered_with_an_option_by_the_keyboard_alone(dashboard: Dashboard, hive: Hive) -> None:
    hive.waiting = []
    hive.ask("alice", "Next?", options=["left", "right"])
    dashboard.open()
    page = dashboard.page
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "radio":
            break
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    chosen = page.locator(".choice", has=page.locator(":checked")).inner_text().strip()
    page.keyboard.press("Enter")
    page.get_by_text("Nothing is blocked.").wait_for()
    assert hive.calls("POST", "/api/questions/2/answer") == [{"choices": [chosen], "text": ""}]
    expect(page.locator("#waiting-title")).to_be_focused()


def test_several_options_and_own_words_go_together(dashboard: Dashboard, hive: Hive) -> None:
    hive.settle_question(1, status="expired")
    dashboard.open()
    hive.ask("alice", "Which of them?", options=["a", "b", "c"], multi=True)
    question = item(dashboard, "question")
    question.get_by_role("button", name="Answer").click()
    question.get_by_text("Choose an option or write an answer.").wait_for()
    question.get_by_role("checkbox", name="a").check()
    question.get_by_role("checkbox", name="c").check()
    question.get_by_role("textbox").fill("and d later")
    question.get_by_role("textbox").press("Enter")
    question.wait_for(state="detached")
    assert hive.calls("POST", "/api/questions/2/answer") == [{"choices": ["a", "c"], "text": "and d later"}]


def test_a_deadline_counts_down_and_a_question_can_be_cancelled(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    question = item(dashboard, "question")
    # 49 minutes are left when the hive is made.
    expect(question.locator(".deadline")).to_contain_text(re.compile(r"\b4[5-8]m \d\ds left"))
    expect(question.locator(".deadline")).to_contain_text("then the answer is “unstable”")
    question.get_by_role("button", name="Cancel question").click()
    question.get_by_role("button", name="Really cancel?").click()
    question.wait_for(state="detached")
    assert hive.questions[1]["status"] == "cancelled"


def test_what_is_typed_as_an_answer_stays_and_a_lost_race_says_who_won(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.watch.forgive("409")
    dashboard.open()
    question = item(dashboard, "question")
    box = question.get_by_role("textbox")
    question.get_by_role("radio", name="stable", exact=True).check()
    box.fill("but not before")
    for number in range(30):
        hive.ask("bob", f"another question {number}")
    dashboard.page.get_by_text("another question 29").wait_for()
    box = item(dashboard, "question").first.get_by_role("textbox")
    drawn(dashboard.page)
    expect(box).to_have_value("but not before")
    expect(box).to_be_focused()
    expect(question.first.get_by_role("radio", name="stable", exact=True)).to_be_checked()
    hive.refuse_next("POST", "/api/questions/1/answer", code="wrong_state", message="Grace answered it", hint="")
    box.press("Enter")
    question.first.get_by_text("Grace answered it").wait_for()


# --- the rest of the list


def test_a_crash_is_dismissed_and_what_failed_restarted(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    ages = dashboard.page.locator(".waiting .item .since time")
    expect(ages).to_have_count(len(hive.waiting))
    since = ages.evaluate_all("all => all.map((one) => one.dateTime)")
    assert since == sorted(item["since"] for item in hive.waiting)
    item(dashboard, "crash").get_by_role("button", name="Dismiss").click()
    item(dashboard, "crash").wait_for(state="detached")
    assert hive.calls("POST", "/api/waiting/crash-erin/dismiss") == [{}]
    item(dashboard, "failed").get_by_role("button", name="Restart").click()
    item(dashboard, "failed").get_by_role("button", name="Restart dave?").click()
    dashboard.page.locator(f"{card('dave')}[data-state=starting]").wait_for()


def test_a_deployment_that_failed_overnight_is_seen_and_dismissed(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    why = "the change to alice that you approved has failed: its harness has not connected within 60 s"
    failed = {"id": "deploy_failed-3", "kind": "deploy_failed", "agent": "alice", "since": at(), "title": why, "ref": 3}
    hive.wait_for_operator([*hive.waiting, failed])
    shown = item(dashboard, "deploy_failed")
    shown.get_by_text("its harness has not connected within 60 s").wait_for()
    expect(shown.locator(".word")).to_have_text("deployment")
    expect(shown).to_have_class(re.compile(r"\bgrave\b"))
    shown.get_by_role("button", name="Dismiss").click()
    shown.wait_for(state="detached")
    assert hive.calls("POST", "/api/waiting/deploy_failed-3/dismiss") == [{}]


def test_tombstones_are_revived_and_purged_by_typing_the_name(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    page = dashboard.page
    page.get_by_role("button", name="Tombstones 2").click()
    zed, old = page.locator("[data-tombstone=zed]"), page.locator("[data-tombstone=old-ci]")
    expect(zed).to_contain_text("46 MiB · has a login · 3 unread")
    expect(old).to_contain_text("2.0 KiB · no login · still declared")
    old.get_by_role("button", name="Purge…").click()
    page.keyboard.type("old")
    page.keyboard.press("Enter")
    assert dashboard.asked("POST", "/api/tombstones/old-ci/purge") == 0
    page.keyboard.type("-ci")
    page.keyboard.press("Enter")
    old.wait_for(state="detached")
    assert hive.calls("POST", "/api/tombstones/old-ci/purge") == [{"name": "old-ci"}]
    zed.get_by_role("button", name="Revive").click()
    page.locator(card("zed")).wait_for()
    page.get_by_role("button", name="Tombstones").wait_for(state="detached")


def test_journal_and_configuration_are_fetched_when_somebody_looks(dashboard: Dashboard, hive: Hive) -> None:
    hive.configs["alice"] = {"files": [{"path": "agent.nix", "text": f"{{ }} # {SCRIPT}"}]}
    dashboard.open()
    page = dashboard.page
    page.get_by_role("button", name="More about alice").click()
    page.get_by_role("button", name="Journal of alice").click()
    page.get_by_text("line 299").wait_for()
    assert len(hive.calls("GET", "/api/agents/alice/journal")) == 1
    journal = page.locator(".viewer pre")
    drawn(page)
    assert journal.evaluate("box => box.scrollHeight - box.scrollTop - box.clientHeight") < 2
    page.get_by_role("checkbox", name="follow").check()
    hive.print_line("alice", "one more line")
    page.get_by_text("one more line").wait_for()
    assert dashboard.asked("GET", "/api/agents/alice/journal") == 1
    page.get_by_role("checkbox", name="follow").uncheck()
    page.get_by_role("button", name="agent.nix of alice").click()
    page.locator(".viewer", has_text="agent.nix").get_by_text("<script>").wait_for()
    hive.change_agent("alice", statusText="it goes on")
    page.locator(".drawer").get_by_text("it goes on").wait_for()
    expect(journal.first).to_be_visible()


def test_what_an_agent_has_open_is_listed_and_a_reminder_cancelled(dashboard: Dashboard, hive: Hive) -> None:
    said = {"since": at(minutes=3), "deadline": at(minutes=-9), "who": None, "status": None}
    hive.open_ends["alice"] = [
        {**said, "kind": "question", "id": 3, "text": f"Which one? {SCRIPT}", "who": "bob"},
        {**said, "kind": "reminder", "id": 4, "text": "look at the build again"},
    ]
    hive.schedules = [{"agent": "alice", "name": "daily", "rule": "0 8 * * *", "message": "go", "nextAt": at(hours=-5)}]
    hive.agents["alice"]["mcpServers"] = [
        {"name": "tracker", "status": "connected", "tools": ["a", "b"], "error": None},
        {"name": "broken", "status": "failed", "tools": [], "error": f"it ended {SCRIPT}"},
    ]
    dashboard.open()
    page = dashboard.page
    page.get_by_role("button", name="More about alice").click()
    servers = page.get_by_label("MCP servers")
    servers.get_by_text("tracker connected, 2 tools").wait_for()
    servers.get_by_text("it ended <script>").wait_for()
    page.get_by_role("button", name="Open ends of alice").click()
    ends = page.get_by_label("What alice has open")
    ends.get_by_text("Which one?").wait_for()
    ends.get_by_text("0 8 * * *").wait_for()
    ends.get_by_text("2 unread · its directories take 12 MiB").wait_for()
    ends.get_by_role("button", name="Cancel").click()
    ends.get_by_role("button", name="Really cancel?").click()
    ends.get_by_text("look at the build again").wait_for(state="detached")
    assert dashboard.asked("DELETE", "/api/reminders/4") == 1
    dashboard.open_agent("alice")
    page.get_by_label("MCP servers").get_by_text("broken failed").wait_for()


def test_one_journal_is_followed_at_a_time_and_none_that_is_not_shown(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    page = dashboard.page
    for name in ("alice", "bob"):
        page.get_by_role("button", name=f"More about {name}").click()
        page.get_by_role("button", name=f"Journal of {name}").click()
    first, second = (page.get_by_label(f"Journal of {name}").get_by_role("checkbox") for name in ("alice", "bob"))
    first.check()
    hive.print_line("alice", "printed by alice")
    page.get_by_text("printed by alice").wait_for()
    second.check()
    hive.print_line("bob", "printed by bob")
    page.get_by_text("printed by bob").wait_for()
    expect(first).not_to_be_checked()
    page.get_by_role("button", name="More about bob").click()
    page.get_by_label("Journal of bob").wait_for(state="detached")
    assert hive.unfollowed.wait(PATIENCE)


def test_the_history_of_decisions_is_loaded_when_it_is_looked_at(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    dashboard.page.get_by_role("link", name="History").click()
    dashboard.page.locator(".decision", has_text="destroy zed").wait_for()
    hive.decide("answer", "question 1", "stable")
    hive.settle_question(1, status="answered")
    first = dashboard.page.locator(".decision").first
    first.get_by_text("question 1").wait_for()
    expect(first).to_contain_text("stable")


# --- being told


def test_notifications_come_once_over_two_tabs_and_a_reload(dashboard: Dashboard, hive: Hive) -> None:
    page, context = dashboard.page, dashboard.page.context
    context.add_init_script(NOTIFICATIONS)
    dashboard.open()
    page.get_by_role("button", name="Enable").click()
    page.get_by_role("button", name="Mute").wait_for()
    other = _second_tab(context, dashboard)
    hive.ask("alice", "Shall I?")
    asked = _shown("Shall I?", page, other)
    assert asked == [["alice asks you", "Shall I?", "hyperhive:apiary:question-2"]]
    hive.arrive("bob", "operator", "Done.\nAll of it.")
    assert _shown("All of it.", page, other)[-1] == ["bob wrote to you", "Done.", "hyperhive:apiary:message-16"]
    crash = {
        "id": "crash-bob",
        "kind": "crash",
        "agent": "bob",
        "since": at(),
        "title": "bob ended by signal 9",
        "ref": 1,
    }
    hive.wait_for_operator([*hive.waiting, crash])
    assert _shown("bob ended by signal 9", page, other)[-1][0] == "bob crashed"
    hive.wait_for_operator([*hive.waiting[:-1], crash | {"ref": 2, "title": "bob ended by signal 11"}])
    told = _shown("bob ended by signal 11", page, other)
    assert told[-1][2] == "hyperhive:apiary:crash-bob"
    assert len(told) == 4
    page.reload()
    dashboard.live()
    _claimed(page)
    assert page.evaluate("window.shown") == []
    heard = len(other.evaluate("window.shown"))
    page.get_by_role("button", name="Mute").click()
    other.get_by_role("button", name="Unmute").wait_for()
    hive.ask("bob", "Nobody hears this")
    assert len(_shown("Nobody hears this", page, other)) == heard


def test_the_first_thing_after_notifications_were_wanted_is_told_and_nothing_older(
    dashboard: Dashboard, hive: Hive
) -> None:
    dashboard.page.context.add_init_script(NOTIFICATIONS)
    dashboard.open()
    page = dashboard.page
    page.get_by_role("button", name="Enable").click()
    page.get_by_role("button", name="Mute").wait_for()
    hive.ask("alice", "Shall I?")
    assert [title for title, _body, _tag in _shown("Shall I?", page)] == ["alice asks you"]


def _second_tab(context: BrowserContext, dashboard: Dashboard) -> Page:
    other = context.new_page()
    other.goto(dashboard.server.url)
    other.locator(".connection.live").wait_for()
    return other


def _shown(text: str, *tabs: Page) -> list[list[str]]:
    """What the tabs have shown, once each knows of something and has asked whether it is the first to tell it."""
    for tab in tabs:
        tab.get_by_text(text).first.wait_for(state="attached")
    for tab in tabs:
        _claimed(tab)
    return sorted((one for tab in tabs for one in tab.evaluate("window.shown")), key=_order)


def _claimed(tab: Page) -> None:
    """Wait until whatever a tab wanted to tell was told or left to the other: each claim takes the lock in its turn."""
    tab.evaluate(
        """async () => {
          await import(new URL('static/notify.js', document.baseURI));
          await new Promise((done) => setTimeout(done));
          await navigator.locks.request('hyperhive.told', () => {});
          await new Promise((done) => setTimeout(done));
        }"""
    )


def _order(shown: list[str]) -> int:
    return ["asks", "wrote", "crashed"].index(next(word for word in ("asks", "wrote", "crashed") if word in shown[0]))


def test_where_notifications_are_blocked_it_says_what_to_do(dashboard: Dashboard) -> None:
    dashboard.page.context.add_init_script("Object.defineProperty(Notification, 'permission', { value: 'denied' });")
    dashboard.open()
    dashboard.page.get_by_role("button", name="What to do").click()
    dashboard.page.get_by_text("The browser blocks notifications for this address").wait_for()


# --- hostile texts, everywhere


class TestOnANarrowScreen:
    """360 pixels wide."""

    @pytest.fixture
    def context_options(self) -> dict[str, Any]:
        return {"viewport": {"width": 360, "height": 740}}

    def test_hostile_texts_are_inert_and_push_nothing_apart(self, dashboard: Dashboard, hive: Hive) -> None:
        for text in HOSTILE:
            hive.ask("alice", text, options=[text, SCRIPT], default=text, deadline=at(minutes=-3))
            hive.arrive("alice", "operator", text)
            hive.decide("answer", text, text)
            hive.journals["alice"].append(text)
        hive.configs["alice"] = {"files": [{"path": SCRIPT, "text": LONG_LINE}], "note": LONG_LINE}
        turn = {"endedAt": at(), "ok": False, "durationMs": 3, "note": LONG_LINE}
        hive.agents["alice"] |= {
            "statusText": LONG_LINE,
            "problem": SCRIPT + LONG_LINE,
            "model": LONG_LINE,
            "lastTurn": turn,
        }
        hive.waiting.append({"id": "h", "kind": LONG_LINE, "agent": None, "since": at(), "title": LONG_LINE, "ref": 1})
        hive.warnings = list(HOSTILE)
        hive.tombstones[0]["origin"] = LONG_LINE
        dashboard.open()
        page = dashboard.page
        page.get_by_role("button", name="Tombstones").wait_for()
        open_all(page, ".swarm button[aria-expanded=false]:not(.chip)")
        page.locator(".viewer pre").last.wait_for()
        for view in ("Swarm", "Messages", "Inbox", "History"):
            page.get_by_role("navigation").get_by_role("link", name=view).click()
            page.locator(f"nav [aria-current=page]:has-text('{view}')").wait_for()
            drawn(page)
            assert page.evaluate("document.documentElement.scrollWidth") == 360
            assert page.evaluate(_WIDE) == []
        page.locator(".decision").first.wait_for()
        drawn(page)
        assert page.evaluate("window.executed") is None
        assert page.locator("body script, iframe, object, embed, base, [onerror], [srcdoc]").count() == 0
        assert page.locator("a:not([href^='#']):not([href^='agents/'])").count() == 0


# --- many agents, much going on


def test_thirty_busy_agents_cost_a_rendering_a_frame_and_bounded_memory(dashboard: Dashboard, hive: Hive) -> None:
    names = [f"a{number}" for number in range(30)]
    for name in names:
        hive.change_agent(name, state="thinking")
    dashboard.page.goto(f"{dashboard.server.url}/#token={TOKEN}&view=agent/a0")
    dashboard.live()
    page = dashboard.page
    page.get_by_role("region", name="Events of a0").wait_for()
    _storm(hive, names, 300)
    _newest(page, hive, "a0")
    before = page.locator("*").count()
    page.evaluate(_HOLD_FRAMES)
    for _ in range(60):
        _storm(hive, names, 10)
        page.evaluate("0")  # it hears of these before the next ones
    # How many frames a second that leaves is the machine's matter; `storm_frames` of the benchmarks measures it.
    held = page.evaluate("window.counted()")
    assert held["renderings"] <= held["chances"], held
    page.evaluate("window.release()")
    _newest(page, hive, "a0")
    done = page.evaluate("window.counted()")
    assert 0 < done["changes"] <= 600 * 3, done
    assert page.locator("*").count() < before + 60 * 20 + 700 * 12
    until(page, "document.querySelectorAll('.agent .doing').length >= 30")


#: Lets no frame come until `release`, and counts how often the page is drawn anew meanwhile, and how often it may be:
#: where no frame comes, four times a second.
_HOLD_FRAMES = """() => {
  const begun = performance.now();
  const held = [];
  const ask = window.requestAnimationFrame;
  window.requestAnimationFrame = (callback) => held.push(callback);
  window.release = () => {
    window.requestAnimationFrame = ask;
    for (const callback of held) ask.call(window, callback);
  };
  let renderings = 0;
  let changes = 0;
  new MutationObserver((records) => {
    const elements = records.map(({ target }) => (target.nodeType === Node.TEXT_NODE ? target.parentElement : target));
    const found = elements.filter((element) => !element?.closest('.age')).length;
    changes += found;
    renderings += found > 0;
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
  window.counted = () => ({ renderings, changes, chances: (performance.now() - begun) / 250 + 1 });
}"""


def _storm(hive: Hive, names: list[str], count: int) -> None:
    """So many events, the last of them one of the first agent."""
    for number in range(count, 0, -1):
        name = names[(number - 1) % len(names)]
        command = f"make target-{len(hive.events.get(name, ())) + 1}. {'x' * 300}"
        hive.happen(name, "tool_call", {"name": "Bash", "input": {"command": command}})


def _newest(page: Page, hive: Hive, name: str) -> None:
    """Wait until an agent's last event is drawn."""
    last = f"make target-{len(hive.events[name])}."
    page.locator(".events").get_by_text(last).wait_for(state="attached")
