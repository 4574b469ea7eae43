"""The figures of configuration as git: a repository made, a proposal bundled, pinned, compared and written out."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import elsewhere  # noqa: F401 - before what it makes importable
from repo_bed import AGENT, Proposed, make_repos

from hyperhive.harness.proposal import Configurations
from hyperhive.harness.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from figures import Results

    from hyperhive.hive.layout import Layout
    from hyperhive.hive.repos import Repos

_ROUNDS: Final = 30
#: Files and commits of an ordinary agent's configuration; files and lines of each of the largest that is taken.
_FILES: Final = 20
_COMMITS: Final = 30
_LARGE: Final = 1000
_LINES: Final = 700


async def repositories(results: Results, directory: Path, *, quick: bool) -> None:
    """One agent's repository, with the git of this machine."""
    place = directory / "repositories"
    place.mkdir()
    repos, layout = make_repos(place)
    await repos.ensure("template")
    for number in range(2 if quick else _ROUNDS):
        with _timed(results, "repository"):
            await repos.ensure(f"a{number}")
    base = await repos.ensure(AGENT)
    layout.proposed(AGENT).mkdir()
    # In threads: other groups may be measured in the same loop.
    proposed = await asyncio.to_thread(Proposed, layout.proposed(AGENT) / "config", layout.applied(AGENT))
    for number in range(2 if quick else _COMMITS):
        await asyncio.to_thread(
            proposed.commit, {f"lib/f{n}.nix": f"{{ }} # {n} {number}\n" * 50 for n in range(_FILES)}
        )
    configurations = Configurations(Settings(place, place, place, place, proposed=layout.proposed_root))
    for number in range(2 if quick else _ROUNDS):
        commit = await asyncio.to_thread(proposed.commit, {"agent.nix": f"{{ pkgs, ... }}: {{ }} # {number}\n"})
        await _one(results, repos, configurations, (number, base, commit), place)
        base = commit
    await _largest(results, repos, layout, proposed, 30 if quick else _LARGE - 30)


async def _one(
    results: Results, repos: Repos, configurations: Configurations, what: tuple[int, str, str], place: Path
) -> None:
    number, base, commit = what
    bundle = place / f"bundle-{number}"
    with _timed(results, "bundle"):
        await configurations.bundle(AGENT, commit, bundle)
    with _timed(results, "pin"):
        await repos.pin(AGENT, number, commit, bundle)
    with _timed(results, "diff"):
        await repos.diff(AGENT, base, commit)
    with _timed(results, "export"):
        await repos.export(AGENT, commit, place / f"source-{number}")


async def _largest(results: Results, repos: Repos, layout: Layout, proposed: Proposed, many: int) -> None:
    words = random.Random(1)  # noqa: S311 - no secret
    files = {f"d{n}": "".join(f"{words.getrandbits(60):016x}\n" for _ in range(_LINES)) for n in range(many)}
    commit = await asyncio.to_thread(proposed.commit, files)
    bundle = await asyncio.to_thread(proposed.bundle, commit)
    with _timed(results, "pin_largest"):
        await repos.pin(AGENT, 1000, commit, bundle)
    results.notes["largestBundleMiB"] = round(bundle.stat().st_size / 2**20, 1)
    results.notes["repositoryPacks"] = len(list(layout.applied(AGENT).glob("objects/pack/*.pack")))


@contextmanager
def _timed(results: Results, name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    results.add(name, [1000 * (time.perf_counter() - began)])
