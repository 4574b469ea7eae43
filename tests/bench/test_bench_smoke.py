"""`make bench` runs at all and prints every figure. No goal is asserted: a test machine has other things to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from figures import FIGURES, GROUPS

_BENCH = Path(__file__).parent
#: Figures that may be nothing: what rests, or was there already; and frames of a browser that had no time for any.
_MAY_BE_NOTHING = frozenset(
    {
        "cooled",
        "rest_wakeups",
        "rest_wakeups_login",
        "swarm_wakeups",
        "swarm_cpu",
        "swarm_daemon_wakeups",
        "idle_cpu",
        "parked_cpu",
        "idle_wakeups",
        "idle_statements",
        "reconnect",
        "reconnect_worst",
        "reconnect_away",
        "containers_changed",
        "storm_frames",
    }
)
#: No figure is more, whatever its unit and however slow the machine: a mistake of a thousand would be.
_ABSURD = {"ms": 600_000, "s": 600, "/s": 1_000_000, "µs": 10_000_000, "MiB": 4_000, "%": 1_000, "": 1_000}


#: Those that need whole swarms, machines or browsers to show that they run at all.
_LARGE = frozenset({"claude", "wake", "rest", "swarm", "containers", "pages"})
_SMALL = tuple(group for group in GROUPS if group not in {*_LARGE, "evaluation"})


@pytest.mark.parametrize(
    "groups",
    [
        pytest.param(_SMALL, id="small"),
        pytest.param(tuple(sorted(_LARGE)), id="large", marks=pytest.mark.long),
    ],
)
# On a new machine the first container waits for its file system to be made.
@pytest.mark.timeout(900)
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
    asked_for = {*groups} - {*made["notRun"]}
    assert set(made["figures"]) == {name for name, figure in FIGURES.items() if figure.group in asked_for}
    for name, figure in made["figures"].items():
        assert 0 <= figure["min"] <= figure["median"] <= figure["max"] < _ABSURD[figure["unit"]], f"{name}: {figure}"
        assert figure["max"] > 0 or name in _MAY_BE_NOTHING, f"{name}: {figure}"
        assert figure["what"] in ran.stderr


def test_what_may_be_nothing_are_figures() -> None:
    assert set(FIGURES) >= _MAY_BE_NOTHING
