"""The dashboard in a real browser, against the stand-in: what it must show, and what it must never do."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from api_rows import agent, at
from looking import FLOW, card, drawn, expect, message, open_all, until
from scenario import ANSI, BIDI, HOSTILE, HTM, LONG_LINE, SCRIPT
from stand_in import PAGES, TOKEN, Hive, Server

if TYPE_CHECKING:
    from conftest import Dashboard

BOX = ".compose textarea"


# --- the way in


def test_the_token_leaves_the_address_and_survives_a_reload(dashboard: Dashboard) -> None:
    dashboard.open()
    expect(dashboard.page).not_to_have_url(re.compile("token"))
    assert dashboard.page.evaluate("history.length") <= 2
    dashboard.page.reload()
    dashboard.live()
    assert dashboard.page.evaluate("document.cookie") == ""


def test_without_a_token_there_is_a_box_to_sign_in_and_no_error(dashboard: Dashboard) -> None:
    dashboard.page.goto(dashboard.server.url)
    dashboard.page.get_by_text("hyperhive dashboard-url").wait_for()
    expect(dashboard.page.locator("[role=alert]")).to_have_text("")
    expect(dashboard.page.locator("#token")).to_be_focused()
    dashboard.page.keyboard.type(f"http://hive.example:7000/#token={TOKEN}")
    dashboard.page.keyboard.press("Enter")
    dashboard.live()


def test_a_wrong_token_leads_back_to_the_box_and_says_why(dashboard: Dashboard) -> None:
    dashboard.watch.forgive("401")
    dashboard.page.goto(f"{dashboard.server.url}/#token=wrong")
    dashboard.page.get_by_text("not accepted").wait_for()
    expect(dashboard.page).not_to_have_url(re.compile("wrong"))
    dashboard.page.locator("#token").fill(TOKEN)
    dashboard.page.get_by_role("button", name="Sign in").click()
    dashboard.live()


def test_a_new_link_pasted_into_the_open_page_signs_in(dashboard: Dashboard) -> None:
    dashboard.page.goto(dashboard.server.url)
    dashboard.page.locator("#token").wait_for()
    dashboard.page.evaluate("token => { location.hash = `token=${token}` }", TOKEN)
    dashboard.live()
    expect(dashboard.page).not_to_have_url(re.compile("token"))


# --- live


def test_agents_messages_and_waiting_items_change_as_they_happen(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    page = dashboard.page
    page.locator(f"{card('carol')}[data-state=stopped]").wait_for()
    hive.change_agent("carol", state="thinking", statusText="now awake")
    page.locator(f"{card('carol')}[data-state=thinking]").get_by_text("now awake").wait_for()
    hive.happen("carol", "tool_call", {"name": "Bash", "input": {"command": "make release"}})
    page.locator(card("carol")).get_by_text("make release").wait_for()

    sent = hive.arrive("carol", "alice", "fresh from the stream")
    row = page.locator(message(sent["id"]))
    row.get_by_text("fresh from the stream").wait_for()
    expect(row.locator(".fate")).to_have_text("waiting")
    hive.change_message(sent["id"], state="settled", outcome="settled", settledAt=at(), deliveries=1)
    row.locator(".fate", has_text="done").wait_for()

    hive.wait_for_operator(
        [{"id": "x", "kind": "over_budget", "agent": "erin", "since": at(), "title": "spent", "ref": 1}]
    )
    page.locator(".item[data-kind=over_budget]").wait_for()
    expect(page.locator(".item")).to_have_count(1)
    hive.remove_agent("grace")
    page.locator(card("grace")).wait_for(state="detached")


def test_ages_tick_without_a_rendering(dashboard: Dashboard) -> None:
    dashboard.open()
    # All that comes later than the state itself.
    for word in ("Tombstones", "Read the message"):
        dashboard.page.get_by_role("button", name=word).wait_for()
    dashboard.page.locator(card("alice")).locator(".doing").wait_for()
    drawn(dashboard.page)
    dashboard.page.evaluate(
        """() => {
          window.changes = { text: 0, other: 0 };
          new MutationObserver((records) => {
            for (const { target } of records) {
              const element = target.nodeType === Node.TEXT_NODE ? target.parentElement : target;
              window.changes[element?.closest('.age') ? 'text' : 'other'] += 1;
            }
          }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
        }"""
    )
    until(dashboard.page, "window.changes.text > 5")
    assert dashboard.page.evaluate("window.changes.other") == 0


def test_buttons_ask_first_then_the_hive_once_and_show_that_they_wait(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    page = dashboard.page
    page.get_by_role("button", name="More about alice").click()
    page.get_by_role("button", name="Stop alice").click()
    stop = page.get_by_role("button", name="Stop alice?")
    stop.wait_for()
    assert dashboard.asked("POST", "/api/agents/alice/stop") == 0
    hive.hold("POST", "/api/agents/alice/stop")
    stop.click()
    page.locator(card("alice")).get_by_text("Stopping…").wait_for()
    page.get_by_role("button", name="Restart alice").click(force=True)
    hive.release("POST", "/api/agents/alice/stop")
    page.locator(f"{card('alice')}[data-state=stopped]").wait_for()
    expect(page.get_by_role("button", name="Cancel the turn of alice")).to_have_count(0)
    page.get_by_role("button", name="Start alice").click()
    page.locator(f"{card('alice')}[data-state=idle]").wait_for()
    assert len(hive.calls("POST", "/api/agents/alice/stop")) == 1
    assert dashboard.asked("POST", "/api/agents/alice/restart") == 0


def test_every_action_of_the_menu_reaches_its_route(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    page = dashboard.page
    page.get_by_role("button", name="More about erin").click()
    for verb, state in (("Pause", "paused"), ("Resume", "idle"), ("Restart", "starting"), ("Rebuild", "starting")):
        page.get_by_role("button", name=f"{verb} erin").click()
        if verb != "Resume":
            page.get_by_role("button", name=f"{verb} erin?").click()
        assert len(hive.came("POST", f"/api/agents/erin/{verb.lower()}")) == 1
        page.locator(f"{card('erin')}[data-state={state}]").wait_for()
    page.get_by_role("button", name="Destroy erin").click()
    page.get_by_role("button", name="Destroy erin?").click()
    page.locator(card("erin")).wait_for(state="detached")
    page.get_by_role("button", name="Tombstones 3").wait_for()


def test_a_queued_operation_a_pending_restart_and_a_new_warning_are_seen(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    page = dashboard.page
    queued = {"id": 3, "agent": "carol", "kind": "rebuild", "status": "queued", "startedAt": at(), "endedAt": None}
    hive.change_agent("carol", operation=queued)
    page.locator(card("carol")).get_by_text("rebuild queued").wait_for()
    expect(page.locator(card("carol")).locator(".spinner")).to_have_count(1)
    hive.change_agent("carol", operation=queued | {"status": "running"})
    page.locator(card("carol")).get_by_text("rebuild under way").wait_for()
    hive.change_agent("carol", operation=None, restartPending=True)
    page.locator(card("carol")).get_by_text("restart pending").wait_for()
    page.get_by_role("button", name="Fold").click()
    hive.warn(["Port 8111 of carol is taken by nginx"])
    page.get_by_role("list", name="Warnings of the hive").get_by_text("Port 8111").wait_for()


def test_a_refusal_stands_beside_the_button(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.watch.forgive("409")
    dashboard.open()
    hive.refuse_next("POST", "/api/agents/alice/cancel", message="no turn to cancel", hint="it just ended")
    dashboard.page.get_by_role("button", name="Cancel the turn of alice").click()
    dashboard.page.locator(card("alice")).get_by_text("no turn to cancel. it just ended").wait_for()


def test_a_dead_letter_can_be_read_requeued_and_only_surely_discarded(dashboard: Dashboard) -> None:
    dashboard.open()
    item = dashboard.page.locator(".item[data-kind=dead_letter]")
    item.get_by_role("button", name="Read the message").click()
    item.get_by_text("Run the smoke test").wait_for()
    item.get_by_role("button", name="Discard").click()
    item.get_by_role("button", name="Discard for good?").wait_for()
    item.get_by_role("button", name="Requeue").click()
    item.wait_for(state="detached")
    dashboard.page.locator(message(12)).locator(".fate", has_text="waiting").wait_for()
    assert dashboard.asked("POST", "/api/dead-letters/12/discard") == 0


def test_the_inbox_counts_and_marks_as_read(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    page = dashboard.page
    page.get_by_role("link", name="2 unread messages for you").click()
    inbox = page.locator(".pane-inbox")
    inbox.locator("[data-message='14']").get_by_role("button", name="Mark as read").click()
    inbox.locator("[data-message='14'] .fate", has_text="read").and_(page.get_by_text("read", exact=True)).wait_for()
    assert hive.calls("POST", "/api/inbox/ack") == [{"ids": [14]}]
    page.get_by_role("link", name="1 unread message for you").wait_for()
    expect(page).to_have_title(re.compile(r"^\(6\) "))


def test_an_agents_events_open_with_their_history_and_go_on(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    page = dashboard.page
    page.locator(card("alice")).locator(".agent-link").click()
    rows = page.locator(".event")
    page.get_by_text("The record begins here").wait_for(state="attached")
    expect(rows).to_have_count(len(hive.events["alice"]))
    result = page.locator(".event[data-kind=tool_result]").first
    result.get_by_role("button", name="40 lines").click()
    result.get_by_text("package 40: update").wait_for()
    hive.happen("alice", "text", {"text": "one more thing"})
    page.locator(".event").get_by_text("one more thing").wait_for()
    expect(result.locator("pre")).to_be_visible()
    page.reload()
    page.locator(".event").first.wait_for(state="attached")


def test_what_the_stream_cut_is_fetched_when_it_is_opened(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    dashboard.page.locator(card("alice")).locator(".agent-link").click()
    dashboard.page.get_by_text("The record begins here").wait_for(state="attached")
    hive.happen("alice", "tool_result", {"content": "\n".join(f"output {n}" for n in range(900))})
    result = dashboard.page.locator(".event").last
    result.get_by_role("button", name="cut").click()
    result.get_by_text("output 899").wait_for()
    result.get_by_role("button", name="900 lines", exact=True).wait_for()


def test_an_operation_that_fails_later_is_said_on_the_card(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    operation = {"id": 1, "agent": "carol", "kind": "start", "status": "running", "startedAt": at()}
    hive.change_agent("carol", operation=operation)
    dashboard.page.locator(card("carol")).get_by_text("start under way").wait_for()
    hive.change_agent("carol", operation=None)
    hive.emit("operation", {**operation, "status": "failed", "endedAt": at(), "error": "no bwrap here"})
    dashboard.page.locator(card("carol")).get_by_text("start failed: no bwrap here").wait_for()


# --- writing


def test_compose_completes_a_name_sends_and_keeps_the_recipient(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    page = dashboard.page
    box = page.locator(BOX)
    box.click()
    page.keyboard.type("@ali")
    page.get_by_role("listbox", name="Recipients").get_by_role("option", name="@alice").wait_for()
    page.keyboard.press("Enter")
    page.keyboard.type("first line")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second line")
    assert dashboard.asked("POST", "/api/messages") == 0
    page.keyboard.press("Enter")
    page.get_by_text("first line\nsecond line").wait_for()
    expect(box).to_have_value("")
    expect(page.get_by_role("combobox", name="To")).to_have_value("alice")
    page.keyboard.type("and then this")
    page.keyboard.press("Enter")
    page.get_by_text("and then this").wait_for()
    sent = hive.calls("POST", "/api/messages")
    assert [(one["to"], one["body"]) for one in sent] == [
        ("alice", "first line\nsecond line"),
        ("alice", "and then this"),
    ]
    assert sent[0]["idempotencyKey"] != sent[1]["idempotencyKey"]


def test_everyone_is_one_entry_with_a_fate_for_each(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    dashboard.page.locator(BOX).click()
    dashboard.page.keyboard.type("@* lunch")
    dashboard.page.keyboard.press("Enter")
    row = dashboard.page.locator(".pane-messages .message", has_text="lunch")
    # It grows with each message of it that the page hears of.
    expect(row.locator(".fate")).to_have_count(len(hive.agents))
    expect(row).to_have_count(1)


def test_a_name_that_nobody_has_keeps_the_text(dashboard: Dashboard) -> None:
    dashboard.open()
    dashboard.page.locator(BOX).fill("@nobody are you there")
    dashboard.page.locator(BOX).press("Enter")
    dashboard.page.get_by_text("no agent called “nobody”").wait_for()
    expect(dashboard.page.locator(BOX)).to_have_value("@nobody are you there")
    assert dashboard.asked("POST", "/api/messages") == 0


def test_a_message_whose_answer_got_lost_is_not_sent_twice(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.watch.forgive("ERR_")
    dashboard.open()
    before = len(hive.messages)
    hive.losses.add(("POST", "/api/messages"))
    dashboard.page.locator(BOX).fill("@bob only once")
    dashboard.page.locator(BOX).press("Enter")
    dashboard.page.locator(".compose [role=alert]").wait_for()
    expect(dashboard.page.locator(BOX)).to_have_value("only once")
    dashboard.page.locator(BOX).press("Enter")
    expect(dashboard.page.locator(BOX)).to_have_value("")
    first, second = hive.calls("POST", "/api/messages")
    assert first == second
    assert len(hive.messages) == before + 1


def test_enter_that_ends_a_composition_does_not_send(dashboard: Dashboard) -> None:
    dashboard.open()
    dashboard.page.locator(BOX).fill("@bob にほん")
    dashboard.page.eval_on_selector(
        BOX,
        """box => {
          const press = (more) => box.dispatchEvent(
            new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true, ...more }));
          press({ isComposing: true });
          press({ keyCode: 229 });
        }""",
    )
    assert dashboard.asked("POST", "/api/messages") == 0
    expect(dashboard.page.locator(BOX)).to_have_value("にほん")


def test_a_reply_goes_to_the_sender_and_says_to_what(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    dashboard.page.get_by_role("button", name="Reply to manager, message 14").first.click()
    dashboard.page.keyboard.type("Yes, hold it.")
    dashboard.page.keyboard.press("Enter")
    dashboard.page.get_by_text("Yes, hold it.").wait_for()
    (sent,) = hive.calls("POST", "/api/messages")
    assert (sent["to"], sent["inReplyTo"]) == ("manager", 14)


# --- nothing is taken away


def test_updates_leave_focus_caret_text_scroll_and_opened_sections_alone(dashboard: Dashboard, hive: Hive) -> None:
    for number in range(40):
        hive.arrive("alice", "manager", f"filler {number}")
    long = hive.arrive("alice", "manager", "\n".join(f"row {n}" for n in range(50)))
    dashboard.open()
    page = dashboard.page
    page.locator(message(long["id"])).get_by_role("button", name="Show all").click()
    page.locator(message(long["id"])).get_by_text("row 49").wait_for()
    box = page.locator(BOX)
    box.fill("half a thought")
    box.evaluate("box => box.setSelectionRange(4, 6)")
    page.eval_on_selector(FLOW, "box => { box.scrollTop = 500 }")
    page.locator(".to-end").wait_for()
    drawn(page)
    where = page.locator(message(30)).bounding_box()
    for number in range(30):
        hive.arrive("bob", "alice", f"another {number}")
        hive.change_agent("bob", state="thinking" if number % 2 else "idle")
        hive.happen("bob", "text", {"text": f"line {number}"})
    page.get_by_text("another 29").wait_for(state="attached")
    drawn(page)
    assert page.locator(message(30)).bounding_box() == where
    expect(page.locator(message(long["id"])).get_by_text("row 49")).to_be_visible()
    expect(box).to_have_value("half a thought")
    assert box.evaluate("box => [document.activeElement === box, box.selectionStart, box.selectionEnd]") == [True, 4, 6]
    page.locator(".to-end").click()
    page.locator(".to-end").wait_for(state="detached")
    hive.arrive("bob", "alice", "the newest of all")
    page.get_by_text("the newest of all").wait_for()
    drawn(page)
    assert page.eval_on_selector(FLOW, "box => box.scrollHeight - box.scrollTop - box.clientHeight") < 2


def test_what_is_loaded_above_pushes_nothing_away(dashboard: Dashboard, hive: Hive) -> None:
    for number in range(150):
        hive.arrive("alice", "manager", f"filler {number}")
    dashboard.open()
    page = dashboard.page
    page.eval_on_selector(FLOW, "box => { box.scrollTop = 0 }")
    page.locator(".to-end").wait_for()
    drawn(page)
    seen = page.get_by_text("filler 52", exact=True)
    where = seen.bounding_box()
    page.get_by_role("button", name="Load older messages").click()
    page.get_by_text("filler 20", exact=True).wait_for(state="attached")
    drawn(page)
    assert where
    assert abs(seen.bounding_box()["y"] - where["y"]) < 2  # type: ignore[index]


def test_a_focused_button_keeps_the_focus_while_its_card_changes(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    dashboard.page.get_by_role("button", name="More about alice").click()
    stop = dashboard.page.get_by_role("button", name="Stop alice")
    stop.focus()
    hive.change_agent("alice", state="idle", statusText="done thinking")
    dashboard.page.locator(card("alice")).get_by_text("done thinking").first.wait_for()
    drawn(dashboard.page)
    expect(stop).to_be_focused()


def test_a_reload_brings_the_draft_back(dashboard: Dashboard) -> None:
    dashboard.open()
    dashboard.page.locator(BOX).fill("@bob unfinished")
    until(dashboard.page, "sessionStorage.getItem('hyperhive.draft')?.includes('unfinished')")
    dashboard.page.reload()
    dashboard.live()
    expect(dashboard.page.locator(BOX)).to_have_value("unfinished")
    expect(dashboard.page.get_by_role("combobox", name="To")).to_have_value("bob")


# --- the connection


@pytest.mark.parametrize("restarted", [False, True], ids=["same-epoch", "new-epoch"])
def test_a_break_is_shown_and_ends_with_what_was_missed(
    dashboard: Dashboard, server: Server, hive: Hive, *, restarted: bool
) -> None:
    dashboard.watch.forgive("ERR_")
    dashboard.open()
    dashboard.page.locator(BOX).fill("kept over the break")
    server.stop()
    dashboard.page.get_by_text("reconnecting").wait_for()
    if restarted:
        hive.epoch, hive.seq = hive.epoch + 1, 0
        hive.ring.clear()
    hive.loop = None
    missed = hive.arrive("bob", "alice", "said while you were away")
    hive.agents["bob"] = agent("bob", "idle") | {"statusText": "logged in at last"}
    hive.emit("agent", hive.agents["bob"])
    server.start()
    dashboard.live()
    dashboard.page.locator(message(missed["id"])).get_by_text("said while you were away").wait_for()
    dashboard.page.locator(f"{card('bob')}[data-state=idle]").wait_for()
    expect(dashboard.page.locator(message(missed["id"]))).to_have_count(1)
    expect(dashboard.page.locator(BOX)).to_have_value("kept over the break")


def test_a_resync_fetches_the_state_anew(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    hive.agents["carol"]["statusText"] = "changed without a word"
    hive.emit("resync", {})
    dashboard.page.locator(card("carol")).get_by_text("changed without a word").wait_for()


# --- hostile text


def test_what_agents_write_is_inert(dashboard: Dashboard, hive: Hive) -> None:
    for kind in ("text", "thinking", "stderr", "note"):
        for text in HOSTILE:
            hive.happen("alice", kind, {"text": text})
    hive.happen("alice", "tool_call", {"name": SCRIPT, "input": {"command": SCRIPT, SCRIPT: BIDI}})
    hive.happen("alice", "tool_result", {"content": SCRIPT})
    hive.happen("alice", "turn_start", {"from": SCRIPT, "body": HTM, "unread": 1})
    hive.happen("alice", SCRIPT, {"text": SCRIPT})
    hive.agents["dave"] |= {"statusText": SCRIPT, "model": SCRIPT, "problem": SCRIPT, "state": SCRIPT}
    hive.waiting.append({"id": "h", "kind": SCRIPT, "agent": "dave", "since": at(), "title": SCRIPT, "ref": SCRIPT})
    hive.warnings.append(SCRIPT)
    dashboard.open()
    page = dashboard.page
    page.locator(card("alice")).locator(".agent-link").click()
    page.get_by_text("The record begins here").wait_for(state="attached")
    open_all(page, ".shown button[aria-expanded=false]:not(.chip)")
    drawn(page)
    for never in (
        "body script, iframe, img:not([src$='/static/icon.svg']), svg, object, embed, base",
        "[onerror], [srcdoc], [style*=url]",
        "a:not([href^='#']):not([href^='agents/'])",
    ):
        assert page.locator(never).count() == 0, never
    assert page.evaluate("document.scripts.length") == 1
    text = page.locator(".pane-messages").evaluate("pane => pane.textContent")
    assert SCRIPT in text
    assert HTM in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202d\u202e]", text)
    assert "^[[31mred" in text


def test_a_long_line_wraps_inside_its_row_and_opens_on_request(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    fresh = hive.arrive("dave", "alice", LONG_LINE)
    row = dashboard.page.locator(message(fresh["id"]))
    row.get_by_role("button", name="Show all").click()
    row.get_by_role("button", name="Show less").wait_for()
    expect(row.locator(".body")).to_have_text(LONG_LINE)
    drawn(dashboard.page)
    assert dashboard.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert dashboard.page.eval_on_selector(FLOW, "box => box.scrollWidth <= box.clientWidth")


def test_the_direction_of_a_text_ends_with_it(dashboard: Dashboard, hive: Hive) -> None:
    dashboard.open()
    fresh = hive.arrive("dave", "alice", BIDI + ANSI)
    row = dashboard.page.locator(message(fresh["id"]))
    row.wait_for()
    assert row.locator(".body").evaluate("body => getComputedStyle(body).unicodeBidi") == "plaintext"
    assert row.locator(".name").first.evaluate("name => getComputedStyle(name).unicodeBidi") == "isolate"
    expect(row).to_contain_text("⟦RLO⟧")


# --- small windows, keyboards, weight


class TestOnAPhone:
    """360 pixels wide, by touch."""

    @pytest.fixture
    def context_options(self) -> dict[str, Any]:
        return {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True, "color_scheme": "dark"}

    def test_one_view_at_a_time_fits(self, dashboard: Dashboard) -> None:
        dashboard.open()
        page = dashboard.page
        views = page.get_by_role("navigation")
        for name in ("Messages", "Inbox", "Swarm"):
            views.get_by_role("link", name=name).tap()
            page.locator(f"nav [aria-current=page]:has-text('{name}')").wait_for()
            drawn(page)
            assert page.evaluate("document.documentElement.scrollWidth") == 360
        page.locator(card("alice")).locator(".agent-link").tap()
        page.locator(".event").last.wait_for()
        drawn(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        page.go_back()
        page.locator(card("alice")).wait_for()
        expect(page.locator(BOX)).to_be_visible()


def test_the_keyboard_alone_reaches_an_agent_and_its_buttons(dashboard: Dashboard) -> None:
    dashboard.open()
    page = dashboard.page
    # What comes later would come under the way of the keys.
    page.get_by_role("button", name="Read the message").wait_for()
    seen: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent")
        )
        if seen[-1] == "alice":
            break
    assert seen[-1] == "alice"
    page.keyboard.press("Enter")
    page.locator(".agent-view").wait_for()


def test_the_page_asks_no_other_host_and_only_for_what_is_there(dashboard: Dashboard) -> None:
    asked: list[tuple[str, int]] = []
    dashboard.page.on("response", lambda response: asked.append((response.url, response.status)))
    dashboard.open()
    for word in ("Tombstones", "Read the message"):
        dashboard.page.get_by_role("button", name=word).wait_for()
    assert asked
    assert {status for _url, status in asked} == {200}
    assert all(url.startswith(dashboard.server.url) for url, _status in asked)


@pytest.mark.parametrize("page", ["index.html", "agent.html"])
def test_nothing_of_the_page_is_inline_or_names_another_host(page: str) -> None:
    text = (PAGES / page).read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|importmap", text)
    for path in [PAGES / page, *(PAGES / "static").glob("*.js"), *(PAGES / "static").glob("style/*.css")]:
        assert "://" not in path.read_text(), path


@pytest.mark.parametrize(
    "vendor", [PAGES / "static" / "vendor", Path(__file__).parent / "vendor"], ids=["pages", "tests"]
)
def test_the_vendored_files_are_those_of_the_checksums(vendor: Path) -> None:
    sums = dict(reversed(line.split("  ")) for line in (vendor / "CHECKSUMS").read_text().splitlines())
    files = {path.name for path in vendor.iterdir()} - {"CHECKSUMS", "README.md"}
    assert set(sums) == files
    assert all(hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())


@pytest.mark.parametrize("path", ["/", "/agents/alice/"])
def test_a_first_load_weighs_at_most_60_kb_and_is_asked_for_at_once(dashboard: Dashboard, path: str) -> None:
    files = dashboard.first_load(f"{path}#token={TOKEN}", *(("Tombstones", "Read the message") if path == "/" else ()))
    assert sum(files.values()) <= 60_000, files
    preloaded = dashboard.page.eval_on_selector_all(
        "link[rel=modulepreload], script[src]", "all => all.map((one) => new URL(one.href ?? one.src).pathname)"
    )
    # A dead letter waits here, and what can be done with it comes with it.
    on_demand = {"/static/letter.js"}
    assert {name for name in files if name.endswith(".js")} - on_demand == set(preloaded)
