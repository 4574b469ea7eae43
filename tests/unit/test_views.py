"""What the operator API makes of rows and entries."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.hive import views
from hyperhive.hive.inbox import Entry
from hyperhive.store.events import NewEvent, StoredEvent
from hyperhive.store.messages import PREVIEW

_AT = datetime(2026, 1, 1, tzinfo=UTC)


def _row(**more: object) -> SimpleNamespace:
    row: dict[str, object] = dict.fromkeys(
        ("in_reply_to", "broadcast_id", "settled_at", "outcome", "reason", "not_before")
    )
    row |= {"id": 1, "sender": "alice", "recipient": "bob", "body": "hi", "sent_at": _AT, "state": "waiting"}
    return SimpleNamespace(**(row | {"deliveries": 0} | more))


def test_a_message_is_written_in_camel_case_with_utc_times() -> None:
    shown = views.message_row(_row(settled_at=_AT, state="settled", outcome="cancelled"), ()).model_dump(mode="json")
    assert (shown["from"], shown["to"], shown["sentAt"]) == ("alice", "bob", "2026-01-01T00:00:00.000Z")
    assert (shown["settledAt"], shown["outcome"], shown["deadLetter"]) == (shown["sentAt"], "cancelled", False)


@pytest.mark.parametrize(
    ("state", "held", "shown"),
    [
        ("waiting", (), "waiting"),
        ("waiting", (1,), "held"),
        ("waiting", (2,), "waiting"),
        ("dead", (), "dead"),
        ("settled", (1,), "settled"),
    ],
)
def test_what_an_agent_works_on_is_shown_as_held(state: str, held: tuple[int, ...], shown: str) -> None:
    row = views.message_row(_row(state=state), held)
    assert (row.state, row.dead_letter) == (shown, state == "dead")


def test_every_change_of_a_message_has_a_state() -> None:
    entry = Entry(1, "alice", "bob", _AT, preview="hi")
    states = {what: views.message_change(what, entry)["state"] for what in views._STATE}  # type: ignore[arg-type]
    assert states == {
        "accepted": "waiting",
        "put_back": "waiting",
        "handed_out": "held",
        "settled": "settled",
        "dead": "dead",
        "discarded": "discarded",
    }
    assert views.message_change("dead", entry)["deadLetter"] is True


def test_a_long_body_is_said_to_be_cut() -> None:
    for length, truncated in ((PREVIEW, False), (PREVIEW + 1, True)):
        shown = views.message_change("accepted", Entry(1, "a", "b", _AT, preview="x" * length))
        assert (shown["body"], shown["truncated"]) == ("x" * PREVIEW, truncated)
    assert views.message_change("accepted", Entry(1, "a", "b", _AT, preview="x"))["truncated"] is False


def test_an_event_on_the_stream_has_its_long_strings_cut() -> None:
    event = NewEvent(0, _AT, "text", 3, {"text": "x" * 3000, "more": [{"deep": "y" * 3000}], "n": 5})
    shown = views.event_change(StoredEvent(7, "alice", event))
    assert (shown["seq"], shown["agent"], shown["kind"], shown["turn"]) == (7, "alice", "text", 3)
    assert shown["data"]["text"] == "x" * 2000 + "…"
    assert shown["data"]["more"][0]["deep"] == "y" * 2000 + "…"
    assert shown["data"]["n"] == 5


def _nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"in": value, "list": [[]]}
    return value


@pytest.mark.parametrize(
    "data", [_nested(900), {"x": float("nan"), "y": [float("-inf")]}, {"\ud800": "half \udfff pair"}]
)
def test_whatever_an_agent_reports_can_be_written_down_and_shown(data: dict[str, Any]) -> None:
    """It is the agent's; if it could break the list of events, no page of that agent would open again."""
    clean = views.clean(data)
    text = json.dumps(clean, allow_nan=False, ensure_ascii=False)
    text.encode()
    assert json.loads(text) == clean
    views.event_change(StoredEvent(1, "alice", NewEvent(0, _AT, "text", None, clean)))


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


@given(_json)
def test_ordinary_json_stays_as_it_is(value: Any) -> None:  # noqa: ANN401 - JSON
    assert views.clean(value) == value
