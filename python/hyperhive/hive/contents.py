"""The contents of a commit's files: for somebody to read, or written to a directory for the builder.

Read object by object with `git cat-file`: no attribute, filter or line end of a commit has a say in it.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.hive.git import git
from hyperhive.hive.trees import MAX_BYTES, MAX_FILES, named, visible, visible_name
from hyperhive.shapes import ConfigFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hyperhive.hive.trees import Entry

#: Bytes of a file that are shown, of all files, and how many there are at most.
_SHOWN: Final = 64 * 1024
_ALL_SHOWN: Final = 512 * 1024
_FILES_SHOWN: Final = 200
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


async def read_files(repository: Path, entries: Sequence[Entry]) -> list[ConfigFile]:
    """The files as text, in git's order; of what is long, not text or too much, only that it is there."""
    texts, room = [], _ALL_SHOWN
    for entry in entries[:_FILES_SHOWN]:
        if entry.mode.startswith("100") and entry.size <= min(_SHOWN, room):
            texts.append(entry)
            room -= entry.size
    contents = dict(zip(texts, await _read(repository, texts), strict=True))
    shown = [
        ConfigFile(path=visible_name(entry.path), text=_text(entry, contents.get(entry)))
        for entry in entries[:_FILES_SHOWN]
    ]
    more = len(entries) - len(shown)
    return [*shown, ConfigFile(path="…", text=f"(and {more} more files)")] if more else shown


async def write_files(repository: Path, entries: Sequence[Entry], into: Path) -> None:
    """Write the files below `into`, which is made. They have passed `check_entries`.

    Raises:
        HiveError: `bad_proposal`: they do not fit beside each other.
    """
    contents = await _read(repository, entries)
    await asyncio.to_thread(_write, entries, contents, into)


def _write(entries: Sequence[Entry], contents: Sequence[bytes], into: Path) -> None:
    try:
        into.mkdir(mode=0o755)
        for entry, content in zip(entries, contents, strict=True):
            path = into / entry.path
            for parent in reversed(path.relative_to(into).parents[:-1]):
                (into / parent).mkdir(mode=0o755, exist_ok=True)
                (into / parent).chmod(0o755)
            descriptor = os.open(path, _NEW, 0o644)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                os.fchmod(descriptor, 0o755 if entry.executable else 0o644)
        into.chmod(0o755)
    except OSError as error:
        what = f"the files of the commit cannot be written: {error.strerror} ({named(str(error.filename))})"
        raise HiveError("bad_proposal", what, "Commit ordinary files with names of their own") from error


def _text(entry: Entry, content: bytes | None) -> str:
    if entry.mode == "120000":
        return "(a symbolic link)"
    if entry.mode == "160000":
        return f"(a submodule at {entry.object})"
    if content is None:
        return f"(not shown: {entry.size:,} bytes)"
    if b"\0" in content:
        return f"(not text: {entry.size:,} bytes)"
    return visible(content.decode("utf-8", "backslashreplace"))


async def _read(repository: Path, entries: Sequence[Entry]) -> list[bytes]:
    """The contents of `entries`, which are files and together no larger than a commit may be."""
    if not entries:
        return []
    wanted = "".join(f"{entry.object}\n" for entry in entries).encode()
    done = await git(repository, "cat-file", "--batch", given=wanted, most=MAX_BYTES + MAX_FILES * 128)
    contents, at = [], 0
    for entry in entries:
        end = done.out.find(b"\n", at)
        if done.out[at:end] != f"{entry.object} blob {entry.size}".encode():
            raise HiveError("operation_failed", f"git does not give {named(entry.path)}", "See: git fsck")
        contents.append(done.out[end + 1 : end + 1 + entry.size])
        at = end + 1 + entry.size + 1
    return contents
