"""Whose login it is: the same digest for all who share it, and nothing of the login in it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from hyperhive.harness.account import account_digest, login_expiry
from hyperhive.harness.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

_SECRET = "sk-made-up-and-long"


def settings(root: Path, login: object = None, account: object = None) -> Settings:
    """The settings of an agent whose files say this."""
    claude = root / "claude"
    claude.mkdir(parents=True, exist_ok=True)
    if login is not None:
        (claude / ".credentials.json").write_text(json.dumps(login))
    if account is not None:
        (claude / ".claude.json").write_text(json.dumps(account))
    return Settings(socket=root / "s", state=root, shared=root, claude_config=claude)


def stored(**more: object) -> dict[str, Any]:
    """A stored login."""
    return {"claudeAiOauth": {"accessToken": "a", "refreshToken": "r", "expiresAt": 1_700_000_000_000, **more}}


def test_the_same_credential_is_the_same_account_and_stands_in_no_digest(tmp_path: Path) -> None:
    one, two = settings(tmp_path / "1"), settings(tmp_path / "2", stored())
    digest = account_digest({"ANTHROPIC_API_KEY": _SECRET}, one)
    assert digest == account_digest({"ANTHROPIC_API_KEY": _SECRET, "OTHER": "x"}, two)
    assert digest != account_digest({"ANTHROPIC_API_KEY": _SECRET + "2"}, one)
    assert digest
    assert len(digest) == 16
    assert account_digest({}, one) is None


def test_two_sign_ins_of_one_account_are_the_same_account(tmp_path: Path) -> None:
    about = {"oauthAccount": {"accountUuid": "0b8f"}, "projects": {"x": "y" * 10_000}}
    one = settings(tmp_path / "1", stored(), about)
    two = settings(tmp_path / "2", stored(refreshToken="another"), about)
    assert account_digest({}, one) == account_digest({}, two)
    unknown = settings(tmp_path / "3", stored(), {"oauthAccount": []})
    assert account_digest({}, unknown) not in {None, account_digest({}, one)}


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        (stored(refreshTokenExpiresAt=1_800_000_000_000), datetime(2027, 1, 15, 8, tzinfo=UTC)),
        (stored(), None),
        (stored(refreshToken=None), datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (stored(refreshTokenExpiresAt=1e300), None),
        (stored(refreshTokenExpiresAt="soon"), None),
        (stored(refreshTokenExpiresAt=True), None),
        ({"claudeAiOauth": "x"}, None),
        ([], None),
    ],
)
def test_when_a_stored_login_ends(tmp_path: Path, login: object, expected: datetime | None) -> None:
    assert login_expiry(settings(tmp_path, login)) == expected


def test_a_pipe_in_the_place_of_the_login_blocks_nobody(tmp_path: Path) -> None:
    where = settings(tmp_path)
    os.mkfifo(where.claude_config / ".credentials.json")
    assert login_expiry(where) is None
    assert account_digest({}, where) is None
