"""What an operator is told: one plain line a thing, whatever an agent wrote into its title."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from hyperhive.config import Dashboard
from hyperhive.hive.notify_text import plain, text_of
from hyperhive.shapes import WaitingItem

if TYPE_CHECKING:
    from hyperhive.hive.hive import Hive


def _hive(name: str = "box", **dashboard: Any) -> Hive:  # noqa: ANN401 - settings
    settings = SimpleNamespace(dashboard=Dashboard(**dashboard))
    return cast("Hive", SimpleNamespace(name=name, settings=settings, token="secret-token"))


def _item(kind: str, title: str, agent: str | None = "alice") -> WaitingItem:
    return WaitingItem(id=f"{kind}-1", kind=kind, title=title, since=datetime(2026, 1, 1, tzinfo=UTC), agent=agent)


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("a\r\nClick: http://evil", "a Click: http://evil"),
        ("\x1b[31mred\x1b[0m\x07", "[31mred [0m"),
        ("abc\u202edcb\u2066x\u200b", "abc dcb x"),
        ("half \ud800 pair", "half pair"),
        ("  many \t spaces\u2028here ", "many spaces here"),
        ("für 猫 🐈", "für 猫 🐈"),
        ("x" * 500, "x" * 199 + "…"),
    ],
)
def test_a_title_is_one_line_of_what_can_be_printed(title: str, shown: str) -> None:
    assert plain(title) == shown
    text = text_of(_hive(), [_item("dead_letter", title)])
    assert text.lines == (shown,)
    assert "\n" not in text.line
    text.line.encode()


def test_the_link_leads_to_where_it_is_settled_under_the_name_from_outside() -> None:
    assert text_of(_hive(), [_item("question", "x")]).link == "http://localhost:7000/"
    assert text_of(_hive(), [_item("needs_login", "x")]).link == "http://localhost:7000/agents/alice/"
    hosts = ["hive.example", "other.example"]
    assert text_of(_hive(allowed_hosts=hosts), [_item("failed", "x")]).link == "https://hive.example/agents/alice/"


def test_a_header_has_only_what_a_header_may_have() -> None:
    for name in ("bö\u0444x", "a\r\nb"):
        headline = text_of(_hive(name), [_item("mail", "x", None)]).headline
        assert headline.isascii()
        assert headline.isprintable()


def test_of_many_the_first_are_named_and_the_others_counted() -> None:
    text = text_of(_hive(), [_item("question", f"q{n}") for n in range(7)])
    assert text.lines == ("7 things wait for you", "q0", "q1", "q2", "q3", "q4", "and 2 more")
    assert text.headline == "hyperhive on box: 7 things"
    assert text.line == "7 things wait for you; q0; q1; q2; q3; q4; and 2 more - http://localhost:7000/"
