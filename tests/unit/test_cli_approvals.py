"""The commands about approvals, and the library's methods, against a stand-in operator API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from operator_stand_in import AT, StandIn, served
from starlette.responses import PlainTextResponse

from hyperhive.cli import main
from hyperhive.client import HiveClient
from hyperhive.errors import HiveError

_HASH = "6d1c27c6b9e7b0f7a5d7a2a4d6b8b3a4f0f2a1c9"


def approval(number: int = 3, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "id": number, "kind": "apply", "agent": "alice", "status": "pending", "requestedBy": "manager",
        "requestedAt": AT, "expiresAt": AT, "description": "vim\x1b[31m for alice", "commit": _HASH, "base": "0" * 40,
        "diff": "+[ vim ]\n-[ ]\n@@ 1 @@\n same\x1b[31m",
        "build": {"status": "ok", "sizeBytes": 2048, "units": ["a.service"]},
        **more,
    }  # fmt: skip


def spawn(number: int = 4, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "id": number, "kind": "spawn", "agent": "coder", "status": "pending", "requestedBy": "manager",
        "requestedAt": AT, "expiresAt": AT, "spec": {"prompt": "Write\ncode."}, **more,
    }  # fmt: skip


def _sent(hive: StandIn) -> Any:  # noqa: ANN401 - JSON
    return hive.requests[-1]


def test_a_listing_has_what_is_open_and_all_with_all(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [spawn(4), approval(3, stale=True)]
    hive.answers["GET /api/approvals"] = {"approvals": rows}
    assert main(["approvals"]) == 0
    # Which are open is asked for: an old one may stand behind many that are over.
    assert _sent(hive) == ("GET /api/approvals", {"status": "open", "limit": "200"})
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines[1:]] == ["3", "4"]
    assert "(stale)" in lines[1]
    assert "\x1b" not in out
    assert "hyperhive approve ID" in err
    assert main(["approvals", "--json"]) == 0
    assert [row["id"] for row in json.loads(capsys.readouterr().out)["approvals"]] == [4, 3]
    rows.append(approval(2, status="denied", reason="no editors here"))
    assert main(["approvals", "--all"]) == 0
    assert _sent(hive)[1] == {"limit": "200"}
    assert "no editors here" in capsys.readouterr().out


def test_the_whole_log_of_a_build(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/approvals/3/log"] = PlainTextResponse("evaluating\n\x1b[31merror: no\n")
    assert main(["approvals", "3", "--log"]) == 0
    out = capsys.readouterr().out
    assert "evaluating" in out
    assert "error: no" in out
    assert "\x1b" not in out
    assert main(["approvals", "3", "--log", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"log": "evaluating\n\x1b[31merror: no\n"}
    hive.answers["GET /api/approvals/4/log"] = HiveError("wrong_state", "there is nothing to build")
    assert main(["approvals", "4", "--log"]) == 4
    assert main(["approvals", "--log"]) == 2
    assert "hyperhive approvals ID --log" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "said"), [([], "Nothing needs your yes."), (["--all"], "Nothing was ever asked")])
def test_nothing_to_decide(hive: StandIn, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    hive.answers["GET /api/approvals"] = {"approvals": []}
    assert main(["approvals", *words]) == 0
    assert said in capsys.readouterr().err


def test_one_of_them_is_shown_with_all_that_it_changes(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/approvals/3"] = approval(closureDiff="vim: ∅ → 9.0", truncated=True, note="look twice")
    assert main(["approvals", "3"]) == 0
    out = capsys.readouterr().out
    for words in (_HASH, "+[ vim ]", "vim: ∅ → 9.0", "2.0 KiB", "a.service", "This is not all of it", "look twice"):
        assert words in out
    assert "\x1b" not in out
    hive.answers["GET /api/approvals/4"] = spawn()
    assert main(["approvals", "4"]) == 0
    assert "    Write\n    code." in capsys.readouterr().out


def test_a_yes_names_the_commit_and_waits_for_the_end(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/approvals/3"] = approval(status="approved")
    hive.answers["POST /api/approvals/3/approve"] = approval(status="approved")
    hive.publish("approval", approval(status="deploying"))
    hive.publish("approval", approval(7, status="deployed"))
    hive.publish("approval", approval(status="deployed", note="not checked: the agent is stopped"))
    assert main(["approve", "3", "--reason", "needed"]) == 0
    assert ("POST /api/approvals/3/approve", {"commit": _HASH, "reason": "needed"}) in hive.requests
    assert capsys.readouterr().out == "approval 3 is deployed; not checked: the agent is stopped\n"


def test_a_yes_to_an_agent_names_no_commit(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/approvals/4"] = spawn()
    hive.answers["POST /api/approvals/4/approve"] = spawn(status="approved")
    assert main(["approve", "4", "--no-wait"]) == 0
    assert _sent(hive) == ("POST /api/approvals/4/approve", {})
    assert capsys.readouterr().out == "approval 4 is approved\n"


def test_what_was_approved_and_has_failed_is_a_failure(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/approvals/3"] = approval(status="failed", reason="no sign of life")
    hive.answers["POST /api/approvals/3/approve"] = approval(status="approved")
    assert main(["approve", "3", "--commit", _HASH]) == 1
    assert "no sign of life" in capsys.readouterr().err


def test_a_no_carries_its_reason(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["POST /api/approvals/3/deny"] = approval(status="denied")
    assert main(["deny", "3", "--reason", "no editors here"]) == 0
    assert _sent(hive)[1] == {"reason": "no editors here"}
    assert main(["deny", "3"]) == 0
    assert _sent(hive)[1] == {}
    assert capsys.readouterr().out == "approval 3 is denied\n" * 2


def test_whoever_comes_second_is_refused(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/approvals/3"] = approval()
    hive.answers["POST /api/approvals/3/approve"] = HiveError("wrong_state", "approval 3 was denied by operator")
    assert main(["approve", "3"]) == 4
    assert "denied by operator" in capsys.readouterr().err
    hive.answers["POST /api/approvals/3/deny"] = HiveError("unknown_approval", "there is no approval 3")
    assert main(["deny", "3"]) == 2


def test_a_new_agent_is_asked_for_and_that_taken_back(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["POST /api/spawn-requests"] = spawn()
    assert main(["request-spawn", "coder", "--description", "writes code", "--model", "opus"]) == 0
    assert _sent(hive)[1] == {"name": "coder", "description": "writes code", "model": "opus"}
    assert "hyperhive approve 4" in capsys.readouterr().out
    hive.answers["POST /api/approvals/4/cancel"] = spawn(status="cancelled")
    assert main(["cancel-approval", "4"]) == 0


async def test_the_library_has_the_same() -> None:
    stand_in = StandIn()
    stand_in.answers |= {
        "GET /api/approvals": {"approvals": [approval()]},
        "GET /api/approvals/3": approval(),
        "GET /api/approvals/3/log": PlainTextResponse("evaluating\n"),
        "POST /api/approvals/3/approve": approval(status="approved"),
        "POST /api/approvals/3/deny": approval(status="denied"),
        "POST /api/approvals/4/cancel": spawn(status="cancelled"),
        "POST /api/spawn-requests": spawn(),
    }
    async with served(stand_in) as path, HiveClient(path) as client:
        (row,) = await client.approvals(status="pending", agent="alice", limit=5)
        assert stand_in.requests[-1][1] == {"status": "pending", "agent": "alice", "limit": "5"}
        assert row.build is not None
        assert (row.commit, row.build.units) == (_HASH, ["a.service"])
        assert (await client.approval(3)).agent == "alice"
        assert await client.approval_log(3) == "evaluating\n"
        assert (await client.approve(3, commit=row.commit, reason="needed")).status == "approved"
        assert stand_in.requests[-1][1] == {"commit": _HASH, "reason": "needed"}
        assert (await client.deny(3, "no")).status == "denied"
        assert (await client.request_spawn("coder", prompt="x")).id == 4
        assert stand_in.requests[-1][1] == {"name": "coder", "prompt": "x"}
        assert (await client.cancel_approval(4)).status == "cancelled"
        assert (await client.state()).approvals == [], "an older hive does not say"
