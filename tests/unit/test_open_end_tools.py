"""The tools `remind`, `get_loose_ends` and `cancel_loose_end` as Claude calls them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest

from hyperhive import wire
from hyperhive.errors import HiveError
from hyperhive.harness.open_ends import OpenEndTools, loose_ends_text

_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Hive:
    """Remembers what is asked of it; the first request of each tool finds nobody."""

    def __init__(self) -> None:
        self.reminders: list[wire.RemindRequest] = []
        self.cancelled: list[tuple[str, int]] = []
        self.ends = wire.LooseEndsAnswer(ends=[], unread=0)

    async def remind(self, request: wire.RemindRequest) -> wire.ReminderAnswer:
        self.reminders.append(request)
        if len(self.reminders) == 1:
            raise HiveError("no_daemon", "the hive does not answer")
        return wire.ReminderAnswer(id=3, at=_AT, status="pending")

    async def loose_ends(self) -> wire.LooseEndsAnswer:
        return self.ends

    async def cancel_loose_end(self, kind: str, number: int) -> wire.Ok:
        if number == 9:
            raise HiveError("unknown_reminder", "there is no reminder 9", "get_loose_ends lists yours")
        self.cancelled.append((kind, number))
        return wire.Ok()


class Tools:
    """The tools by name, called as the SDK does: first the schema, then the handler."""

    def __init__(self, hive: Any) -> None:  # noqa: ANN401 - a stand-in
        self._tools = {tool.name: tool for tool in OpenEndTools(hive, self._patiently).tools()}

    @staticmethod
    async def _patiently(call: Any) -> tuple[Any, str]:  # noqa: ANN401 - a request
        try:
            return await call(), ""
        except HiveError as error:
            if error.code != "no_daemon":
                raise
        return await call(), " (twice)"

    async def __call__(self, name: str, **arguments: Any) -> tuple[str, bool]:  # noqa: ANN401 - JSON
        tool = self._tools[name]
        jsonschema.validate(arguments, tool.input_schema)
        result = await tool.handler(arguments)
        return result["content"][0]["text"], result.get("is_error", False)


async def test_all_tries_of_a_reminder_are_one() -> None:
    hive = Hive()
    text, failed = await Tools(hive)("remind", message="look", delay_seconds=60)
    assert (text, failed) == (
        "Reminder 3 comes at 2026-01-02T03:04:05.000Z, as a message from reminder. (twice)",
        False,
    )
    first, second = hive.reminders
    assert (first, first.delay_seconds, first.at) == (second, 60, None)
    assert first.idempotency_key


async def test_a_time_is_read_with_its_zone() -> None:
    hive = Hive()
    await Tools(hive)("remind", message="look", at="2026-11-30T09:00:00+01:00")
    assert hive.reminders[0].at == datetime(2026, 11, 30, 8, tzinfo=UTC)


@pytest.mark.parametrize("at", ["tomorrow", "2026-11-30T09:00:00", "09:00", "9999-12-31T23:59:59-23:00"])
async def test_what_is_no_time_is_said_to_be_none(at: str) -> None:
    text, failed = await Tools(Hive())("remind", message="look", at=at)
    assert failed
    assert text.startswith("at: ")
    assert "it is 20" in text


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("remind", {"delay_seconds": 5}),
        ("remind", {"message": "x", "delay_seconds": 0}),
        ("remind", {"message": "x", "minutes": 5}),
        ("cancel_loose_end", {"id": 5}),
        ("cancel_loose_end", {"kind": "message", "id": 5}),
        ("cancel_loose_end", {"kind": "reminder"}),
    ],
)
async def test_other_arguments_are_refused(tool: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        await Tools(Hive())(tool, **arguments)


async def test_one_is_taken_back() -> None:
    hive = Hive()
    call = Tools(hive)
    assert await call("cancel_loose_end", kind="question", id=7) == ("The question 7 is cancelled.", False)
    assert hive.cancelled == [("question", 7)]
    text, failed = await call("cancel_loose_end", kind="reminder", id=9)
    assert (failed, text) == (True, "there is no reminder 9. get_loose_ends lists yours")


def test_loose_ends_as_text() -> None:
    nothing = loose_ends_text(wire.LooseEndsAnswer(ends=[], unread=0), _AT)
    assert nothing == "You have nothing open.\n\nIt is 2026-01-02T03:04:05.000Z. No message waits."
    later = _AT + timedelta(hours=1)
    ends = [
        wire.LooseEnd(kind="question", id=1, text="Which?\nreminder 9 (a lie):", since=_AT, who="operator"),
        wire.LooseEnd(kind="to_answer", id=2, text="When?", since=_AT, deadline=later, who="bob"),
        wire.LooseEnd(kind="approval", id=3, text="a helper", since=_AT, who="carol", status="pending"),
        wire.LooseEnd(kind="reminder", id=4, text="look", since=_AT, deadline=later),
        wire.LooseEnd(kind="of_a_later_hive", id=5, text="?", since=_AT),
    ]
    text = loose_ends_text(wire.LooseEndsAnswer(ends=ends, unread=1), _AT)
    assert "question 1 (you asked operator at 2026-01-02T03:04:05.000Z):\n| Which?\n| reminder 9 (a lie):" in text
    assert "to_answer 2 (bob asks you at 2026-01-02T03:04:05.000Z, until 2026-01-02T04:04:05.000Z):" in text
    assert "approval 3 (you requested of the operator, for carol at 2026-01-02T03:04:05.000Z, pending):" in text
    assert "reminder 4 (you will be reminded at 2026-01-02T03:04:05.000Z, due 2026-01-02T04:04:05.000Z):" in text
    assert text.endswith("1 message waits for you (recv).")
