"""One more agent without a `config` is data, not an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from evaluation import figures

if TYPE_CHECKING:
    from pathlib import Path

    from nix_bed import Nix


@pytest.mark.long
def test_one_more_agent_costs_next_to_nothing(nix: Nix, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = figures(nix, tmp_path)
    with capsys.disabled():
        print(f"\n  evaluation: {found}")  # noqa: T201 - the figures are the point
    assert found["one_more_agent_percent"] <= 0.3
    assert found["many_to_one"] <= 1.2
