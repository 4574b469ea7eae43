"""The commands as a shell sees them: output, JSON, exit codes, against a stand-in operator API."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from operator_stand_in import StandIn, agent, message, operation

from hyperhive import __version__
from hyperhive.cli import main
from hyperhive.cli.flow import new_messages
from hyperhive.connection import Connection
from hyperhive.errors import HiveError

pytestmark = pytest.mark.usefixtures("nowhere")

ROOT = Path(__file__).parents[2]


#: Each command with words that make it run, and its route.
COMMANDS = [
    (["list"], "GET /api/agents"),
    (["show", "alice"], "GET /api/agents/alice"),
    (["logs", "alice"], "GET /api/agents/alice/journal"),
    (["logs", "alice", "--events"], "GET /api/agents/alice/events"),
    (["start", "alice"], "POST /api/agents/alice/start"),
    (["stop", "alice"], "POST /api/agents/alice/stop"),
    (["restart", "alice"], "POST /api/agents/alice/restart"),
    (["rebuild", "alice"], "POST /api/agents/alice/rebuild"),
    (["pause", "alice"], "POST /api/agents/alice/pause"),
    (["resume", "alice"], "POST /api/agents/alice/resume"),
    (["destroy", "alice"], "POST /api/agents/alice/destroy"),
    (["destroy", "alice", "--purge", "--yes"], "POST /api/tombstones/alice/purge"),
    (["tombstones"], "GET /api/tombstones"),
    (["revive", "alice"], "POST /api/tombstones/alice/revive"),
    (["purge", "alice", "--yes"], "POST /api/tombstones/alice/purge"),
    (["operations"], "GET /api/operations"),
    (["kick", "alice"], "POST /api/agents/alice/kick"),
    (["cancel", "alice"], "POST /api/agents/alice/cancel"),
    (["model", "alice", "opus"], "POST /api/agents/alice/model"),
    (["compact", "alice"], "POST /api/agents/alice/compact"),
    (["new-session", "alice"], "POST /api/agents/alice/new-session"),
    (["login", "alice", "--cancel"], "POST /api/agents/alice/login/cancel"),
    (["send", "alice", "hello"], "POST /api/messages"),
    (["inbox"], "GET /api/inbox"),
    (["messages"], "GET /api/messages"),
    (["dead-letters"], "GET /api/dead-letters"),
    (["requeue", "3"], "POST /api/dead-letters/3/requeue"),
    (["discard", "3"], "POST /api/dead-letters/3/discard"),
    (["questions"], "GET /api/questions"),
    (["answer", "4", "yes"], "POST /api/questions/4/answer"),
    (["cancel-question", "4"], "POST /api/questions/4/cancel"),
    (["dashboard-url"], "GET /api/dashboard-url"),
    (["dashboard-url", "alice"], "GET /api/agents/alice/page-url"),
    (["audit"], "GET /api/audit"),
    (["reconcile"], "POST /api/reconcile"),
    (["dismiss", "crash-alice"], "POST /api/waiting/crash-alice/dismiss"),
]


@pytest.mark.parametrize(
    ("words", "route"), COMMANDS, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_every_command_answers_people_and_programs(
    hive: StandIn, capsys: pytest.CaptureFixture[str], words: list[str], route: str
) -> None:
    assert main(words) == 0
    said = capsys.readouterr().out
    assert said.strip()
    assert route in [asked for asked, _ in hive.requests]
    assert "\x1b" not in said, "no colours but on a terminal"
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == hive.answers[route]


def test_tables_fit_eighty_columns(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/agents"] = {
        "agents": [
            agent(
                "abcdefghi",
                state="rate_limited",
                model="claude-opus-with-a-long-name",
                unread=1000,
                statusText="x" * 300,
            ),
            agent("bob", problem="[red]it \x1b[31mfailed\u202e"),
        ]
    }
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "abcdefghi" in out
    assert "rate_limited" in out
    assert "[red]it failed" in out
    assert out.split("\n", 1)[0].split() == ["NAME", "STATE", "SINCE", "MODEL", "UNREAD", "NOTE"]
    assert " 1000 " in out, "a long note takes no room from the other columns"


def test_a_restart_that_is_pending_is_said(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    pending = agent("alice", restartPending=True, statusText="busy")
    hive.answers["GET /api/agents"] = {"agents": [pending, agent("bob", statusText="writes")]}
    hive.answers["GET /api/agents/alice"] = pending
    assert main(["list"]) == 0
    alice, bob = capsys.readouterr().out.splitlines()[1:]
    assert "restart pending until" in alice
    assert "busy" not in alice
    assert "writes" in bob
    assert main(["show", "alice"]) == 0
    assert "restart pending until its turn has ended" in capsys.readouterr().out


def test_what_goes_wrong_or_on_is_said_before_a_pending_restart(
    hive: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    hive.answers["GET /api/agents"] = {
        "agents": [
            agent("alice", restartPending=True, problem="it broke"),
            agent("bob", restartPending=True, operation=operation("stop", "running")),
        ]
    }
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "it broke" in out
    assert "stop running" in out
    assert "pending" not in out


@pytest.mark.parametrize("agents", [[], [agent("alice")]], ids=["no agents", "one agent"])
def test_warnings_of_the_hive_stand_beside_the_list(
    hive: StandIn, capsys: pytest.CaptureFixture[str], agents: list[dict[str, Any]]
) -> None:
    hive.answers["GET /api/agents"] = {"agents": agents, "warnings": ["not \x1b[2Jtaken in\nforged: line", "more"]}
    assert main(["list"]) == 0
    shown = capsys.readouterr()
    assert "warning: not taken in forged: line\nwarning: more\n" in shown.err
    assert "taken in" not in shown.out
    assert main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"][1] == "more"


def test_messages_are_shown_with_the_newest_last(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["messages", "--agent", "alice", "-n", "5"]) == 0
    out = capsys.readouterr().out
    assert out.index("first") < out.index("second")
    assert hive.requests[-1][1] == {"agent": "alice", "limit": "5"}


def test_inbox_takes_out_what_it_has_shown(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inbox", "--ack"]) == 0
    assert hive.requests[-1] == ("POST /api/inbox/ack", {"ids": [1]})
    assert "hello" in capsys.readouterr().out


def test_send_reads_standard_input(hive: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("grüße\nan alle\n".encode())))
    assert main(["send", "alice", "-", "--in-reply-to", "3"]) == 0
    assert hive.requests[-1][1] == {"to": "alice", "body": "grüße\nan alle\n", "inReplyTo": 3}


@pytest.mark.parametrize("data", [b"\xff\xfe", b"x" * (1024 * 1024 + 1)], ids=["no text", "too much"])
def test_send_refuses_what_is_no_message(hive: StandIn, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert main(["send", "alice", "-"]) == 2
    assert hive.requests == []


@pytest.mark.parametrize("words", [["start"], ["destroy"], ["destroy", "--purge", "--yes"], ["revive"], ["purge"]])
@pytest.mark.parametrize("name", ["../../inbox/ack?x=#", "", "Alice", "operator"])
def test_what_is_no_name_never_becomes_a_part_of_a_route(
    hive: StandIn, capsys: pytest.CaptureFixture[str], words: list[str], name: str
) -> None:
    assert main([*words, name]) == 2
    assert hive.requests == []
    assert "wiped" not in capsys.readouterr().err, "nobody is asked about what cannot be"


def test_an_operation_under_way_is_waited_for_through_the_stream(
    hive: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    hive.answers["POST /api/agents/alice/stop"] = operation("stop", "running")
    hive.answers["GET /api/operations/7"] = operation("stop", "running")
    hive.publish("operation", operation("stop"))
    assert main(["stop", "alice"]) == 0
    assert "alice stands still" in capsys.readouterr().out
    assert hive.streams == 1


def test_an_operation_that_fails_later_is_a_failure(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["POST /api/agents/alice/start"] = operation("start", "running")
    hive.answers["GET /api/operations/7"] = operation("start", "failed", error="no claude")
    assert main(["start", "alice"]) == 1
    assert "no claude" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HiveError("unknown_agent", "there is no agent"), 2),
        (HiveError("malformed", "wrong"), 2),
        (HiveError("body_too_large", "too much"), 2),
        (HiveError("not_allowed", "no"), 4),
        (HiveError("wrong_state", "not now"), 4),
        (HiveError("agent_not_running", "asleep"), 4),
        (HiveError("too_many_unread", "full"), 4),
        (HiveError("recipient_gone", "gone"), 4),
        (HiveError("bad_token", "who?"), 4),
        (HiveError("internal", "oops"), 1),
        (HiveError("storage_full", "full disk"), 1),
        (HiveError("operation_failed", "it failed"), 1),
    ],
)
def test_exit_codes_follow_the_kind_of_error(
    hive: StandIn, capsys: pytest.CaptureFixture[str], error: HiveError, code: int
) -> None:
    hive.answers["GET /api/agents"] = HiveError(error.code, error.message, "do \x1b[2Jthis")
    assert main(["list"]) == code
    shown = capsys.readouterr()
    assert shown.err == f"hyperhive: {error.message}\n  do this\n"
    assert shown.out == ""
    assert main(["list", "--json"]) == code
    assert json.loads(capsys.readouterr().err)["error"]["code"] == error.code


@pytest.mark.parametrize(
    "words", [["nonsense"], ["requeue", "x"], ["requeue", "0"], ["send", "alice"], ["check-config", "missing.json"]]
)
def test_bad_input_is_two(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(words) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_without_a_hive_the_exit_code_is_three_and_the_socket_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 3
    assert "/run/hyperhive/host.sock" in capsys.readouterr().err


@pytest.mark.parametrize("before", [True, False])
def test_the_socket_option_goes_before_the_environment(
    hive: StandIn,
    capsys: pytest.CaptureFixture[str],
    before: bool,  # noqa: FBT001
) -> None:
    option = ["--socket", "elsewhere.sock"]
    assert main([*option, "list"] if before else ["list", *option]) == 3
    assert "elsewhere.sock" in capsys.readouterr().err
    assert hive.requests == []


def test_messages_are_followed_whole_and_once(hive: StandIn) -> None:
    hive.publish("message", message(2, "bob", "alice", "second, changed"))
    hive.publish("message", message(3, "bob", "alice", "a long one, cut", truncated=True))
    hive.publish("message", message(3, "bob", "alice", "a long one, cut", truncated=True, state="held"))
    hive.publish("message", message(4, "carol", "dave", "none of alice's"))
    hive.publish("message", message(5, "alice", "bob", "[the end]"))
    hive.answers["GET /api/messages"] = {"messages": [message(3, "bob", "alice", "a long one, whole")]}
    seen: list[str] = []

    async def run() -> None:
        done = asyncio.Event()

        def show(one: dict[str, Any]) -> None:
            seen.append(one["body"])
            if one["id"] == 5:
                done.set()

        async with Connection() as line:
            task = asyncio.create_task(new_messages(line, {"seq": 10, "epoch": "e"}, 2, show, agent="alice"))
            async with asyncio.timeout(60):
                await done.wait()
            task.cancel()

    asyncio.run(run())
    assert seen == ["a long one, whole", "[the end]"]


def test_version() -> None:
    shown = subprocess.run([sys.executable, "-m", "hyperhive", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout == f"hyperhive {__version__}\n"


def test_client_commands_import_neither_server_nor_model() -> None:
    code = (
        "import sys; from hyperhive.cli import main; main(['list']); "
        "unwanted = ('fastapi', 'sqlmodel', 'claude_agent_sdk', 'uvicorn', 'hyperhive.shapes'); "
        "print([name for name in unwanted if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_a_reader_that_goes_away_is_no_traceback(hive: StandIn) -> None:
    hive.answers["GET /api/messages"] = {"messages": [message(n, body="x" * 2000) for n in range(200, 0, -1)]}
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    command = f"{sys.executable} -m hyperhive messages | head -n 1"
    shown = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True, env=environment)
    assert "Traceback" not in shown.stderr


def test_every_command_stands_in_the_documentation(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    shown = capsys.readouterr().out
    commands = re.findall(r"^  ([a-z-]+)  ", shown.split("Commands:")[1], re.MULTILINE)
    assert len(commands) >= 20
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert [name for name in commands if f"hyperhive {name}" not in text] == []
    for name in commands:
        main([name, "--help"])
        options = set(re.findall(r"(--[a-z-]+)", capsys.readouterr().out)) - {"--help"}
        assert [option for option in options if option not in text] == [], name
