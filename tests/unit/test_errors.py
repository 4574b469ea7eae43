"""Errors: every code is known, travels under one status, and is explained."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import hyperhive
from hyperhive.errors import STATUS, HiveError

_SOURCE = Path(hyperhive.__file__).parent
_DOCS = Path(__file__).parents[2] / "docs" / "errors.md"


def _raised() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for file in _SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "HiveError" and node.args:
                code = node.args[0]
                if isinstance(code, ast.Constant):
                    found.setdefault(code.value, set()).add(file.name)
    return found


def _table() -> dict[str, int]:
    rows = re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \| \S.* \| \S.* \|$", _DOCS.read_text(), re.MULTILINE)
    assert len(rows) == len({code for code, _ in rows})
    return {code: int(status) for code, status in rows}


def test_every_code_that_is_raised_has_a_status() -> None:
    raised = _raised()
    assert len(raised) > 20
    assert {code: files for code, files in raised.items() if code not in STATUS} == {}


def test_the_documentation_has_every_code_with_its_status() -> None:
    assert _table() == STATUS


def test_codes_are_in_alphabetical_order() -> None:
    """A list that is in order is one where a code is found, and not added twice."""
    assert list(STATUS) == sorted(STATUS)
    assert list(_table()) == sorted(STATUS)


def test_an_error_says_what_and_what_next() -> None:
    error = HiveError("unknown_agent", "there is no agent 'bop'", "Did you mean bob?", nearest=["bob"])
    assert error.status == 404
    assert str(error) == "there is no agent 'bop'. Did you mean bob?"
    assert error.to_json() == {
        "error": {
            "code": "unknown_agent",
            "message": "there is no agent 'bop'",
            "hint": "Did you mean bob?",
            "nearest": ["bob"],
        }
    }
    assert str(HiveError("internal", "a mistake")) == "a mistake"


def test_an_error_survives_the_wire() -> None:
    sent = HiveError("too_many_unread", "many", "wait", retry_after=30)
    got = HiveError.from_json(429, sent.to_json())
    assert (got.code, got.message, got.hint, got.data) == ("too_many_unread", "many", "wait", {"retry_after": 30})


@pytest.mark.parametrize("answer", [None, "text", [], {}, {"error": "text"}, {"error": None}, {"detail": "x"}])
def test_whatever_else_is_answered_is_an_error_too(answer: object) -> None:
    error = HiveError.from_json(502, answer)
    assert error.code == "internal"
    assert "502" in error.message


def test_a_code_of_a_newer_hive_is_kept() -> None:
    error = HiveError.from_json(418, {"error": {"code": "teapot", "message": "no coffee"}})
    assert (error.code, error.status) == ("teapot", 500)
