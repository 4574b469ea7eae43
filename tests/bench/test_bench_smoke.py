"""`make bench` runs at all and prints every figure. No goal is asserted: a test machine has other things to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from figures import FIGURES, GROUPS

_BENCH = Path(__file__).parent
_SANE = {
    "delivery_p50": (0.1, 1000),
    "delivery_p99": (0.1, 5000),
    "sends": (10, 1_000_000),
    "sends_p99": (0.1, 60_000),
    "sends_cpu": (1, 100_000),
    "sends_received": (1, 1_000_000),
    "daemon_rss_loaded": (20, 1000),
    "burst_p99": (1, 60_000),
    "warm_request": (1, 60_000),
    "resumed_request": (1, 60_000),
    "harness_rss": (20, 1000),
    "harness_rss_used": (20, 1000),
    "cooled": (0, 100),
    "wake": (0.05, 60),
    "wake_first": (0.05, 60),
    "wake_resumed": (0.05, 60),
    "rest_wakeups": (0, 10_000),
    "rest_wakeups_login": (0, 10_000),
    "swarm_wakeups": (0, 10_000),
    "swarm_cpu": (0, 1000),
    "swarm_daemon_wakeups": (0, 10_000),
    "swarm_rss": (20, 1000),
    "daemon_rss": (20, 1000),
    "idle_cpu": (0, 100),
    "parked_cpu": (0, 100),
    "idle_wakeups": (0, 100_000),
    "idle_statements": (0, 0),
    "scrape": (0.1, 10_000),
    "scrape_p95": (0.1, 10_000),
    "list": (0.01, 60),
    "pin": (1, 60_000),
    "diff": (1, 60_000),
    "bundle": (1, 60_000),
    "export": (1, 60_000),
    "pin_largest": (1, 60_000),
    "repository": (1, 60_000),
    "reconnect": (0, 60),
    "reconnect_worst": (0, 60),
    "reconnect_away": (0, 60),
    "containers_restart": (0.1, 60),
    "containers_changed": (0, 0),
    "containers_boot": (0.5, 120),
    "usable": (0.01, 60),
    "badge_p95": (1, 60_000),
    "badge": (1, 60_000),
    "row_p95": (1, 60_000),
    "row": (1, 60_000),
    "storm_frames": (0.1, 1000),
    "storm_heap": (0.5, 1000),
    "storm_heap_after": (0.5, 1000),
}


#: Those that need whole swarms, machines or browsers to show that they run at all.
_LARGE = frozenset({"wake", "rest", "swarm", "containers", "pages"})
_SMALL = tuple(group for group in GROUPS if group not in {*_LARGE, "evaluation"})


@pytest.mark.parametrize(
    "groups",
    [
        pytest.param(_SMALL, id="small"),
        # On a new machine the first container waits for its file system to be made.
        pytest.param(tuple(sorted(_LARGE)), id="large", marks=[pytest.mark.long, pytest.mark.timeout(300)]),
    ],
)
def test_a_quick_run_prints_every_figure(tmp_path: Path, groups: tuple[str, ...]) -> None:
    report = tmp_path / "bench.json"
    asked = [word for group in groups for word in ("--only", group)]
    command = [sys.executable, str(_BENCH / "run.py"), "--quick", "--json", str(report), *asked]

    ran = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    made = json.loads(report.read_text(encoding="utf-8"))
    assert made["failed"] == {}
    assert made["machine"]["cores"] >= 1
    assert set(made["notRun"]) <= {"containers", "pages"}
    sane = {name: bounds for name, bounds in _SANE.items() if FIGURES[name].group in {*groups} - {*made["notRun"]}}
    assert set(made["figures"]) == set(sane)
    for name, (least, most) in sane.items():
        figure = made["figures"][name]
        assert least <= figure["min"] <= figure["median"] <= figure["max"] <= most, f"{name}: {figure}"
        assert figure["what"] in ran.stderr


def test_every_figure_has_its_bounds() -> None:
    assert set(_SANE) == {name for name, figure in FIGURES.items() if figure.group != "evaluation"}
