"""The command about reminders, what `show` lists as open, and the library's methods, against a stand-in API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from operator_stand_in import AT, StandIn, reminder, served

from hyperhive.cli import main
from hyperhive.client import HiveClient

if TYPE_CHECKING:
    import pytest


def test_a_listing_has_schedules_and_reminders(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/reminders"] = {
        "reminders": [
            reminder(8, "look\nat \x1b[31mit"),
            reminder(7, status="cancelled", endedBy="operator", endedAt=AT),
            reminder(6, status="fired", endedAt=AT, messageId=12),
        ],
        "schedules": [
            {
                "agent": "bob",
                "name": "morning",
                "rule": "cron 0 8 * * * (Europe/Berlin)",
                "message": "Read.",
                "nextAt": AT,
                "lastAt": AT,
            },
            {"agent": "bob", "name": "odd", "rule": "every 1h", "message": "m", "nextAt": None, "lastAt": None},
        ],
    }
    assert main(["reminders", "--all", "--agent", "bob"]) == 0
    assert hive.requests[-1] == ("GET /api/reminders", {"agent": "bob", "limit": "200"})
    out, err = capsys.readouterr()
    lines = [line.strip() for line in out.splitlines()]
    assert "bob  schedule morning, cron 0 8 * * * (Europe/Berlin)  last " in lines[0]
    assert lines[0].startswith("next ")
    assert lines[1] == "Read."
    assert lines[2] == "not now  bob  schedule odd, every 1h"
    assert lines[4].split("  ", 1)[1].startswith("alice  reminder 6  fired ")
    assert lines[4].endswith("as message 12")
    assert lines[6].endswith("alice  reminder 7  cancelled by operator")
    assert lines[8].endswith("alice  reminder 8")
    assert lines[9:] == ["look", "at it"]
    assert err == ""


def test_without_reminders_it_says_so(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/reminders"] = {"reminders": [], "schedules": []}
    assert main(["reminders"]) == 0
    assert hive.requests[-1][1] == {"status": "pending", "limit": "200"}
    assert "No reminder is pending." in capsys.readouterr().err


def test_one_is_cancelled(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reminders", "--cancel", "6"]) == 0
    assert hive.requests[-1][0] == "DELETE /api/reminders/6"
    assert "reminder 6 of alice is cancelled" in capsys.readouterr().out
    assert main(["reminders", "--cancel", "6", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "cancelled"


def test_show_lists_what_is_open(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert hive.answers
    assert main(["show", "alice"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    begin = lines.index("open:")
    assert "question 4 asked operator, until " in lines[begin + 1]
    assert lines[begin + 1].endswith(": Which?")
    assert "6 reminder, due " in lines[begin + 2]
    assert lines[begin + 2].endswith(": look now")


async def test_the_library_reads_and_cancels() -> None:
    stand_in = StandIn()
    async with served(stand_in) as path, HiveClient(path) as client:
        found = await client.reminders(status="pending", agent="alice")
        assert [row.id for row in found.reminders] == [6]
        assert stand_in.requests[-1][1] == {"status": "pending", "agent": "alice"}
        assert (await client.cancel_reminder(6)).ended_by == "operator"
        ends = await client.loose_ends("alice")
        assert ([end.kind for end in ends.ends], ends.unread) == (["question", "reminder"], 2)
