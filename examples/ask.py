"""Send an agent a task and wait for its answer: `python examples/ask.py alice "What is in /shared?"`.

It finds the hive as the command line does (`docs/cli.md`, "Which hive"). The answer goes to standard output; the exit
code is 0, or 1 if there was no answer.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from hyperhive.client import HiveClient
from hyperhive.errors import HiveError


async def ask(agent: str, task: str, seconds: float) -> str:
    """The agent's answer to `task`."""
    async with HiveClient() as hive:
        answer = await hive.ask(agent, task, timeout=seconds)
        return answer.body


def main() -> int:
    """Read the command line, ask, print."""
    parser = argparse.ArgumentParser(description="Send an agent a task and wait for its answer.")
    parser.add_argument("agent", help="whom to ask")
    parser.add_argument("task", help="what it should do; it is told to answer with its send tool")
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="how long to wait")
    given = parser.parse_args()
    try:
        answer = asyncio.run(ask(given.agent, given.task, given.timeout))
    except (HiveError, TimeoutError) as error:
        sys.stderr.write(f"ask: {error}\n")
        return 1
    sys.stdout.write(answer + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
