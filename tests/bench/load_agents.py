"""Agents as the hive sees them, without a harness: three connections each, and the requests of a harness."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Self

from raw_client import Line, post

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from raw_client import Answer

_WAIT = 180
#: 300 bytes as agents write them.
BODY = (
    "I have looked at the failing build of the parser: the fixture of test_round_trip still has the old header, "
    "so that two of its three cases read past the end. I have written what I found to /shared/parser/notes.md and "
    "pushed nothing yet. Please tell me whether you want the header changed in the fixture itself."
)
BODY = BODY.ljust(300, ".")[:300]


class BenchAgent:
    """One connected agent.

    Attributes:
        name: the agent.
        line: for what is answered at once.
        inbox: what its parked `recv` will bring.
    """

    def __init__(self, name: str, socket: Path) -> None:
        self.name = name
        self.held: list[int] = []
        self._socket = socket
        self._instance = secrets.token_hex(8)

    async def connect(self) -> Self:
        """Open the connections; nothing is asked yet."""
        self.line, self._receiving, self._polling = [await Line.open(self._socket) for _ in range(3)]
        return self

    def park(self, most: int = 1) -> None:
        """Wait for messages: `inbox` will have them."""
        body = {"waitSeconds": _WAIT, "max": most, "holding": self.held, "instance": self._instance}
        self.inbox: asyncio.Future[Answer] = self._receiving.ask(post("/v1/recv", body))

    def park_for_commands(self, wait: float = _WAIT) -> asyncio.Future[Answer]:
        """Wait for commands."""
        return self._polling.ask(post("/v1/commands", {"waitSeconds": wait, "done": []}))

    async def received(self) -> tuple[list[dict[str, Any]], float]:
        """What the parked recv brings, and when; it is held until `settle`."""
        answer = await self.inbox
        deliveries = answer.json()["deliveries"]
        self.held += [delivery["id"] for delivery in deliveries]
        return deliveries, answer.at

    async def settle(self) -> None:
        """End the turn of everything that is held."""
        ids, self.held = self.held, []
        if ids:
            (await self.line.ask(post("/v1/outcome", {"ids": ids, "outcome": "settled"}))).json()

    async def idle(self, poll: float, share: float) -> None:
        """Be a harness with nothing to do: recv parked, command polls one after the other, the first one shorter."""
        self.park()
        wait = poll * share
        while True:
            (await self.park_for_commands(wait)).json()
            wait = poll
            if self.inbox.done():
                self.park()


def send_request(to: str) -> bytes:
    """A message, with a key of its own as the harness gives one."""
    return post("/v1/messages", {"to": to, "body": BODY, "idempotencyKey": secrets.token_hex(16)})


async def connected(run: Path, names: list[str]) -> list[BenchAgent]:
    """Connect as each of `names`; `run` is the hive's runtime directory."""
    return [await BenchAgent(name, run / "agents" / name / "hive.sock").connect() for name in names]
