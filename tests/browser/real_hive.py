"""A real hive for the browser: `hyperhive up` with the real claude, on a scripted model, all of it as processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ANSWERED = r"question (?P<n>\d+) to (?P<who>\w+) was answered by \w+:\n\| (?P<answer>[a-z ]+)"
_COLOUR = {"question": "Which colour?", "options": ["red", "blue"], "ttl_seconds": 3600}
SCENARIO: dict[str, Any] = {
    "agents": {
        "alice": {
            "rules": [
                {"when": _ANSWERED, "steps": [{"tool": "send", "input": {"to": "operator", "body": "so {answer}"}}]},
                {"when": "are you now", "steps": ["Still here."]},
                {"when": "which model", "steps": ["The one you chose."]},
                {"when": "paint", "steps": [{"tool": "ask_operator", "input": _COLOUR}, "I have asked."]},
                {"when": "sleep", "steps": [{"tool": "Bash", "input": {"command": "sleep 60"}}, "Slept."]},
            ],
            "otherwise": ["Well."],
        }
    }
}


class RealHive:
    """A hive that can be killed and started again in its place.

    Attributes:
        url: of the dashboard.
        token: the operator's.
    """

    def __init__(self, directory: Path, model: str) -> None:
        self._state = directory / "state"
        self._config = directory / "hive.json"
        self.model = model
        self.url = ""
        environment = {"ANTHROPIC_BASE_URL": model, "ANTHROPIC_API_KEY": "scripted"}
        self._dashboard: dict[str, Any] = {"port": 0, "agentPages": False}
        self._settings = {"dashboard": self._dashboard, "defaults": {"environment": environment}}
        self._settings |= {"agents": {"alice": {}}, "manager": {"enable": False}}
        self.token = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it is up; from the second time on at the port of the first."""
        self._config.write_text(json.dumps(self._settings))
        command = [sys.executable, "-m", "hyperhive", "up", str(self._config), "--state-dir", str(self._state)]
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HYPERHIVE_")}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=clean
        )
        said = []
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said.append(line)
            if found := re.search(r"(http://localhost:(\d+))/#token=(\S+)", line):
                self.url, port, self.token = found.groups()
                self._dashboard["port"] = int(port)
                return
        message = f"the hive did not start:\n{''.join(said)}"
        raise AssertionError(message)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it with a signal and wait for that."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.communicate(timeout=60)
            self._process = None


@contextmanager
def real_hive(directory: Path) -> Iterator[RealHive]:
    """A running hive with its model; both are gone afterwards."""
    scenario = directory / "scenario.json"
    scenario.write_text(json.dumps(SCENARIO))
    command = [sys.executable, "-m", "hyperhive.testing.scripted_model", str(scenario)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as model:
        assert model.stdout is not None
        hive = RealHive(directory, model.stdout.readline().strip())
        try:
            hive.start()
            yield hive
        finally:
            hive.end()
            model.terminate()
