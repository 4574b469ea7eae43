"""docs/delivery.md says what the contracts say, and the numbers that the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hyperhive.hive.limits import Limits
from hyperhive.hive.retention import KEEP
from hyperhive.testing.contracts.broker import CONTRACTS
from hyperhive.web.gates import MAX_REQUEST
from hyperhive.wire import MAX_BODY

_TEXT = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text()


def _numbers() -> list[str]:
    return [(contract.__doc__ or "").split(".", maxsplit=1)[0] for contract in CONTRACTS]


@pytest.mark.parametrize("number", _numbers())
def test_every_contract_is_explained(number: str) -> None:
    rows = [line for line in _TEXT.splitlines() if line.startswith("|") and re.search(rf"\b{number}\b", line)]
    assert rows, f"{number} is in no table"


def test_nothing_is_promised_that_is_not_tested() -> None:
    assert set(re.findall(r"\bB\d\d\b", _TEXT)) == set(_numbers())


def test_the_figures_are_those_of_the_code() -> None:
    limits = Limits()
    pauses = [f"{limits.back_off * 2**n:g} s" for n in range(limits.attempts - 1)]
    for words in (
        f"{MAX_BODY:,} bytes",
        f"{MAX_REQUEST // 2**20} MiB",
        f"{limits.unread:,} messages may wait",
        f"{limits.sends_a_minute} messages accepted",
        f"waits again after {', '.join(pauses)}",
        f"after {KEEP.days} days",
    ):
        assert words in _TEXT, words
    assert limits.attempts == 5
    assert "the fifth failure" in _TEXT
