"""What all tests share: tiers, that is, parts of the suite that need something this machine may lack.

A test in a tier calls `require_tier(name, available, why)`. Where it is not available the test is skipped, and says by
name and why; with that name in `HYPERHIVE_REQUIRE_TIERS` (separated by commas) it fails instead.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable


def _interrupt(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    raise KeyboardInterrupt


#: What the shell made of Ctrl-C: what it starts beside itself is deaf to it.
_CTRL_C = signal.getsignal(signal.SIGINT)


def pytest_runtest_setup() -> None:
    """A hive in this process had Ctrl-C, and gave it back as usual."""
    if _CTRL_C is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def pytest_configure(config: pytest.Config) -> None:
    # The end of the run, which `make test` passes on. Ctrl-C and SIGTERM may be a hive's in this process.
    signal.signal(signal.SIGUSR1, _interrupt)
    # Which examples there are does not depend on how busy the machine is.
    settings.register_profile("hive", suppress_health_check=[HealthCheck.too_slow], deadline=None)
    settings.load_profile("hive")
    config.addinivalue_line("markers", "tier(name): needs something that not every machine has")
    config.addinivalue_line(
        "markers", "long: what a shorter test shows as well, in more ways; left out unless asked for"
    )


def _wants_long() -> bool:
    return bool(os.environ.get("HYPERHIVE_LONG"))


def pytest_report_header() -> str:
    """Whether the whole suite runs."""
    return (
        "long tests: run" if _wants_long() else "long tests: left out (make test-long, or HYPERHIVE_LONG=1, runs them)"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests out where nobody asked for them; they are counted as deselected."""
    left_out = [] if _wants_long() else [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def required_tiers() -> frozenset[str]:
    """The tiers that must not be skipped."""
    return frozenset(name.strip() for name in os.environ.get("HYPERHIVE_REQUIRE_TIERS", "").split(",") if name.strip())


def _require_tier(name: str, available: object, why: str) -> None:
    if available:
        return
    text = f"tier {name!r} does not run here: {why}"
    if name in required_tiers():
        pytest.fail(f"{text} (HYPERHIVE_REQUIRE_TIERS asks for it)", pytrace=False)
    pytest.skip(text)


@pytest.fixture(scope="session")
def require_tier() -> Callable[[str, object, str], None]:
    """Skip the test, or fail where the tier is required: `require_tier(name, available, why)`."""
    return _require_tier
