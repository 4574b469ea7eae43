"""A swarm on the machine of the tier: the daemon's unit, a scripted model, and what a test does with them."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from nspawn_host import PATIENCE, Host

from hyperhive.client import HiveClient
from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nspawn_cgroups import Cgroups

    from hyperhive.shapes import AgentRow, MessageRow

#: Where alice waits for the word that she may go on, as she sees it and as the machine does.
_GO_ON = "/state/go-on"
_GO_ON_OUTSIDE = "/var/lib/hyperhive/agents/alice/state/go-on"
#: Both answer whatever they are asked, alice to this not until she may.
TAKE_YOUR_TIME = "take your time"
_WAIT = {"command": f"until [ -e {_GO_ON} ]; do sleep 0.1; done", "timeout": 600_000}
_ANSWER = {"tool": "send", "input": {"to": "operator", "body": "42"}}
SCENARIO = {
    "agents": {
        "alice": {
            "rules": [
                {"when": TAKE_YOUR_TIME, "steps": [{"tool": "Bash", "input": _WAIT}, _ANSWER]},
            ],
            "otherwise": [_ANSWER],
        },
        "bob": {"otherwise": [{"tool": "send", "input": {"to": "operator", "body": "43"}}]},
    }
}
#: Between two looks at something that nobody tells of.
_LOOK = 0.1
_KEY = "scripted-key-of-the-test"


class Swarm:
    """The daemon on a machine."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def client(self) -> HiveClient:
        """A client of the operator's socket."""
        return HiveClient(self.host.path("/run/hyperhive/host.sock"))

    async def configure(self, agents: dict[str, Any], **more: Any) -> None:  # noqa: ANN401 - JSON
        """Write the settings. Changes of agents are applied by a restart of the daemon."""
        settings = {
            "stateDir": "/var/lib/hyperhive",
            "runtimeDir": "/run/hyperhive",
            "runtime": "nixos-container",
            "systems": {"default": "/nix/store/default"},
            "defaults": {
                "environment": {"ANTHROPIC_BASE_URL": self.model_url},
                "credentials": {"ANTHROPIC_API_KEY": "/etc/hyperhive/key"},
            },
            "manager": {"enable": False},
            "agents": agents,
            **more,
        }
        place = self.host.path("/etc/hyperhive")
        place.mkdir(exist_ok=True)
        (place / "key").write_text(_KEY)
        (place / "key").chmod(0o600)
        (place / "config.json").write_text(json.dumps(settings))

    async def play(self, scenario: dict[str, Any]) -> None:
        """Start the scripted model on the machine's loopback."""
        (self.host.path("/etc") / "scenario.json").write_text(json.dumps(scenario))
        model = ("-m", "hyperhive.testing.scripted_model", "/etc/scenario.json", "--port=4010")
        await self.host.run("systemd-run", "--unit=model", "--quiet", "--", *self.interpreter, *model)
        await self.eventually(lambda: self._listens(4010))

    async def _listens(self, port: int) -> bool:
        return bool(await self.host.run("ss", "-Hltn", f"sport = :{port}"))

    @property
    def model_url(self) -> str:
        """Where the scripted model is."""
        return "http://127.0.0.1:4010"

    async def restart(self) -> None:
        """Restart the daemon."""
        await self.host.run("systemctl", "restart", "hyperhive.service")

    async def begin(self) -> None:
        """Start the daemon's unit; it is ready when this returns."""
        # As the module's wantedBy does: a stopped unit that nobody wants is collected, with the sockets that it stored.
        await self.host.run("systemctl", "add-wants", "multi-user.target", "hyperhive.service")
        said = await self.host.run("systemctl", "start", "hyperhive.service", ok=False)
        if said or await self.host.run("systemctl", "is-active", "hyperhive.service", ok=False) != "active":
            msg = f"{said}\n{await self.log()}"
            raise AssertionError(msg)

    async def log(self) -> str:
        """The daemon's journal, and the containers'."""
        return await self.host.run("journalctl", "--no-pager", "-n", "100", "-u", "hyperhive", "-u", "container@*")

    async def eventually(self, holds: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever holds
        """Wait until something is so, which nobody announces."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if found := await holds():
                    return found
                await asyncio.sleep(_LOOK)

    async def agent(self, name: str) -> AgentRow | None:
        """How the hive sees an agent; None while it does not answer."""
        try:
            async with self.client() as client:
                return await client.agent(name)
        except HiveError:
            return None

    async def unit(self, name: str) -> dict[str, str]:
        """What systemd says about an agent's container."""
        properties = "ActiveState,SubState,InvocationID,MainPID,NRestarts,MemoryMax,MemoryCurrent"
        said = await self.host.run("systemctl", "show", f"container@h-{name}", f"--property={properties}")
        return dict(line.partition("=")[::2] for line in said.splitlines())

    @property
    def interpreter(self) -> tuple[str, ...]:
        """The tests' Python, as a command there."""
        return ("env", *self.host.variables, sys.executable, "-P")

    async def python(self, source: str, *, in_container: str | None = None) -> str:
        """Run a Python program on the machine, or as root in a container, and return what it prints."""
        command = (*self.interpreter, "-c", source)
        if in_container:
            return await self.host.inside(in_container, *command)
        return await self.host.run(*command)

    async def ready(self) -> None:
        """Wait until both agents have nothing to do."""
        for name in ("alice", "bob"):
            await self.in_state(name, "idle")

    async def in_state(self, name: str, *states: str) -> AgentRow:
        """Wait for a state of an agent."""

        async def is_so() -> AgentRow | None:
            row = await self.agent(name)
            return row if row and row.state in states else None

        try:
            row: AgentRow = await self.eventually(is_so)
        except TimeoutError:
            msg = f"'{name}' is {await self.agent(name)}\n{await self.log()}"
            raise AssertionError(msg) from None
        return row

    @asynccontextmanager
    async def in_a_turn(self) -> AsyncIterator[asyncio.Task[MessageRow]]:
        """Alice works on something until `go_on`, or the end of the block; gives what waits for her answer."""
        self.host.path(_GO_ON_OUTSIDE).unlink(missing_ok=True)
        answer = asyncio.create_task(self.ask("alice", TAKE_YOUR_TIME))
        try:
            await self.in_state("alice", "thinking")
            yield answer
        finally:
            self.go_on()
            await asyncio.wait({answer})

    def go_on(self) -> None:
        """Let alice's turn end."""
        self.host.path(_GO_ON_OUTSIDE).touch()

    async def ask(self, name: str, body: str) -> MessageRow:
        """Send a message and wait for the answer."""
        async with self.client() as client:
            return await client.ask(name, body, timeout=PATIENCE)


@asynccontextmanager
async def swarm(
    agents: dict[str, Any], scenario: dict[str, Any], cgroups: Cgroups | None = None
) -> AsyncIterator[Swarm]:
    """A machine with a running daemon."""
    async with Host(cgroups) as host:
        made = Swarm(host)
        await made.configure(agents)
        await made.play(scenario)
        await made.begin()
        yield made
