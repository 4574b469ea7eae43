"""Commands that reach an agent's Claude, as a shell sees them; above all a sign-in, which asks a person."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from operator_stand_in import StandIn, agent, operation, served_in_thread

from hyperhive.cli import main
from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

LINK = "https://claude.ai/oauth/authorize?z-made-up"
CODE = "a-made-up-code#and-its-state"


def phase(number: int, name: str, **more: str) -> dict[str, Any]:
    return {"phase": name, "since": f"2026-11-22T18:03:0{number}.000Z", **more}


class SignInStandIn(StandIn):
    """Each step of a sign-in brings the next of `then` into alice's row."""

    def reset(self) -> None:
        super().reset()
        self.login: dict[str, Any] | None = phase(0, "failed", error="an old one")
        self.then: list[dict[str, Any] | None] = []

    def state(self) -> dict[str, Any]:
        return {**super().state(), "agents": [agent("bob", login=phase(9, "done")), agent("alice", login=self.login)]}

    async def handle(self, request: Request) -> Response:
        answer = await super().handle(request)
        if "/login/" in request.url.path and self.then and answer.status_code < 300:
            self.login = self.then.pop(0)
        self.answers["GET /api/agents/alice"] = agent("alice", login=self.login)
        return answer


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[SignInStandIn, Path]]:
    stand_in = SignInStandIn()
    with served_in_thread(stand_in) as path:
        yield stand_in, path


@pytest.fixture
def hive(server: tuple[SignInStandIn, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SignInStandIn:
    stand_in, path = server
    stand_in.reset()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYPERHIVE_SOCKET", str(path))
    return stand_in


class _Stdin:
    def __init__(self, *lines: str, terminal: bool = False) -> None:
        self._lines, self._terminal = list(lines), terminal

    def isatty(self) -> bool:
        return self._terminal

    def readline(self) -> str:
        return self._lines.pop(0) if self._lines else ""


def given(hive: SignInStandIn) -> list[Any]:
    return [body for route, body in hive.requests if route.endswith("/login/code")]


def test_a_login_prints_the_link_and_asks_for_the_code_without_showing_it(
    hive: SignInStandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hive.then = [phase(1, "link", url=LINK), phase(2, "done")]
    monkeypatch.setattr("sys.stdin", _Stdin(terminal=True))
    monkeypatch.setattr("getpass.getpass", lambda _prompt: f" {CODE} ")
    assert main(["login", "alice"]) == 0
    shown = capsys.readouterr()
    assert LINK in shown.out
    assert shown.out.endswith("alice is signed in\n")
    assert CODE not in shown.out + shown.err
    assert given(hive) == [{"code": CODE}]


def test_half_a_code_is_asked_for_again(
    hive: SignInStandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = phase(2, "link", url=LINK, error="That doesn't look like the full code.\x1b[2J")
    hive.then = [phase(1, "link", url=LINK), wrong, phase(3, "done")]
    monkeypatch.setattr("sys.stdin", _Stdin("half\n", f"{CODE}\n"))
    assert main(["login", "alice", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["phase"] == "done"
    assert LINK in shown.err
    assert "full code." in shown.err
    assert "\x1b" not in shown.err
    assert given(hive) == [{"code": "half"}, {"code": CODE}]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (phase(2, "failed", error="That code wasn't accepted."), "failed (That code wasn't accepted.)"),
        (phase(2, "expired", error="it was not finished in time"), "has expired (it was not"),
        (phase(2, "cancelled"), "was cancelled"),
        (None, "its harness was restarted"),
    ],
    ids=["wrong", "expired", "cancelled", "gone"],
)
def test_an_attempt_that_fails_ends_with_1_and_says_why(
    hive: SignInStandIn,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    end: dict[str, Any] | None,
    words: str,
) -> None:
    hive.then = [phase(1, "link", url=LINK), end]
    monkeypatch.setattr("sys.stdin", _Stdin(f"{CODE}\n"))
    assert main(["login", "alice"]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert "Try again: hyperhive login alice" in error
    assert CODE not in error


def test_who_gives_no_code_cancels(
    hive: SignInStandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hive.then = [phase(1, "link", url=LINK)]
    monkeypatch.setattr("sys.stdin", _Stdin())
    assert main(["login", "alice"]) == 2
    assert "no code was given" in capsys.readouterr().err
    assert hive.requests[-1][0] == "POST /api/agents/alice/login/cancel"


def test_a_refused_start_says_why(hive: SignInStandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hive.answers["POST /api/agents/alice/login/start"] = HiveError("agent_not_running", "'alice' does not run", "Start")
    assert main(["login", "alice"]) == 4
    assert "does not run" in capsys.readouterr().err


def test_the_model_is_shown_and_set(hive: SignInStandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "alice"]) == 0
    assert capsys.readouterr().out == "haiku\n"
    assert main(["model", "alice", "opus"]) == 0
    assert capsys.readouterr().out == "alice uses opus from its next turn on\n"
    assert hive.requests[-1] == ("POST /api/agents/alice/model", {"model": "opus"})
    hive.answers["POST /api/agents/alice/compact"] = operation("compact", "failed", error="it is too short")
    assert main(["compact", "alice"]) == 1
    assert "it is too short" in capsys.readouterr().err
