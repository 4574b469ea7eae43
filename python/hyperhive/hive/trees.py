"""What a commit may hold: ordinary files with ordinary names, few and small enough to be read by a person.

Everything here is pure: it looks at what `git ls-tree` listed. Names are an agent's: they end up in paths below a
directory of the hive's, in the builder's source, on the operator's page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Files of a commit, and bytes of all of them.
MAX_FILES: Final = 1000
MAX_BYTES: Final = 16 * 1024 * 1024
#: Bytes of a path, and of one of its parts, that every file system takes.
_PATH: Final = 1000
_PART: Final = 255
#: How deep a file may lie.
_DEPTH: Final = 32
_KINDS: Final = {"120000": "a symbolic link", "160000": "a submodule"}
_REGULAR: Final = frozenset({"100644", "100755", "100664"})
_ENTRY: Final = re.compile(rb"(\d{6}) (\w+) ([0-9a-f]{40}) +(-|\d+)\t(.*)", re.DOTALL)
#: What turns the reading direction round or is not seen at all, so that text reads otherwise than it is.
_RANGES: Final = (
    *((0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x061C, 0x061C), (0x180E, 0x180E), (0x200B, 0x200F)),
    *((0x2028, 0x202E), (0x2060, 0x206F), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0xE0000, 0xE007F)),
)
_UNSEEN: Final = frozenset(code for first, last in _RANGES for code in range(first, last + 1))
_SHOWN: Final = {code: f"<U+{code:04X}>" for code in _UNSEEN if code not in {0x09, 0x0A}}
#: How many offenders an error names.
_NAMED: Final = 5


@dataclass(frozen=True)
class Entry:
    """A file of a commit."""

    mode: str
    object: str
    size: int
    path: str

    @property
    def executable(self) -> bool:
        """Whether it may be run."""
        return self.mode == "100755"


def visible(text: str) -> str:
    """`text` with every character that is not seen, or that turns others round, spelled out; lines and tabs stay."""
    return text.translate(_SHOWN)


def visible_name(path: str) -> str:
    """A path in one line; bytes that are no UTF-8 are spelled out, too."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return visible(text).replace("\t", "<U+0009>").replace("\n", "<U+000A>")


def parse_listing(listing: bytes) -> list[Entry]:
    """The files of `git ls-tree -r -t -z --long`; names that are no UTF-8 keep their bytes as half surrogates.

    Raises:
        HiveError: `bad_proposal`: that is no such listing.
    """
    entries = []
    for line in listing.split(b"\0"):
        found = _ENTRY.fullmatch(line)
        if found is not None:
            mode, kind, name, size, path = found.groups()
            if kind == b"tree":
                continue
            length = 0 if size == b"-" else int(size)
            entries.append(Entry(mode.decode(), name.decode(), length, path.decode("utf-8", "surrogateescape")))
        elif line:
            raise HiveError("bad_proposal", "the files of the commit cannot be listed", "Commit ordinary files")
    return entries


def check_entries(entries: Sequence[Entry]) -> None:
    """Refuse what is no small tree of ordinary files.

    Raises:
        HiveError: `bad_proposal`, naming the files.
    """
    if len(entries) > MAX_FILES:
        raise HiveError("bad_proposal", f"the commit has more than {MAX_FILES:,} files", "Take out what is generated")
    total = sum(entry.size for entry in entries)
    if total > MAX_BYTES:
        largest = max(entries, key=lambda entry: entry.size)
        what = f"the files of the commit have {total:,} bytes, more than {MAX_BYTES:,}"
        raise HiveError("bad_proposal", what, f"The largest is {named(largest.path)}: take it out")
    for what, wrong in _wrong(entries):
        raise HiveError(
            "bad_proposal",
            f"the commit holds {what}: {', '.join(named(entry.path) for entry in wrong[:_NAMED])}",
            "Only ordinary files with ordinary names can be proposed",
        )


def named(path: str) -> str:
    """A path as it is told: quoted, and short."""
    shown = repr(path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
    return shown if len(shown) <= _PART else f"{shown[:_PART]}…"


def _wrong(entries: Sequence[Entry]) -> list[tuple[str, list[Entry]]]:
    tests = [
        *((what, [entry for entry in entries if entry.mode == mode]) for mode, what in _KINDS.items()),
        ("something that is no file", [e for e in entries if e.mode not in _REGULAR and e.mode not in _KINDS]),
        ("a name that cannot be used", [entry for entry in entries if not _is_plain(entry.path)]),
    ]
    return [(what, wrong) for what, wrong in tests if wrong]


def _is_plain(path: str) -> bool:
    """Whether a path is one below a directory, on every file system, and reads as what it is."""
    parts = path.split("/")
    return (
        not any(ord(character) in _UNSEEN or 0xD800 <= ord(character) < 0xE000 for character in path)  # noqa: PLR2004
        and len(path.encode()) <= _PATH
        and len(parts) <= _DEPTH
        and all(_is_part(part) for part in parts)
    )


def _is_part(part: str) -> bool:
    return part not in {"", ".", ".."} and part.lower() != ".git" and len(part.encode()) <= _PART
