"""What a commit may hold, and how what it says is shown: pure functions of git's own output."""

from __future__ import annotations

from contextlib import suppress
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.errors import HiveError
from hyperhive.hive.differences import MAX_DIFF, _changes, bounded
from hyperhive.hive.trees import MAX_BYTES, MAX_FILES, Entry, check_entries, parse_listing, visible

OBJECT = "0" * 40


def _entry(path: str, mode: str = "100644", size: int = 1) -> Entry:
    return Entry(mode, OBJECT, size, path)


def _passes(*entries: Entry) -> bool:
    try:
        check_entries(entries)
    except HiveError:
        return False
    return True


def test_a_listing_is_read_with_every_name_that_git_can_have() -> None:
    names = [b"agent.nix", b"a b", b"a\nb", b"t\tab", b"\xff", "ü".encode()]
    lines = [b"100644 blob " + OBJECT.encode() + b"      12\t" + name for name in names]
    lines += [
        b"040000 tree " + OBJECT.encode() + b"       -\td",
        b"160000 commit " + OBJECT.encode() + b"       -\tlib",
    ]
    entries = parse_listing(b"\0".join(lines) + b"\0")
    assert [entry.path.encode("utf-8", "surrogateescape") for entry in entries] == [*names, b"lib"]
    assert [entry.size for entry in entries] == [12] * 6 + [0]


@pytest.mark.parametrize("listing", [b"x", b"100644 blob short 1\ta\0", b"\n\0", b"100644 blob " + OBJECT.encode()])
def test_what_is_no_listing_is_refused(listing: bytes) -> None:
    with pytest.raises(HiveError):
        parse_listing(listing)


@given(st.binary(max_size=200))
def test_no_listing_ends_in_anything_but_entries_or_a_refusal(listing: bytes) -> None:
    with suppress(HiveError):
        parse_listing(listing)


@pytest.mark.parametrize("mode", ["120000", "160000", "040000", "100000", "000000"])
def test_only_ordinary_files_pass(mode: str) -> None:
    assert _passes(_entry("a", "100644"), _entry("b", "100755"))
    assert not _passes(_entry("a", mode))


def test_numbers_and_sizes_are_bounded() -> None:
    assert _passes(*(_entry(str(n)) for n in range(MAX_FILES)))
    assert not _passes(*(_entry(str(n)) for n in range(MAX_FILES + 1)))
    assert _passes(_entry("a", size=MAX_BYTES))
    assert not _passes(_entry("a", size=MAX_BYTES), _entry("b"))


@given(st.text(max_size=40))
def test_a_name_that_passes_leads_below_and_is_seen_as_it_is(path: str) -> None:
    if _passes(_entry(path)):
        parts = PurePosixPath("/root", path).parts
        assert parts[:2] == ("/", "root")
        assert "/".join(parts[2:]) == path
        assert not {"..", ".git"} & {part.lower() for part in parts}
        assert visible(path) == path
        assert "\n" not in path
        path.encode()


@given(st.text())
def test_shown_text_has_nothing_unseen_and_keeps_the_rest(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    assert not any(ord(c) < 32 and c not in "\n\t" for c in shown)
    assert not set(shown) & set("\u202a\u202e\u2066\u2069\u200b\ufeff\x7f\x9b")
    if text.isascii() and text.isprintable():
        assert shown == text


def test_a_patch_is_cut_at_a_lines_end_also_where_it_grows_by_being_made_visible() -> None:
    assert bounded(b"one\ntwo\n", cut=False) == ("one\ntwo\n", False)
    text, truncated = bounded(b"\x01" * 100 + b"\n" + b"\x01\n" * (MAX_DIFF // 2), cut=False)
    assert truncated
    assert len(text.encode()) <= MAX_DIFF
    assert text.endswith("<U+0001>\n")
    assert bounded(b"all there\nhalf", cut=True) == ("all there\n", True)


def test_the_list_of_changes_has_renames_and_binaries() -> None:
    one, two = "1" * 40, "2" * 40
    raw = (
        f":100644 100755 {one} {two} R090\0old\nname\0new\0:000000 100644 {one} {two} A\0bin\0"
        "3\t4\t\0old\nname\0new\0-\t-\tbin\0"
    )
    renamed, added = _changes(raw.encode())
    assert (renamed.status, renamed.old_path, renamed.path) == ("R", "old<U+000A>name", "new")
    assert (renamed.old_mode, renamed.new_mode, renamed.added, renamed.removed) == ("100644", "100755", 3, 4)
    assert (added.status, added.path, added.added, added.removed) == ("A", "bin", None, None)
