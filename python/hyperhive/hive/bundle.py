"""The head of a git bundle, read before git sees it: exactly one ref, at exactly the commit that was named.

`git fetch` of a bundle is not used: releases before 2.46 do not check its objects at all (`fetch.fsckObjects` is for
other transports). What follows the head is a pack, which `git index-pack --strict` takes from here on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.wire import PROPOSAL

if TYPE_CHECKING:
    from typing import BinaryIO

#: Bytes that its head may have.
_HEAD: Final = 4096
_SIGNATURE: Final = b"# v2 git bundle\n"
_LINE: Final = re.compile(rb"([0-9a-f]{40}) ([!-~]+)")
_COMMIT: Final = re.compile(r"[0-9a-f]{7,40}")
_HINT: Final = f"Make it with: git bundle create --version=2 FILE {PROPOSAL}"


@dataclass(frozen=True)
class Head:
    """What a bundle says of itself.

    Attributes:
        commit: where its one ref stands; 40 hexadecimal digits.
        length: bytes before the pack.
    """

    commit: str
    length: int


def check_commit(commit: str) -> str:
    """Return `commit` if it is a hash or the beginning of one, and nothing that git could take for a name.

    Raises:
        HiveError: `bad_proposal`.
    """
    if not _COMMIT.fullmatch(commit):
        what = f"{commit[:60]!r} is no commit: 7 to 40 hexadecimal digits, never the name of a branch or tag"
        raise HiveError("bad_proposal", what, "Take it from: git rev-parse HEAD")
    return commit


def read_head(file: BinaryIO, commit: str) -> Head:
    """Read the head of a bundle that is to hold exactly `commit`; the file stands before the pack afterwards.

    Args:
        file: the bundle, from its beginning.
        commit: 7 to 40 hexadecimal digits.

    Raises:
        HiveError: `bad_proposal`: it is no bundle, is not whole in itself, holds other refs or another commit.
    """
    check_commit(commit)
    read = file.read(_HEAD)
    head, found, _pack = read.partition(b"\n\n")
    if not read.startswith(_SIGNATURE) or not found:
        raise HiveError("bad_proposal", "what was sent is no git bundle of version 2", _HINT)
    lines = head[len(_SIGNATURE) :].split(b"\n")
    if any(line.startswith(b"-") for line in lines):
        raise HiveError("bad_proposal", "the bundle is not whole: it wants commits that are not in it", _HINT)
    only = _LINE.fullmatch(lines[0]) if len(lines) == 1 else None
    if only is None or only[2] != PROPOSAL.encode():
        raise HiveError("bad_proposal", f"the bundle holds other refs than {PROPOSAL} alone", _HINT)
    full = only[1].decode()
    if not full.startswith(commit):
        raise HiveError("bad_proposal", f"the bundle holds commit {full}, not {commit}", "Ask once more")
    length = len(head) + len(found)
    file.seek(length)
    return Head(full, length)
