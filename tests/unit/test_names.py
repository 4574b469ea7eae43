"""Names and the ports that follow from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.errors import HiveError
from hyperhive.names import RESERVED, check_agent_name, fnv1a_32, nearest, parse_agent_name, port_collisions, web_port


@pytest.mark.parametrize("name", ["a", "alice", "build-2", "a--------", "z99999999", "manager", "a-"])
def test_names_that_agents_may_have(name: str) -> None:
    assert check_agent_name(name) == name
    assert parse_agent_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "1a",
        "-a",
        "a_b",
        "a.b",
        "..",
        ".",
        "a/b",
        "/",
        "abcdefghij",
        "a\n",
        "\na",
        "a ",
        "é",
        "\uff41",
        "a\0",
        "*",
    ],
)
def test_names_that_lead_out_of_a_directory_or_do_not_fit(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be an agent's name"):
        check_agent_name(name)


@pytest.mark.parametrize("name", sorted(RESERVED - {"manager", "*"}))
def test_reserved_names_say_so(name: str) -> None:
    with pytest.raises(HiveError) as caught:
        parse_agent_name(name)
    assert caught.value.code == "reserved_name"


def test_other_bad_names_have_their_code() -> None:
    with pytest.raises(HiveError) as caught:
        parse_agent_name("../etc")
    assert caught.value.code == "bad_name"
    assert caught.value.hint


@given(st.text(max_size=12))
def test_whatever_is_accepted_is_a_plain_file_name(text: str) -> None:
    try:
        name = check_agent_name(text)
    except ValueError:
        return
    assert name.isascii()
    assert 1 <= len(name) <= 9
    assert not set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.parametrize(("text", "value"), [("", 0x811C9DC5), ("a", 0xE40C292C), ("foobar", 0xBF9CF968)])
def test_fnv_is_the_published_one(text: str, value: int) -> None:
    assert fnv1a_32(text) == value


@pytest.mark.parametrize(
    ("name", "port"), [("test", 8945), ("alice", 8879), ("bob", 8744), ("coder", 8202), ("manager", 8000)]
)
def test_ports_are_the_ones_that_the_nix_module_computes(name: str, port: int) -> None:
    assert web_port(name) == port


@given(st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True))
def test_ports_stay_in_their_range(name: str) -> None:
    assert web_port(name) == 8000 if name == "manager" else 8100 <= web_port(name) <= 8999


def test_collisions_name_everybody_in_order() -> None:
    assert port_collisions(["lint", "alice", "builder", "lint"]) == [(8900, ["builder", "lint"])]
    assert port_collisions(["alice", "bob"]) == []


def test_the_nearest_name_comes_first() -> None:
    assert nearest("alcie", ["bob", "alice", "malice"])[0] == "alice"
    assert nearest("zzz", ["alice"]) == []
    assert len(nearest("a1", ["a2", "a3", "a4", "a5"])) == 3
