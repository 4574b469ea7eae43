"""What a commit changes of another one: a list of all files, and the text that a person decides by.

The text is an agent's, and must read as what it is: characters that turn the reading direction round, or that are not
seen at all, are spelled out; names with odd characters are quoted; no attribute can call a text binary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.hive.git import git
from hyperhive.hive.trees import visible, visible_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping
    from pathlib import Path

    from hyperhive.hive.git import Answer

#: Bytes of a difference.
MAX_DIFF: Final = 256 * 1024
#: Seconds for a comparison line by line: the worst that can be made up of 16 MiB takes minutes.
_SECONDS: Final = 8.0
#: A file above it is named and not compared, as if it were no text.
_LARGE: Final = 512 * 1024
_CONFIG: Final = {"core.bigFileThreshold": str(_LARGE)}
_TOO_LONG: Final = "These commits differ too much to be compared line by line. Nothing of it is shown here.\n"
#: Bytes of the list of changes: two names and a line of numbers for each file of two commits.
_NAMES: Final = 8 * 1024 * 1024
_PLAIN: Final = ("--no-ext-diff", "--no-textconv", "--no-color", "--find-renames", "-l200", "--no-commit-id")


@dataclass(frozen=True)
class Change:
    """A file that two commits have differently.

    Attributes:
        status: `A`dded, `D`eleted, `M`odified, `R`enamed, `T`ype changed.
        path: where it is; for a deleted one, was.
        old_path: where it was, if that is another place.
        old_mode: as git writes it, `000000` where it was not there.
        new_mode: the same for now.
        added: lines; None for what is no text, or too long to be compared.
        removed: the same.
        blobs: hashes of what it was and is; only zeros where it was not there.
    """

    status: str
    path: str
    old_path: str | None
    old_mode: str
    new_mode: str
    added: int | None
    removed: int | None
    blobs: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Diff:
    """What changes.

    Attributes:
        text: as `git diff` has it, at most `MAX_DIFF` bytes.
        truncated: whether that is not all: it is too long, or a file is too large to be compared.
        files: every file that changes, also where the text ends before it.
        follows: whether the base is among the ancestors; where not, this undoes what came in between.
    """

    text: str
    truncated: bool
    files: tuple[Change, ...]
    follows: bool


async def difference(repository: Path, base: str, commit: str) -> Diff:
    """What `commit` changes of `base`.

    Raises:
        HiveError: one of them is not there.
    """
    ancestor = await git(repository, "merge-base", "--is-ancestor", base, commit, check=False)
    follows = ancestor.code == 0

    def compared(*how: str, most: int) -> Awaitable[Answer]:
        return git(
            repository, "diff-tree", "-r", *_PLAIN, *how, base, commit, most=most, seconds=_SECONDS, config=_CONFIG
        )

    try:
        names = await compared("-z", "--raw", "--numstat", most=_NAMES)
        patch = await compared("--patch", most=MAX_DIFF)
    except HiveError as error:
        if not error.data.get("late"):
            raise
        listed = await compared("-z", "--raw", "--no-renames", most=_NAMES)
        return Diff(_TOO_LONG, truncated=True, files=tuple(_changes(listed.out)), follows=follows)
    files = tuple(_changes(names.out))
    large = await _large(repository, files)
    text, truncated = bounded(_named(patch.out, large), cut=patch.cut)
    return Diff(text, truncated or bool(large), files, follows)


async def _large(repository: Path, files: tuple[Change, ...]) -> dict[str, int]:
    """Of the blobs that were not compared, those that are too large for it, with their sizes."""
    asked = [blob for file in files if file.added is None for blob in file.blobs if blob.strip("0")]
    given = "".join(f"{blob}\n" for blob in asked).encode()
    found = await git(repository, "cat-file", "--batch-check=%(objectname) %(objectsize)", given=given, most=_NAMES)
    sizes = (line.split() for line in found.text.splitlines())
    return {blob: int(size) for blob, size in sizes if size.isdigit() and int(size) > _LARGE}


def _named(patch: bytes, large: Mapping[str, int]) -> bytes:
    """The patch, with what is too large called so: git says that it is binary."""
    if not large:
        return patch
    lines, size = patch.splitlines(keepends=True), None
    for at, line in enumerate(lines):
        # At the beginning of a line, no content looks like this.
        if line.startswith(b"index "):
            shown = line.split()[1].decode().split("..")
            size = max((most for blob, most in large.items() if blob.startswith(tuple(shown))), default=None)
        elif line.startswith(b"Binary files ") and size is not None:
            names = line.removeprefix(b"Binary files ").removesuffix(b" differ\n").decode("utf-8", "surrogateescape")
            said = f"{names}: too large to be shown, {size:,} bytes; more than {_LARGE // 1024} KiB are not compared\n"
            lines[at] = said.encode("utf-8", "surrogateescape")
    return b"".join(lines)


def bounded(patch: bytes, *, cut: bool) -> tuple[str, bool]:
    """A patch as readable text of at most `MAX_DIFF` bytes, whole lines; and whether something is missing."""
    text = visible(patch.decode("utf-8", "backslashreplace"))
    encoded = text.encode()
    if len(encoded) <= MAX_DIFF and not cut:
        return text, False
    whole, _, _ = encoded[:MAX_DIFF].rpartition(b"\n")
    return whole.decode("utf-8", "ignore") + "\n", True


def _changes(listing: bytes) -> Iterator[Change]:
    """Read `--raw --numstat -z`: first all raw entries, then all counts, in the same order; or no counts at all."""
    fields = iter(listing.decode("utf-8", "backslashreplace").split("\0"))
    raw: list[tuple[str, str, str, str, str | None, tuple[str, str]]] = []
    counts: list[tuple[int | None, int | None]] = []
    for field in fields:
        if field.startswith(":"):
            old_mode, new_mode, old, new, status = field[1:].split(" ")
            first = next(fields)
            path, before = (next(fields), first) if status[0] in "RC" else (first, None)
            raw.append((status[0], path, old_mode, new_mode, before, (old, new)))
        elif field:
            added, removed, path = field.split("\t", 2)
            counts.append((_count(added), _count(removed)))
            if not path:
                # Of a renamed file both names follow.
                next(fields)
                next(fields)
    counts = counts or [(None, None)] * len(raw)
    if len(raw) != len(counts):
        raise HiveError("operation_failed", "git's list of changes is not understood", "See the daemon's log")
    for (status, path, old_mode, new_mode, before, blobs), (more, less) in zip(raw, counts, strict=True):
        shown = visible_name(before) if before else None
        yield Change(status, visible_name(path), shown, old_mode, new_mode, more, less, blobs)


def _count(text: str) -> int | None:
    return int(text) if text.isdigit() else None
