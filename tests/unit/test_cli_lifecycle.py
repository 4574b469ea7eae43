"""Commands that change what runs, and those on tombstones, as a shell sees them."""

from __future__ import annotations

import io
import json

import pytest
from operator_stand_in import AT, StandIn, operation, tombstone

from hyperhive.cli import main
from hyperhive.errors import HiveError

pytestmark = pytest.mark.usefixtures("nowhere")

HOSTILE = "[red]x\x1b]0;title\x07\u202e\nforged"


class _Stdin:
    """Standard input that is a terminal, or is not."""

    def __init__(self, typed: str, *, terminal: bool) -> None:
        self._typed = typed
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def readline(self) -> str:
        assert self._terminal, "who is nobody is not asked"
        return self._typed


def _asked(hive: StandIn) -> list[str]:
    return [route for route, _ in hive.requests]


PURGES = [["purge", "alice"], ["destroy", "alice", "--purge"]]


@pytest.mark.parametrize("words", PURGES, ids=" ".join)
def test_a_purge_wants_the_name_typed(
    hive: StandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr("sys.stdin", _Stdin("alice \n", terminal=True))
    assert main(words) == 0
    shown = capsys.readouterr()
    assert shown.out == "nothing of alice is kept any more\n"
    assert "nothing brings them back" in shown.err, "the question does not disturb the output"
    assert hive.requests[-1] == ("POST /api/tombstones/alice/purge", {"name": "alice"})


@pytest.mark.parametrize("words", PURGES, ids=" ".join)
@pytest.mark.parametrize("typed", ["yes\n", "", "\n", "alic\n"], ids=["yes", "end", "nothing", "another"])
def test_anything_else_that_is_typed_wipes_nothing(
    hive: StandIn,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    typed: str,
) -> None:
    monkeypatch.setattr("sys.stdin", _Stdin(typed, terminal=True))
    assert main(words) == 2
    assert "Nothing was done" in capsys.readouterr().err
    assert hive.requests == []


@pytest.mark.parametrize("words", PURGES, ids=" ".join)
@pytest.mark.parametrize("stdin", [_Stdin("alice\n", terminal=False), None], ids=["a pipe", "closed"])
def test_without_a_terminal_a_purge_has_to_be_said_with_yes(
    hive: StandIn,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    stdin: _Stdin | None,
) -> None:
    monkeypatch.setattr("sys.stdin", stdin)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "standard input is none" in error
    assert "--yes" in error
    assert hive.requests == []
    assert main([*words, "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "malformed"
    assert main([*words, "--yes"]) == 0
    assert "POST /api/tombstones/alice/purge" in _asked(hive)


def test_a_plain_destroy_asks_nothing_and_says_how_to_go_back(
    hive: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["destroy", "alice"]) == 0
    assert "hyperhive revive alice" in capsys.readouterr().out
    assert _asked(hive) == ["POST /api/agents/alice/destroy"]


def test_what_could_not_be_destroyed_is_not_purged(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["POST /api/agents/alice/destroy"] = operation("destroy", "running")
    hive.answers["GET /api/operations/7"] = operation("destroy", "failed", error="it \x1b[1mstays")
    assert main(["destroy", "alice", "--purge", "--yes"]) == 1
    shown = capsys.readouterr()
    assert "destroy of 'alice' failed: it stays" in shown.err
    assert shown.out == ""
    assert "POST /api/tombstones/alice/purge" not in _asked(hive)


def test_a_long_destroy_is_waited_for_before_the_purge(hive: StandIn) -> None:
    hive.answers["POST /api/agents/alice/destroy"] = operation("destroy", "running")
    hive.answers["GET /api/operations/7"] = operation("destroy", "running")
    hive.publish("operation", operation("destroy"))
    assert main(["destroy", "alice", "--purge", "--yes"]) == 0
    asked = _asked(hive)
    assert asked.index("GET /api/stream") < asked.index("POST /api/tombstones/alice/purge")


@pytest.mark.parametrize("words", [["revive", "alice"], ["purge", "alice", "--yes"]], ids=" ".join)
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HiveError("unknown_agent", "there is no tombstone 'alice'"), 2),
        (HiveError("wrong_state", "'alice' is an agent"), 4),
        (HiveError("port_collision", "the same port"), 4),
        (HiveError("operation_failed", "the disk"), 1),
    ],
    ids=lambda value: value.code if isinstance(value, HiveError) else "",
)
def test_what_a_tombstone_refuses_has_its_exit_code(
    hive: StandIn, capsys: pytest.CaptureFixture[str], words: list[str], error: HiveError, code: int
) -> None:
    hive.answers[f"POST /api/tombstones/alice/{words[0]}"] = error
    assert main(words) == code
    assert error.message in capsys.readouterr().err
    assert main([*words, "--json"]) == code
    assert json.loads(capsys.readouterr().err)["error"]["code"] == error.code


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("rebuild", "alice was made anew and runs"),
        ("pause", "alice is paused"),
        ("resume", "alice gets its messages again"),
        ("revive", "alice is an agent again and runs"),
    ],
)
def test_what_was_done_is_said(hive: StandIn, capsys: pytest.CaptureFixture[str], action: str, said: str) -> None:
    assert main([action, "alice"]) == 0
    assert capsys.readouterr().out == f"{said}\n"
    assert len(hive.requests) == 1


@pytest.mark.parametrize("action", ["rebuild", "pause", "resume", "destroy"])
def test_what_failed_later_is_a_failure_and_its_row_is_there_for_programs(
    hive: StandIn, capsys: pytest.CaptureFixture[str], action: str
) -> None:
    failed = operation(action, "failed", error=HOSTILE)
    hive.answers[f"POST /api/agents/alice/{action}"] = operation(action, "queued")
    hive.answers["GET /api/operations/7"] = failed
    assert main([action, "alice"]) == 1
    error = capsys.readouterr().err
    assert f"{action} of alice is under way" in error
    assert "\x1b" not in error
    assert "\u202e" not in error
    assert main([action, "alice", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == failed


def test_tombstones_are_told_with_what_is_kept(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["GET /api/tombstones"] = {
        "tombstones": [
            tombstone("alice", declared=True, sizeBytes=5_242_880, unread=31),
            tombstone("bob", hasLogin=False, origin="spawned", sizeBytes=None, unread=0),
        ]
    }
    assert main(["tombstones"]) == 0
    head, alice, bob = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "SINCE", "LOGIN", "SIZE", "UNREAD", "NOTE"]
    assert alice.split()[0] == "alice"
    assert alice.split()[2:] == ["yes", "5.0", "MiB", "31", "still", "in", "the", "settings"]
    assert bob.split()[0] == "bob"
    assert bob.split()[2:] == ["no", "-", "0", "spawned"]


def test_the_queue_is_shown_with_the_newest_last(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    later = AT.replace("18:03:00", "18:05:07")
    hive.answers["GET /api/operations"] = {
        "operations": [
            operation("rebuild", "queued", id=9),
            operation("stop", "running", id=8),
            operation("start", "failed", id=7, endedAt=later, error="no room. " + "Free some. " * 12),
        ]
    }
    assert main(["operations"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ID", "AGENT", "KIND", "STATUS", "SINCE", "TOOK", "ERROR"]
    assert max(len(line) for line in lines) <= 80
    assert lines[1].split()[:4] == ["7", "alice", "start", "failed"]
    assert lines[1].split()[5] == "2m"
    assert "".join(lines).count("Free") == 12, "an error is shown to its end"
    assert lines[-1].split()[:4] == ["9", "alice", "rebuild", "queued"]
    assert lines[-1].split()[5] == "-"


@pytest.mark.parametrize(
    ("route", "words", "said"),
    [
        ("tombstones", ["tombstones"], "There are no tombstones."),
        ("operations", ["operations"], "Nothing was done to any agent since the hive has started."),
    ],
)
def test_nothing_is_said_to_be_nothing(
    hive: StandIn, capsys: pytest.CaptureFixture[str], route: str, words: list[str], said: str
) -> None:
    hive.answers[f"GET /api/{route}"] = {route: []}
    assert main(words) == 0
    shown = capsys.readouterr()
    assert shown.err == f"{said}\n"
    assert shown.out == ""


@pytest.mark.parametrize("words", [["tombstones"], ["operations"]], ids=" ".join)
def test_hostile_words_in_a_table_stay_words_in_their_line(
    hive: StandIn, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    hive.answers["GET /api/tombstones"] = {"tombstones": [tombstone(HOSTILE, origin=HOSTILE, unread=HOSTILE)]}
    hive.answers["GET /api/operations"] = {
        "operations": [operation(HOSTILE, HOSTILE, id=HOSTILE, agent=HOSTILE, error=HOSTILE)]
    }
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "[red]x" in out, "no markup"
    assert not any(line.startswith("forged") for line in out.splitlines())


def test_what_waits_is_listed_as_text(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pending"]) == 0
    said = capsys.readouterr().out
    assert "crash-alice" in said
    assert "alice crashed: " in said
    assert "\x1b" not in said
    assert main(["pending", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == hive.answers["GET /api/waiting"]
    hive.answers["GET /api/waiting"] = {"waiting": []}
    assert main(["pending"]) == 0
    assert "Nothing waits" in capsys.readouterr().err


def test_a_crash_is_dismissed_and_nothing_else(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dismiss", "crash-alice"]) == 0
    assert capsys.readouterr().out == "crash-alice waits no more\n"
    hive.answers["POST /api/waiting/mail/dismiss"] = HiveError("wrong_state", "'mail' cannot be dismissed")
    assert main(["dismiss", "mail"]) == 4


@pytest.mark.parametrize("item", ["..", "", "../inbox", "a?b", HOSTILE])
def test_what_is_no_id_never_becomes_a_part_of_a_route(
    hive: StandIn, capsys: pytest.CaptureFixture[str], item: str
) -> None:
    assert main(["dismiss", item]) == 2
    assert "\x1b" not in capsys.readouterr().err
    assert hive.requests == []


@pytest.mark.parametrize("words", [["purge"], ["revive"], ["rebuild"], ["destroy"], ["dismiss"]], ids=" ".join)
def test_a_name_is_needed(hive: StandIn, words: list[str]) -> None:
    assert main(words) == 2
    assert hive.requests == []


def test_spawn_sends_what_was_said(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["POST /api/agents"] = operation("spawn", agent="coder")
    assert main(["spawn", "coder", "--model", "opus", "--description", "writes code"]) == 0
    assert hive.requests[-1] == (
        "POST /api/agents",
        {"name": "coder", "description": "writes code", "model": "opus"},
    )
    assert capsys.readouterr().out.startswith("coder was made and runs")


def test_spawn_reads_a_prompt_from_standard_input(hive: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    hive.answers["POST /api/agents"] = operation("spawn", agent="coder")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Be brief.\nAlways.\n")))
    assert main(["spawn", "coder", "--prompt", "-"]) == 0
    assert hive.requests[-1][1] == {"name": "coder", "prompt": "Be brief.\nAlways.\n"}


def test_a_spawn_that_is_refused_says_why(hive: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["POST /api/agents"] = HiveError("name_taken", "'coder' cannot be made", "Choose another name")
    assert main(["spawn", "coder"]) == 4
    assert "Choose another name" in capsys.readouterr().err
