"""`hyperhive demo --once` as a person runs it: the whole story with the real claude, and nothing left behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from hyperhive.cli.demo import settings_for
from hyperhive.testing.demo import AGENTS, THE_END

ROOT = Path(__file__).parents[2]
#: Seconds; a guard against hanging. The story itself takes about 10 at this speed.
_PATIENCE = 300


def test_the_demo_tells_its_story_and_ends(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "hyperhive", "demo", "--once", "--speed", "50"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, env=environment, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "Traceback" not in shown.stderr
    assert "trouble:" not in shown.stderr
    assert THE_END in shown.stdout
    assert "All tests pass:\n    ok: Hello, Ada!\n    ok: Hello, world!" in shown.stdout, "bob's tool really ran"
    address = re.search(r"http://localhost:(\d+)/#token=\S{32,}", shown.stdout)
    assert address
    assert list(tmp_path.glob("hyperhive-demo-*")) == []


def test_the_settings_of_the_demo_are_those_of_its_agents(tmp_path: Path) -> None:
    settings = settings_for("http://127.0.0.1:1", tmp_path, 7000)
    assert set(settings.agents) == set(AGENTS)
    assert settings.defaults.environment["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1"
