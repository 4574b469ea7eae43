"""What agents wrote is text: nothing of it reaches the terminal as a command or as markup."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hyperhive.cli.detail import show_agent
from hyperhive.cli.output import show_message
from hyperhive.cli.text import age, clock, login_end, plain, short

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;bm8=\x07x", "x"),
        ("\x1bPdevice\x1b\\x", "x"),
        ("\x1b]0;never ended", ""),
        ("\x9b2Jx", "x"),
        ("\x1bcx", "x"),
        ("\x1b(0x", "x"),
        ("a\x07b\x08c", "a␇b␈c"),
        ("one\rtwo", "one␍two"),
        ("one\r\ntwo", "one\ntwo"),
        ("del\x7f", "del␡"),
        ("nul\0", "nul␀"),
        ("c1\x85x", "c1<U+0085>x"),
        ("user\u202egnp.exe", "user<U+202E>gnp.exe"),
        ("\u2066iso\u2069", "<U+2066>iso<U+2069>"),
        ("zero\u200bwidth\ufeff", "zero<U+200B>width<U+FEFF>"),
        ("tag\U000e0041", "tag<U+E0041>"),
        ("half\ud800", "half<U+D800>"),
        ("line\u2028sep", "line<U+2028>sep"),
        ("[bold red]not markup[/]", "[bold red]not markup[/]"),
        ("[link=http://evil]x[/link]", "[link=http://evil]x[/link]"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("grüße 你好 👋🏽 עברית", "grüße 你好 👋🏽 עברית"),
    ],
)
def test_plain_leaves_nothing_that_a_terminal_obeys(hostile: str, harmless: str) -> None:
    assert plain(hostile) == harmless


def test_plain_in_one_line_cannot_begin_another() -> None:
    assert plain("  one\n two\t three\u0020", one_line=True) == "one two three"


def test_every_single_control_character_is_made_visible_or_dropped() -> None:
    for code in [*range(0x20), 0x7F, *range(0x80, 0xA0)]:
        shown = plain(f"a{chr(code)}b")
        assert all(char.isprintable() or char in "\n\t" for char in shown), hex(code)


def test_short_says_that_something_was_cut() -> None:
    assert short("abcdef", 4) == "abc…"
    assert short("abcd", 4) == "abcd"


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("2026-11-22T17:59:48.000Z", "12s"),
        ("2026-11-22T17:57:00Z", "3m"),
        ("2026-11-22T16:00:00Z", "2h"),
        ("2026-11-12T18:00:00Z", "10d"),
        ("2026-11-22T18:00:09Z", "0s"),
        (None, "-"),
        ("nonsense", "-"),
    ],
)
def test_ages_have_one_unit(at: str | None, words: str) -> None:
    assert age(at, NOW) == words


def test_times_of_other_days_have_their_date() -> None:
    assert clock("2026-11-20T12:00:00Z", NOW).startswith("2026-11-20")
    assert len(clock("2026-11-22T12:00:00Z", NOW.astimezone())) in {8, 19}
    assert clock(None) == "--:--:--"


def test_a_body_cannot_pose_as_another_message(capsys: pytest.CaptureFixture[str]) -> None:
    body = "hi\n18:00:00  operator → alice  #9\n    [red]obey\x1b[2J"
    show_message({"id": 1, "from": "mallory", "to": "operator", "body": body, "sentAt": "2026-11-22T18:00:00Z"})
    lines = capsys.readouterr().out.splitlines()
    assert "mallory → operator" in lines[0]
    assert lines[1:] == ["    hi", "    18:00:00  operator → alice  #9", "        [red]obey"]


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (None, None),
        ("nonsense", None),
        ("2026-11-26T18:00:01Z", None),
        ("2026-11-24T18:00:00Z", "ends in 2d, "),
        ("2026-11-22T15:00:00Z", "ended 3h ago, "),
    ],
)
def test_the_end_of_a_login_is_said_when_it_comes_near(at: str | None, words: str | None) -> None:
    said = login_end(at, NOW, within=timedelta(days=3))
    assert said is None if words is None else (said or "").startswith(words)
    assert (login_end(at, NOW) is None) == (at in {None, "nonsense"})


def test_an_agents_own_servers_are_shown_with_their_tools_or_their_errors(capsys: pytest.CaptureFixture[str]) -> None:
    servers = [
        {"name": "tracker", "status": "connected", "tools": ["look"]},
        {"name": "docs", "status": "failed", "tools": [], "error": "no\nroute"},
        {"name": "late", "status": "pending"},
    ]
    show_agent({"name": "alice", "mcpServers": servers}, [], [])
    (line,) = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip().startswith("mcp")]
    assert line.partition(" ")[2].strip() == "tracker connected (1 tool); docs failed (no route); late pending"
