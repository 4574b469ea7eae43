"""The file in which an operator's choice of a model is kept, in a directory that is the agent's."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from hyperhive.errors import HiveError
from hyperhive.harness.model_choice import FILE, ModelChoice

if TYPE_CHECKING:
    from pathlib import Path


def choice(directory: Path) -> tuple[ModelChoice, list[dict[str, Any]]]:
    told: list[dict[str, Any]] = []
    return ModelChoice(directory, told.append), told


def test_a_choice_lives_on(tmp_path: Path) -> None:
    choice(tmp_path)[0].choose("opus", "haiku")
    again, told = choice(tmp_path)
    assert again.now("haiku") == "opus"
    assert told == []
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert again.now("sonnet") == "sonnet"
    assert again.now("haiku") == "haiku", "it does not come back with the old declaration"
    assert [one["model"] for one in told] == ["sonnet"]
    assert not (tmp_path / FILE).exists()


def test_the_same_again_is_no_change(tmp_path: Path) -> None:
    one, told = choice(tmp_path)
    one.choose("haiku", "haiku")
    one.choose("opus", "haiku")
    one.choose("opus", "haiku")
    assert len(told) == 1


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "7", '{"model": "opus"}', '{"model": 5, "declared": "haiku"}', "[" * 4000,
        '{"model": "--resume", "declared": "haiku"}', '{"model": "gpt", "declared": "haiku"}', "\x00",
        json.dumps({"model": "opus", "declared": "haiku", "more": "x" * 5000}),
    ],
)  # fmt: skip
def test_a_file_that_is_not_right_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    assert choice(tmp_path)[0].now("haiku") == "haiku"


def test_no_pipe_blocks_it_and_no_link_is_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text('{"model": "opus", "declared": "haiku"}')
    (tmp_path / FILE).symlink_to(elsewhere)
    assert choice(tmp_path)[0].now("haiku") == "haiku"
    (tmp_path / FILE).unlink()
    os.mkfifo(tmp_path / FILE)
    one, _ = choice(tmp_path)
    assert one.now("haiku") == "haiku"
    one.choose("opus", "haiku")
    assert choice(tmp_path)[0].now("haiku") == "opus", "it takes the pipe's place"


def test_what_cannot_be_kept_is_not_chosen(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    one, told = choice(tmp_path)
    with pytest.raises(HiveError) as raised:
        one.choose("opus", "haiku")
    assert raised.value.code == "storage_full"
    assert one.now("haiku") == "haiku"
    assert told == []
