"""What a proposed commit changes, and whether it builds: found out before anybody is asked.

The commit is compared with what runs at this moment, `base`. What is shown of it holds only as long as that is what
runs: who deploys something else for the same agent takes the base away, and the whole is done anew.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hyperhive.errors import HiveError
from hyperhive.shapes import BuildRow

if TYPE_CHECKING:
    from hyperhive.hive.builder import Builder, BuildResult
    from hyperhive.hive.layout import Layout
    from hyperhive.hive.repos import Diff, Repos

#: Characters of a build's log that are kept, its end.
_LOG: Final = 64 * 1024
#: The same of a list of packages that differ, its beginning, and how many units are named.
_CLOSURE: Final = 64 * 1024
_UNITS: Final = 200


@dataclass(frozen=True, slots=True)
class Verdict:
    """What building a commit gave: the columns that it sets, and why it cannot be approved, if so."""

    values: dict[str, Any]
    red: str | None


async def compare(repos: Repos, row: Any) -> dict[str, Any]:  # noqa: ANN401 - a row of the store
    """The columns that say what a commit changes of what runs, and of what was approved last.

    Raises:
        HiveError: the repository could not be read.
    """
    base = await repos.main(row.agent)
    diff = await repos.diff(row.agent, base, row.commit_hash)
    last = await repos.last(row.agent, "approved")
    other = None if last is None or last.commit in {base, row.commit_hash} else last.commit
    since: Diff | None = await repos.diff(row.agent, other, row.commit_hash) if other else None
    note = None
    if not diff.follows:
        note = "it was not made on top of what runs now: approving it undoes what came in between"
    return {
        "base_hash": base,
        "diff": diff.text,
        "files": [
            {"status": file.status, "path": file.path, "oldMode": file.old_mode, "newMode": file.new_mode}
            for file in diff.files
        ],
        "approved_hash": other,
        "approved_diff": since.text if since else None,
        "truncated": diff.truncated or (since is not None and since.truncated),
        "build": BuildRow(status="running").model_dump(mode="json"),
        "note": note,
    }


async def build(repos: Repos, builder: Builder, layout: Layout, row: Any) -> Verdict:  # noqa: ANN401 - a row
    """Build a commit.

    Raises:
        HiveError: it could not be tried; what is wrong with the commit itself is a verdict.
    """
    aside = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=f"proposal-{row.id}.", dir=layout.state))
    try:
        source = aside / "source"
        try:
            await repos.export(row.agent, row.commit_hash, source)
        except HiveError as error:
            if error.code != "bad_proposal":
                raise
            return Verdict({"build": BuildRow(status="failed", log=str(error)).model_dump(mode="json")}, error.message)
        return _verdict(await builder.build(row.agent, row.id, source), builds=builder.builds)
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True))


def _verdict(built: BuildResult, *, builds: bool) -> Verdict:
    status = ("ok" if builds else "none") if built.ok else "failed"
    found = BuildRow(
        status=status,
        log=built.log[-_LOG:] or None,
        system=str(built.system) if built.system else None,
        size_bytes=built.size_bytes,
        units=list(built.units[:_UNITS]),
        base=built.base,
    )
    values = {
        "build": found.model_dump(mode="json"),
        "closure_diff": built.closure_diff[:_CLOSURE] if built.closure_diff else None,
    }
    if built.ok:
        return Verdict(values, None)
    lines = [line for line in built.log.splitlines() if line.strip()]
    said = built.reason or (lines[-1] if lines else "the builder said nothing")
    return Verdict(values, f"it does not build: {said}"[:1000])


async def sweep(layout: Layout) -> None:
    """Remove what an interrupted build left, before any begins."""
    for left in await asyncio.to_thread(lambda: list(layout.state.glob("proposal-*"))):
        with suppress(OSError):
            await asyncio.to_thread(shutil.rmtree, left)
