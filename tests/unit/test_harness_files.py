"""Files that an agent could have prepared: the session, the record of events, credentials. None of them may hurt."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from hyperhive.errors import HiveError
from hyperhive.harness.login import login_marks, login_source, read_credentials
from hyperhive.harness.meter import Tokens
from hyperhive.harness.record import FILE, Record
from hyperhive.harness.session_file import FILE as SESSION
from hyperhive.harness.session_file import Remembered, load, save, valid_id
from hyperhive.harness.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ID = "6d9f6a0e-7a53-4a9b-9a8b-0a1b2c3d4e5f"
NOW = datetime.now(UTC)


def test_a_session_is_remembered(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    save(tmp_path, Remembered(ID, 0.25, "digest"))
    assert load(tmp_path) == Remembered(ID, 0.25, "digest")
    save(tmp_path, Remembered(ID, 0.25, "digest", Tokens(1, 2, 3, 4)))
    assert load(tmp_path) == Remembered(ID, 0.25, "digest", Tokens(1, 2, 3, 4))
    assert [path.name for path in tmp_path.iterdir()] == [SESSION]
    assert (tmp_path / SESSION).stat().st_mode & 0o777 == 0o600


def test_a_directory_in_the_place_of_the_session_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / SESSION).mkdir()
    assert load(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"session_id": "--resume"}', '{"session_id": 1}', "[" * 4000, "\0" * 9000,
     '{"session_id": "{6d9f6a0e-7a53-4a9b-9a8b-0a1b2c3d4e5f}"}', '{"session_id": "../../etc/passwd"}'],
)  # fmt: skip
def test_a_forged_session_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / SESSION).write_text(content)
    assert load(tmp_path) is None


@pytest.mark.parametrize("cost", ["NaN", "-1", "1e999", "true", '"1"', "[]"])
def test_a_forged_cost_is_forgotten(tmp_path: Path, cost: str) -> None:
    (tmp_path / SESSION).write_text(f'{{"session_id": "{ID}", "cost": {cost}, "prompt": 3}}')
    assert load(tmp_path) == Remembered(ID, None, None)


def test_a_link_or_a_pipe_in_place_of_the_session_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text(f'{{"session_id": "{ID}"}}')
    (tmp_path / SESSION).symlink_to(other)
    assert load(tmp_path) is None
    (tmp_path / SESSION).unlink()
    os.mkfifo(tmp_path / SESSION)
    assert load(tmp_path) is None
    save(tmp_path, Remembered(ID))
    assert load(tmp_path) == Remembered(ID)


def test_only_one_form_of_an_id_is_valid() -> None:
    assert valid_id(ID.upper()) == ID
    assert valid_id(ID.replace("-", "")) is None
    assert valid_id(None) is None


def rows(path: Path) -> list[tuple[object, ...]]:
    database = sqlite3.connect(path)
    try:
        return database.execute("SELECT turn, kind, data FROM events ORDER BY id").fetchall()
    finally:
        database.close()


async def keep(directory: Path, turn: int) -> int:
    """Open the record, write one event, close; returns the last turn that was in it."""
    loop = asyncio.get_running_loop()
    record = Record(directory)
    last = await record.open(loop)
    await record.write(loop, [(NOW, turn, "text", {"text": "hi"})])
    record.close()
    return last


async def test_events_are_recorded_and_turns_go_on_counting(tmp_path: Path) -> None:
    assert await keep(tmp_path, 4) == 0
    assert await keep(tmp_path, 5) == 4
    assert rows(tmp_path / FILE) == [(4, "text", '{"text": "hi"}'), (5, "text", '{"text": "hi"}')]


async def test_what_is_older_than_a_week_is_swept(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    record = Record(tmp_path)
    await record.open(loop)
    await record.write(loop, [(NOW - timedelta(days=8), 1, "text", {}), (NOW - timedelta(days=6), 2, "text", {})])
    record.close()
    assert [row[0] for row in rows(tmp_path / FILE)] == [2]


def _trigger(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, at, turn, kind, data)")
    database.execute("CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM events; END")
    database.close()


HOSTILE: dict[str, Callable[[Path], object]] = {
    "noise": lambda path: path.write_bytes(b"not a database" * 100),
    "trigger": _trigger,
    "directory": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "link": lambda path: path.symlink_to("/dev/null"),
    "log": lambda path: path.with_name(FILE + "-wal").mkdir(),
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_hostile_record_is_moved_aside(tmp_path: Path, what: str) -> None:
    HOSTILE[what](tmp_path / FILE)
    async with asyncio.timeout(60):
        assert await keep(tmp_path, 1) == 0
    assert rows(tmp_path / FILE) == [(1, "text", '{"text": "hi"}')]
    assert any(".unusable-" in name for name in os.listdir(tmp_path))  # noqa: PTH208


async def test_a_record_that_breaks_under_way_is_begun_anew(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    record = Record(tmp_path)
    await record.open(loop)
    database = sqlite3.connect(tmp_path / FILE)
    database.execute("DROP TABLE events")
    database.close()
    await record.write(loop, [(NOW, 1, "text", {})])
    record.close()
    assert rows(tmp_path / FILE) == [(1, "text", "{}")]


async def test_without_any_record_the_harness_goes_on(tmp_path: Path) -> None:
    assert await keep(tmp_path / "absent", 1) == 0


def surroundings(root: Path) -> Settings:
    (root / "claude").mkdir()
    (root / "credentials").mkdir()
    return Settings(
        socket=root / "s", state=root, shared=root, claude_config=root / "claude", credentials=root / "credentials"
    )


def test_credentials_are_files_named_like_variables(tmp_path: Path) -> None:
    directory = surroundings(tmp_path).credentials
    assert directory
    (directory / "ANTHROPIC_API_KEY").write_text("sk-1\n")
    (directory / "not.a.variable").write_text("x")
    (directory / "EMPTY").write_text("")
    (directory / "BINARY").write_bytes(b"\xff\xfe")
    os.mkfifo(directory / "PIPE")
    assert read_credentials(directory) == {"ANTHROPIC_API_KEY": "sk-1"}
    assert read_credentials(None) == {}
    assert read_credentials(tmp_path / "absent") == {}


def test_where_a_login_comes_from(tmp_path: Path) -> None:
    place = surroundings(tmp_path)
    assert login_source({"ANTHROPIC_BASE_URL": "http://x"}, place) is None
    assert login_source({"CLAUDE_CODE_OAUTH_TOKEN": "x"}, place) == "environment"
    before = login_marks(place)
    (place.claude_config / ".credentials.json").write_text("{}")
    assert login_source({}, place) == "file"
    assert login_marks(place) != before


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(HiveError, match=r"HIVE_STATE, HIVE_SHARED not set"):
        Settings.from_environment({"HIVE_SOCKET": "/s", "CLAUDE_CONFIG_DIR": "/c"})
    full = dict.fromkeys(("HIVE_SOCKET", "HIVE_STATE", "HIVE_SHARED", "CLAUDE_CONFIG_DIR"), "/x")
    assert Settings.from_environment(full).credentials is None
    assert Settings.from_environment(full).instance != Settings.from_environment(full).instance


@pytest.mark.parametrize(
    "tokens", ["1234", [1, 2, 3], [1, 2, 3, -4], [1, 2, 3, True], [1, 2, 3, 1e9], [1, 2, 3, 2**60]]
)
def test_tokens_that_make_no_sense_are_unknown(tmp_path: Path, tokens: object) -> None:
    (tmp_path / "hyperhive-session").write_text(json.dumps({"session_id": ID, "cost": 1, "tokens": tokens}))
    assert load(tmp_path) == Remembered(ID, 1)
