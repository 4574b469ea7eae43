"""Runs one scripted model from a JSON file until it is told to stop: `python -m hyperhive.testing.scripted_model`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hyperhive.errors import HiveError
from hyperhive.testing.scripted_model.scenario import Scenario
from hyperhive.testing.scripted_model.server import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyperhive.testing.scripted_model.record import RecordedRequest

_PROMPT_WIDTH = 60  # characters


def _say(request: RecordedRequest) -> None:
    prompt = request.prompt.partition("\n")[0][:_PROMPT_WIDTH]
    sys.stderr.write(f"{request.agent}: {request.kind} {prompt!r} -> {request.played or '-'}\n")


async def _serve(scenario: Scenario, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with ScriptedModel(scenario, port=port, keep=1, on_request=_say) as model:
        sys.stdout.write(f"{model.url}\n")
        sys.stdout.flush()
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the URL on standard output, one line for each request on standard error; 2 if it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m hyperhive.testing.scripted_model", description=main.__doc__)
    parser.add_argument("scenario", type=Path, help="a JSON file, see docs/scripted-model.md")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; by default any free one")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(_serve(Scenario.load(options.scenario), options.port))
    except (HiveError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
