"""A real hive with an agent that has no login, and the hosts at which it signs in.

Run as `sign_in_hive.py DIRECTORY [SECONDS]`.

The harness and the claude program are the real ones; SECONDS is what the first sign-in gets instead of ten minutes.
Prints the dashboard's address with its token once it is up, and ends with SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "integration"))

from sign_in_hosts import SignInHosts

from hyperhive.config_file import parse_settings
from hyperhive.hive.daemon import Ready, run
from hyperhive.runtime.select import select_runtime
from hyperhive.testing.scripted_model.server import ScriptedModel

HARNESS = """
import sys
from dataclasses import replace
from hyperhive.harness.main import main
from hyperhive.harness.sign_in_attempt import Attempt

begin, limits = Attempt.__init__, iter([{seconds}])

def shortened(self, settings, *args, **more):
    timings = replace(settings.timings, sign_in=next(limits, settings.timings.sign_in))
    begin(self, replace(settings, timings=timings), *args, **more)

Attempt.__init__ = shortened
sys.exit(main())
"""


def settings_of(directory: Path, environment: dict[str, str], ca: str) -> str:
    """One agent, whose claude is sent to the stand-ins."""
    agent: dict[str, Any] = {"environment": {**environment, "NODE_EXTRA_CA_CERTS": ca}}
    dashboard = {"port": 0, "agentPages": False}
    return json.dumps(
        {
            "stateDir": str(directory / "state"),
            "dashboard": dashboard,
            "manager": {"enable": False},
            "agents": {"carol": agent},
        }
    )


async def serve(directory: Path, seconds: float) -> None:
    """Until a signal ends it."""

    def say(ready: Ready) -> None:
        sys.stdout.write(f"{ready.dashboard_url}\n")
        sys.stdout.flush()

    command = (sys.executable, "-P", "-s", "-c", HARNESS.format(seconds=seconds))
    runtime = select_runtime("auto", command=command)
    shared = directory / "state" / "shared"
    shared.mkdir(parents=True)
    async with SignInHosts(directory) as hosts, ScriptedModel({"agents": {"*": {"otherwise": ["Well."]}}}) as model:
        shutil.copyfile(directory / "ca.pem", shared / "ca.pem")
        (shared / "ca.pem").chmod(0o644)
        ca = "/shared/ca.pem" if runtime.name == "bubblewrap" else str(shared / "ca.pem")
        environment = {**hosts.environment, "ANTHROPIC_BASE_URL": model.url}
        await run(parse_settings(settings_of(directory, environment, ca)), runtime=runtime, on_ready=say)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 600))
