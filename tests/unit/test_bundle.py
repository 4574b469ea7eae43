"""The head of a bundle: one ref at one commit, or a refusal, whatever the bytes are."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.errors import HiveError
from hyperhive.hive.bundle import check_commit, read_head
from hyperhive.wire import PROPOSAL

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HEAD = f"# v2 git bundle\n{COMMIT} {PROPOSAL}\n\n".encode()


@pytest.mark.parametrize("commit", [COMMIT, COMMIT[:7], COMMIT[:12]])
def test_the_head_of_a_bundle_says_where_the_pack_begins(commit: str) -> None:
    file = io.BytesIO(HEAD + b"PACK and more")
    head = read_head(file, commit)
    assert (head.commit, head.length) == (COMMIT, len(HEAD))
    assert file.read() == b"PACK and more"


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"PACK", HEAD[:-1], HEAD[1:], HEAD.replace(b"v2", b"v3"), HEAD.replace(b"\n", b"\r\n")),
        HEAD.replace(b"bundle\n", b"bundle\n-" + COMMIT.encode() + b" x\n"),
        HEAD.replace(b"bundle\n", b"bundle\n" + COMMIT.encode() + b" refs/heads/main\n"),
        HEAD.replace(b"bundle\n", b"bundle\n" + COMMIT.encode() + b" " + PROPOSAL.encode() + b"\n"),
        HEAD.replace(PROPOSAL.encode(), b"refs/heads/main"),
        HEAD.replace(PROPOSAL.encode(), PROPOSAL.encode() + b"/x"),
        HEAD.replace(COMMIT.encode(), COMMIT.upper().encode()),
        HEAD.replace(COMMIT.encode(), COMMIT.encode() + b"0" * 24),
        HEAD.replace(COMMIT.encode(), b"f" * 40),
        b"# v2 git bundle\n" + b"x" * 100_000,
        b"# v2 git bundle\n\nPACK",
    ],
)
def test_everything_else_is_refused(data: bytes) -> None:
    with pytest.raises(HiveError) as refusal:
        read_head(io.BytesIO(data), COMMIT)
    assert refusal.value.code == "bad_proposal"


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda more: HEAD[: len(more) * 2] + more))
def test_no_bytes_end_in_anything_but_an_answer_or_a_refusal(data: bytes) -> None:
    try:
        head = read_head(io.BytesIO(data), COMMIT)
    except HiveError:
        return
    assert data.startswith(HEAD)
    assert head.commit == COMMIT


@given(st.text(max_size=50))
def test_a_commit_is_hexadecimal_digits_and_nothing_else(text: str) -> None:
    digits = set("0123456789abcdef")
    if 7 <= len(text) <= 40 and set(text) <= digits:
        assert check_commit(text) == text
    else:
        with pytest.raises(HiveError):
            check_commit(text)
