"""`Repos`: the configuration of each agent as git, in bare repositories that are the hive's own.

`main` is what runs. A proposal comes as a bundle, is pinned as the tag `proposal/<id>` and counts as that commit from
then on; what was decided and done with it is a tag, too. The repositories in which the manager works are not looked
at: of them the hive makes only the empty directory.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from hyperhive.errors import HiveError
from hyperhive.hive import incoming
from hyperhive.hive.contents import read_files, write_files
from hyperhive.hive.differences import Diff, difference
from hyperhive.hive.first_commit import MAKING, TEMPLATE, copy_template, make_template, template_name
from hyperhive.hive.git import git
from hyperhive.hive.trees import check_entries
from hyperhive.names import parse_agent_name
from hyperhive.runtime.directories import make_owned

if TYPE_CHECKING:
    from collections.abc import Callable

    from hyperhive.hive.layout import Layout
    from hyperhive.runtime.base import Owner
    from hyperhive.shapes import ConfigFile

Kind = Literal["proposal", "approved", "building", "deployed", "failed", "denied"]
"""What a tag says of a commit; its name is `<kind>/<approval id>`."""

__all__ = ["Diff", "Kind", "Pinned", "Repos"]

_FULL: Final = re.compile(r"[0-9a-f]{40}")
_MAIN: Final = "refs/heads/main"
#: Characters of a note.
_NOTE: Final = 16_000
#: Packs after which a repository is put in order.
_PACKS: Final = 16
#: Bytes of packs that a repository may have: the proposals of years, or of one manager that has gone mad.
_REPOSITORY: Final = 256 * 1024**2


class Pinned(NamedTuple):
    """An approval's commit, as a tag has it."""

    approval: int
    commit: str


class Repos:
    """The repositories of one hive.

    Args:
        layout: where they lie.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._template_lock = asyncio.Lock()

    def sweep(self) -> None:
        """Remove what a daemon that was killed left half made, and templates of earlier releases; before all else."""
        for path in self._layout.applied_root.glob(".*"):
            if path.name.startswith((MAKING, TEMPLATE)) and path.name != template_name():
                shutil.rmtree(path, ignore_errors=True)

    async def ensure(self, agent: str) -> str:
        """Make the agent's repository unless it is there; what `main` is.

        Raises:
            HiveError: it cannot be made.
        """
        async with self._locks[agent]:
            return await self._ensure(agent)

    def alone(self, agent: str) -> asyncio.Lock:
        """Held by whoever takes all of an agent's away: nothing of it is made or changed meanwhile."""
        return self._locks[agent]

    async def provide(self, agent: str, manager: Owner, wanted: Callable[[], bool]) -> None:
        """Make the repository, and the empty directory in which the manager clones it; what is there stays as it is.

        Args:
            agent: whose they are.
            manager: who owns the directory. What it put into it, or in its place, is not looked at.
            wanted: whether they still are, asked at the last moment.

        Raises:
            HiveError: one of them cannot be made.
        """
        async with self._locks[agent]:
            if not wanted():
                return
            await self._make(agent)
            make_owned(self._layout.proposed(agent), manager.uid, manager.gid, 0o700)

    async def main(self, agent: str) -> str:
        """The commit that runs, or is to run."""
        return await self.ensure(agent)

    async def pin(self, agent: str, approval_id: int, commit: str, bundle: Path) -> str:
        """Take a proposal's commit out of its bundle and keep it for ever as `proposal/<id>`.

        Returns:
            The whole hash.

        Raises:
            HiveError: `bad_proposal` says what is wrong with it; nothing of it is kept then.
        """
        async with self._locks[agent]:
            await self._ensure(agent)
            repository = self._at(agent)
            await asyncio.to_thread(_refuse_full, repository)
            full = await incoming.take(repository, bundle, commit)
            await self._tag(agent, "proposal", approval_id, full, None)
            await self._tidy(repository)
            return full

    async def tag(self, agent: str, kind: Kind, approval_id: int, commit: str, note: str | None = None) -> None:
        """Say what became of a proposal. Idempotent: saying it once more changes nothing.

        Raises:
            HiveError: `wrong_state`: it was said of another commit.
        """
        async with self._locks[agent]:
            await self._tag(agent, kind, approval_id, commit, note)

    async def advance(self, agent: str, commit: str) -> None:
        """Make `commit` what `main` is.

        Raises:
            HiveError: there is no such commit.
        """
        async with self._locks[agent]:
            await git(self._at(agent), "update-ref", "-m", "deployed", _MAIN, _whole(commit))

    async def diff(self, agent: str, base: str, commit: str) -> Diff:
        """What `commit` changes of `base`, for a person to read."""
        return await difference(self._at(agent), _whole(base), _whole(commit))

    async def files(self, agent: str, commit: str) -> list[ConfigFile]:
        """The files of a commit, as far as they are text and not too long."""
        repository = self._at(agent)
        return await read_files(repository, await incoming.listing(repository, _whole(commit)))

    async def export(self, agent: str, commit: str, into: Path) -> None:
        """Write the files of a commit below `into`, which is made: ordinary files and directories, nothing else.

        Raises:
            HiveError: `bad_proposal`: it holds something else, or too much.
        """
        repository = self._at(agent)
        entries = await incoming.listing(repository, _whole(commit))
        check_entries(entries)
        await write_files(repository, entries, into)

    async def last(self, agent: str, kind: Kind) -> Pinned | None:
        """The latest approval that has a tag of this kind."""
        done = await git(
            self._at(agent),
            *("for-each-ref", "--count=1", "--sort=-version:refname", "--sort=-creatordate"),
            *("--format=%(refname:lstrip=3) %(*objectname)", f"refs/tags/{kind}/"),
        )
        number, _, commit = done.text.partition(" ")
        return Pinned(int(number), commit) if commit else None

    def _at(self, agent: str) -> Path:
        return self._layout.applied(parse_agent_name(agent))

    async def _make(self, agent: str) -> Path:
        repository = self._at(agent)
        if not repository.is_dir():
            template = await self._template()
            await asyncio.to_thread(copy_template, template, repository)
        return repository

    async def _ensure(self, agent: str) -> str:
        repository = await self._make(agent)
        return (await git(repository, "rev-parse", "--verify", "--end-of-options", f"{_MAIN}^{{commit}}")).text

    async def _template(self) -> Path:
        """The repository that new ones are copies of; made once, and anew where its making was interrupted."""
        template = self._layout.applied_root / template_name()
        async with self._template_lock:
            if not template.is_dir():
                making = Path(tempfile.mkdtemp(prefix=MAKING, dir=template.parent))
                try:
                    await make_template(making)
                    making.rename(template)  # noqa: ASYNC240 - one question to the kernel
                finally:
                    await asyncio.to_thread(shutil.rmtree, making, ignore_errors=True)
        return template

    async def _tag(self, agent: str, kind: Kind, approval_id: int, commit: str, note: str | None) -> None:
        repository, name = self._at(agent), f"{kind}/{approval_id}"
        words = (note or "").replace("\0", "")[:_NOTE]
        message = f"{kind} {approval_id}\n" + (f"\n{words}\n" if words else "")
        made = await git(
            repository,
            *("tag", "--annotate", "--cleanup=verbatim", "--file=-", name, _whole(commit)),
            given=message.encode("utf-8", "replace"),
            check=False,
        )
        if made.ok:
            return
        there = await git(repository, "rev-parse", "--verify", "--quiet", f"refs/tags/{name}^{{commit}}", check=False)
        if there.text != commit:
            what = f"the tag {name} of '{agent}' cannot be made: {made.why}"
            raise HiveError("wrong_state", what, "It stands for what was decided before, and is never moved")

    @staticmethod
    async def _tidy(repository: Path) -> None:
        """Put many packs into one. What is not there yet is only slower; git's own locks keep readers right."""
        packs = await asyncio.to_thread(lambda: sum(1 for _ in (repository / "objects" / "pack").glob("*.pack")))
        if packs > _PACKS:
            with suppress(HiveError):
                await git(repository, "repack", "-a", "-d", "-n", "--quiet", "--threads=1")
                await git(repository, "pack-refs", "--all")


def _whole(commit: str) -> str:
    if not _FULL.fullmatch(commit):
        raise HiveError("bad_proposal", f"{commit[:60]!r} is no whole hash of a commit", "40 hexadecimal digits")
    return commit


def _refuse_full(repository: Path) -> None:
    size = sum(path.stat().st_size for path in (repository / "objects" / "pack").glob("pack-*"))
    if size > _REPOSITORY:
        what = (
            f"the repository '{repository.name}' has {size:,} bytes, and takes no more proposals over {_REPOSITORY:,}"
        )
        raise HiveError("storage_full", what, f"Let the operator look into {os.fspath(repository)}")
