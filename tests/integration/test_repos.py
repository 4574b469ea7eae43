"""Configuration as git: what a proposal becomes, from the bundle to what runs."""

from __future__ import annotations

import asyncio
import stat
from typing import TYPE_CHECKING

import pytest
from repo_bed import AGENT, Proposed, make_repos

from hyperhive.errors import HiveError
from hyperhive.hive.repos import Pinned

if TYPE_CHECKING:
    from pathlib import Path

    from hyperhive.hive.layout import Layout
    from hyperhive.hive.repos import Repos

NIX = "{ pkgs, ... }:\n{\n  environment.systemPackages = [ pkgs.jq ];\n}\n"


@pytest.fixture
def made(tmp_path: Path) -> tuple[Repos, Layout]:
    return make_repos(tmp_path)


@pytest.fixture
def repos(made: tuple[Repos, Layout]) -> Repos:
    return made[0]


@pytest.fixture
async def proposed(made: tuple[Repos, Layout], tmp_path: Path) -> Proposed:
    await made[0].ensure(AGENT)
    return Proposed(tmp_path / "config", made[1].applied(AGENT))


async def test_an_agent_begins_with_one_commit_that_holds_an_empty_module(made: tuple[Repos, Layout]) -> None:
    repos, layout = made
    first = await repos.ensure(AGENT)
    assert await repos.ensure(AGENT) == first == await repos.main(AGENT)
    assert [file.path for file in await repos.files(AGENT, first)] == ["agent.nix"]
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o055 for path in layout.applied(AGENT).rglob("*") if path.is_dir()}
    assert modes == {0o055}, "the manager may have another uid, and reads it"


async def test_all_agents_at_once_get_a_repository_each(made: tuple[Repos, Layout]) -> None:
    repos, layout = made
    hashes = await asyncio.gather(*(repos.ensure(name) for name in ("a", "b", "c", "a", "b", "c")))
    assert len(set(hashes)) == 1
    made = sorted(path.name for path in layout.applied_root.iterdir())
    assert [name for name in made if not name.startswith(".template.")] == ["a.git", "b.git", "c.git"]
    assert len(made) == 4


async def test_what_was_left_half_made_is_swept(made: tuple[Repos, Layout]) -> None:
    repos, layout = made
    await repos.ensure(AGENT)
    kept = {path.name for path in layout.applied_root.iterdir()}
    for name in (".making.x", ".template.0123"):
        (layout.applied_root / name / "objects").mkdir(parents=True)
    repos.sweep()
    assert {path.name for path in layout.applied_root.iterdir()} == kept


async def test_a_proposal_is_pinned_compared_tagged_and_becomes_what_runs(repos: Repos, proposed: Proposed) -> None:
    base = await repos.main(AGENT)
    commit = proposed.commit({"agent.nix": NIX, "lib/tools.nix": "{ }\n", "run.sh": "#!/bin/sh\n"})
    assert await repos.pin(AGENT, 7, commit[:9], proposed.bundle(commit)) == commit
    assert await repos.main(AGENT) == base

    diff = await repos.diff(AGENT, base, commit)
    assert "+  environment.systemPackages = [ pkgs.jq ];" in diff.text
    assert (diff.truncated, diff.follows) == (False, True)
    assert [(change.status, change.path) for change in diff.files] == [
        ("M", "agent.nix"),
        ("A", "lib/tools.nix"),
        ("A", "run.sh"),
    ]
    for kind in ("approved", "building", "deployed"):
        await repos.tag(AGENT, kind, 7, commit, None)
    await repos.advance(AGENT, commit)
    assert await repos.main(AGENT) == commit
    assert await repos.last(AGENT, "deployed") == Pinned(7, commit)
    assert await repos.last(AGENT, "failed") is None


async def test_a_reason_stands_in_the_tag_as_it_was_written(repos: Repos, proposed: Proposed) -> None:
    commit = proposed.commit({"agent.nix": NIX})
    await repos.pin(AGENT, 1, commit, proposed.bundle(commit))
    await repos.tag(AGENT, "denied", 1, commit, "# not a comment\n\n-m neither\nnor \u202e this")
    await repos.tag(AGENT, "denied", 1, commit, "said once more, after a crash")
    proposed.git("fetch", "--quiet", "--tags")
    seen = proposed.git("tag", "-n9", "--list", "denied/1")
    assert "# not a comment" in seen
    assert "-m neither" in seen
    other = proposed.commit({"agent.nix": "{ }\n"})
    await repos.pin(AGENT, 2, other, proposed.bundle(other))
    with pytest.raises(HiveError) as refusal:
        await repos.tag(AGENT, "denied", 1, other, None)
    assert refusal.value.code == "wrong_state"


async def test_the_builder_gets_the_files_and_their_modes(repos: Repos, proposed: Proposed, tmp_path: Path) -> None:
    (proposed.path / "run.sh").touch(mode=0o755)
    (proposed.path / "run.sh").chmod(0o755)
    commit = proposed.commit({"agent.nix": NIX, "a/b/c.txt": b"\0\r\n\xff", "run.sh": "#!/bin/sh\n"})
    await repos.pin(AGENT, 1, commit, proposed.bundle(commit))
    into = tmp_path / "source"
    await repos.export(AGENT, commit, into)
    assert (into / "a/b/c.txt").read_bytes() == b"\0\r\n\xff"
    assert stat.S_IMODE((into / "run.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((into / "agent.nix").stat().st_mode) == 0o644
