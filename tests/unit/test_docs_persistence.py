"""docs/persistence.md names every table and every file of a hive, and the numbers that the code has."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from sqlmodel import SQLModel

from hyperhive.harness import model_choice, record, session_file
from hyperhive.hive import retention, sizes
from hyperhive.hive.layout import Layout
from hyperhive.store import engine, migrate, space, tables, usage_tables
from hyperhive.store.events import KEPT

_TEXT = (Path(__file__).parents[2] / "docs" / "persistence.md").read_text()


def test_every_table_is_named_with_how_long_it_is_kept() -> None:
    assert tables.SCHEMA
    assert usage_tables.__doc__
    rows = re.findall(r"^\| `([a-z_]+)` \| [^|]+ \| [^|]+ \|$", _TEXT, re.MULTILINE)
    assert sorted(rows) == sorted({*SQLModel.metadata.tables, "alembic_version"})


def test_every_place_is_named(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path / "run")
    places = {
        layout.database.name,
        f"{layout.applied_root.name}/NAME.git",
        f"{layout.proposed_root.name}/NAME/",
        *(f"{path.name}/" for path in (layout.uploads, layout.trash)),
        f"logs/{layout.log('NAME').name}",
        f"{layout.of_agent('NAME').relative_to(tmp_path)}/state/",
        f"{layout.of_agent('NAME').relative_to(tmp_path)}/claude/",
        *("operator-token", "page-key", "hive.lock", "shared/", "run/"),
        *(model_choice.FILE, record.FILE, session_file.FILE),
    }
    assert {place for place in places if f"`{place}`" not in _TEXT} == set()
    assert layout.told("url").name.startswith("told-")


def test_the_numbers_are_those_of_the_code() -> None:
    said = (
        f"until {retention.KEEP.days} days after",
        f"| {retention.KEEP_TURNS.days} days |",
        f"the newest {KEPT:,} an agent",
        f"older than {record._KEPT.days} days",
        f"beyond {space._RESERVE * 4096 // 1_000_000} MB",
        f"{retention._ROWS} rows at a time",
        f"{retention._PAGES} pages a step",
        f"over {migrate._REWRITTEN // 1024**3} GiB",
        f"back to {engine._JOURNAL // 1024**2} MiB",
    )
    assert [words for words in said if words not in _TEXT] == []
    assert (6 * 3600, timedelta(minutes=10)) == (retention._EVERY, sizes._FRESH)
