"""What the tests of agents' pages share: names whose ports are free here, and clients of those ports."""

from __future__ import annotations

import random
import string
from typing import TYPE_CHECKING, Any

import httpx

from hyperhive.names import web_port
from hyperhive.preflight import port_is_free

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

#: The dashboard on any port, agents' pages on theirs.
PAGES: dict[str, Any] = {"port": 0, "agentPages": True}


def free_names(count: int) -> list[str]:
    """Names of agents, each with another port, that nobody on this machine has."""
    found: dict[int, str] = {}
    while len(found) < count:
        name = "p" + "".join(random.choices(string.ascii_lowercase, k=7))  # noqa: S311 - no secret
        if port_is_free(web_port(name)):
            found.setdefault(web_port(name), name)
    return list(found.values())


def bearing(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


async def at_port(clients: AsyncExitStack, port: int, token: str | None = None, host: str = "127.0.0.1") -> Any:  # noqa: ANN401 - a client
    """A client of one port, which sends paths as they are."""
    client = httpx.AsyncClient(base_url=f"http://{host}:{port}", headers=bearing(token), timeout=30, trust_env=False)
    return await clients.enter_async_context(client)
