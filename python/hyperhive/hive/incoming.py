"""Taking a proposal's objects into a repository: unpacked in quarantine, checked there, moved in when all is well.

A pack from outside is written beside the repository's objects, where no ref and no later command sees it. What does
not pass, and what an earlier daemon left half done, is removed; what passes is moved in under the name of its own hash.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.hive.bundle import read_head
from hyperhive.hive.git import git
from hyperhive.hive.trees import MAX_FILES, check_entries, parse_listing
from hyperhive.wire import MAX_BUNDLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hyperhive.hive.trees import Entry

#: Bytes of a listing: more, and there are too many files in it.
_LISTING: Final = (MAX_FILES + 1) * 1200
#: The order in which a pack's files come: git looks for the index first, so that is last.
_ORDER: Final = (".pack", ".rev", ".idx")


async def take(repository: Path, bundle: Path, commit: str) -> str:
    """Take the one commit of a bundle, and all that belongs to it, into `repository`; no ref names it yet.

    Args:
        repository: a bare repository of the hive, locked by the caller.
        bundle: a file of the hive; what is in it is an agent's.
        commit: what the bundle is to hold, 7 to 40 hexadecimal digits.

    Returns:
        The whole hash.

    Raises:
        HiveError: `bad_proposal` says what is wrong with it.
    """
    with bundle.open("rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size > MAX_BUNDLE:
            raise HiveError(
                "body_too_large", f"the bundle has more than {MAX_BUNDLE:,} bytes", "Propose less at a time"
            )
        full = read_head(file, commit).commit
        with _quarantine(repository) as objects:
            variables = {"GIT_OBJECT_DIRECTORY": str(objects)}
            await _unpack(repository, file.fileno(), variables)
            await _check_whole(repository, full, variables)
            check_entries(await listing(repository, full, variables))
            _move_in(objects / "pack", repository / "objects" / "pack")
    return full


async def listing(repository: Path, commit: str, variables: Mapping[str, str] | None = None) -> list[Entry]:
    """All files of a commit.

    Raises:
        HiveError: `bad_proposal`: there are too many of them.
    """
    # Directories, too: a tree may unfold to any number of those without a single file.
    done = await git(
        repository, "ls-tree", "-r", "-t", "-z", "--long", "--full-tree", commit, most=_LISTING, variables=variables
    )
    if done.cut:
        what = f"the commit has more than {MAX_FILES:,} files and directories"
        raise HiveError("bad_proposal", what, "Take out what is generated")
    return parse_listing(done.out)


async def _unpack(repository: Path, file: int, variables: Mapping[str, str]) -> None:
    done = await git(
        repository,
        *("index-pack", "--stdin", "--strict", "--threads=1", f"--max-input-size={MAX_BUNDLE}"),
        given=file,
        variables=variables,
        check=False,
    )
    if not done.ok:
        raise HiveError("bad_proposal", f"git does not take the bundle: {done.why}", "Make a new commit, and ask again")


async def _check_whole(repository: Path, commit: str, variables: Mapping[str, str]) -> None:
    """Whether `commit` is one, and everything that it reaches is there; looked for in the quarantine alone."""
    kind = await git(repository, "cat-file", "-t", commit, variables=variables, check=False)
    if kind.text != "commit":
        raise HiveError("bad_proposal", f"{commit} is no commit of the bundle", "Ask with the hash of a commit")
    reached = await git(repository, "rev-list", "--objects", "--quiet", commit, "--", variables=variables, check=False)
    if not reached.ok:
        raise HiveError("bad_proposal", f"the bundle is not whole: {reached.why}", "Make it anew")


@contextmanager
def _quarantine(repository: Path) -> Iterator[Path]:
    """An object directory of its own. What is there already was left by a daemon that was killed."""
    place = repository / "incoming"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700)
    objects = Path(tempfile.mkdtemp(dir=place))
    (objects / "pack").mkdir()
    try:
        yield objects
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _move_in(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for suffix in _ORDER:
        for path in source.glob(f"pack-*{suffix}"):
            path.chmod(0o444)
            path.rename(target / path.name)
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
