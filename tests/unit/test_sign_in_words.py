"""What is shown of a sign-in: which links, which words of the program, which names of models."""

from __future__ import annotations

import pytest

from hyperhive.errors import HiveError
from hyperhive.harness.sign_in_words import Heard
from hyperhive.models import KNOWN, checked_model
from hyperhive.sign_in_link import MAX_LINK, checked_link

SAID = (
    "Opening browser to sign in…\nIf the browser didn't open, visit:\n"
    "https://claude.ai/oauth/authorize?z-XwIMLi4\nPaste code here if prompted > "
)


def heard(*chunks: bytes) -> Heard:
    one = Heard()
    for chunk in chunks:
        one.add(chunk)
    return one


def test_the_link_is_found_in_whatever_pieces_it_comes() -> None:
    data = SAID.encode()
    for cut in range(len(data)):
        assert heard(data[:cut], data[cut:]).link() == "https://claude.ai/oauth/authorize?z-XwIMLi4"


def test_half_a_link_is_none() -> None:
    assert heard(b"visit:\nhttps://claude.ai/oauth/auth").link() is None


@pytest.mark.parametrize(
    "said",
    [
        b"\x1b[1mhttps://claude.ai/x\x1b[0m \n",
        b"\x1b]8;;https://example.org/y\x07https://claude.ai/x\x1b]8;;\x07 \n",
        b"\x1b]8;;https://example.org/y\x1b\\https://claude.ai/x\x1b]8;;\x1b\\ \n",
    ],
    ids=["colours", "hyperlink", "hyperlink-2"],
)
def test_what_is_meant_for_a_terminal_is_no_part_of_it(said: bytes) -> None:
    assert heard(said).link() == "https://claude.ai/x"


def test_the_last_line_has_no_code_no_token_no_link_and_no_terminal_sequence() -> None:
    one = heard(SAID.encode())
    one.code("code-part#state-part")
    assert one.last() is None, "what was said before the code is done with"
    one.add(b"Got code-part#state-part, code-part and state-part, sk-ant-oat01-abc_DEF-1 at https://claude.ai/x?code=1")
    one.add(b"\x1b[31m\x07\n\nPaste code here if prompted > ")
    assert one.last() == "Got [code], [code] and [code], [token] at [link]"


def test_a_flood_is_cut() -> None:
    one = heard(*[b"x" * 4096 for _ in range(100)])
    assert len(one.last() or "") == 300
    assert heard(b"\xff\xfe\n").last()


@pytest.mark.parametrize(
    "link",
    [
        "https://claude.ai/oauth?z-1",
        "https://claude.com/cai/oauth/authorize?code=true",
        "https://platform.claude.com/a",
    ],
)
def test_links_to_claudes_own_pages_are_shown(link: str) -> None:
    assert checked_link(link) == link


@pytest.mark.parametrize(
    "link",
    [
        "", "claude.ai/x", "http://claude.ai/", "https://", "https://claude.ai:8443/", "https://claude.ai.example.org/",
        "https://notclaude.ai/", "https://example.org/claude.ai", "https://user@claude.ai/", "https://claude.ai@evil/",
        "https://claude.ai\\@evil/", "https://claude.ai/ x", "https://claude.ai/\n", "https://claude.ai/\x1b[2J",
        "https://claude.ai/ü", 'https://claude.ai/"onclick=', "javascript:alert(1)", "https://[claude.ai/",
        "https://claude.ai/" + "x" * MAX_LINK,
    ],
)  # fmt: skip
def test_other_links_are_not(link: str) -> None:
    with pytest.raises(ValueError, match=r"^the link |Invalid|IPv6"):
        checked_link(link)


@pytest.mark.parametrize("name", [*KNOWN, "opus[1m]", "claude-opus-4-1", "claude-sonnet-5-5[1m]", "claude-3-5@x"])
def test_models_that_can_be_chosen(name: str) -> None:
    assert checked_model(name, "haiku") == name


@pytest.mark.parametrize("name", ["", "Opus", "gpt", "opus\n", "claude-", "-p", "claude-x y", "claude-" + "x" * 100])
def test_models_that_cannot(name: str) -> None:
    with pytest.raises(HiveError) as raised:
        checked_model(name, "eu.anthropic.own")
    assert raised.value.code == "malformed"
    assert raised.value.data["known"] == [*KNOWN, "eu.anthropic.own"]


def test_what_is_declared_can_always_be_chosen() -> None:
    assert checked_model("eu.anthropic.own", "eu.anthropic.own") == "eu.anthropic.own"
