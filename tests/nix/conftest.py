"""The tier `nix`: everything here needs Nix and a `<nixpkgs>` to evaluate with."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from nix_bed import HOSTS, Nix, at_once

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that one test may take. It is there to end what hangs: whole systems are evaluated, on any machine.
_LONGEST: Final = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder the time that evaluations take."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(_LONGEST))


@pytest.fixture(scope="session")
def nix(require_tier: Callable[[str, object, str], None], tmp_path_factory: pytest.TempPathFactory) -> Nix:
    """Nix, or the tests are skipped."""
    found = Nix.find(tmp_path_factory.mktemp("flake"))
    require_tier("nix", isinstance(found, Nix), str(found))
    assert isinstance(found, Nix)
    return found


@pytest.fixture(scope="session")
def hosts(nix: Nix) -> dict[str, dict[str, Any]]:
    """What `report` in cases.nix says about each host."""
    return dict(zip(HOSTS, at_once(partial(nix.evaluate, f"hosts.{name}") for name in HOSTS), strict=True))
