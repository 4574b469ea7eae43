"""One agent for tests of the harness: its directories, a stand-in hive, a scripted model, the real `claude`."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from broker_bed import DEADLINE
from harness_hive import StandInHive

from hyperhive import wire
from hyperhive.harness import processes, reporter
from hyperhive.harness.control import Control
from hyperhive.harness.launch import find_claude
from hyperhive.harness.main import run
from hyperhive.harness.settings import Settings, Timings
from hyperhive.testing.scripted_model import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

QUICK = Timings(
    poll=2, backoff=(0.02, 0.1), tool_retries=(0.1, 0.2, 0.4), login_look=0.05, login_retry=0.3, rate_limit=0.4,
    overloaded=0.4, no_claude=0.2, interrupt=3, stop_grace=0.2, flush=2,
)  # fmt: skip


@dataclass
class Place:
    """One agent's surroundings."""

    root: Path
    hive: StandInHive
    model: ScriptedModel
    timings: Timings = QUICK
    find: Callable[[Mapping[str, str]], str] = find_claude
    running: list[tuple[Control, asyncio.Task[None]]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return Settings(
            socket=self.root / "hive.sock",
            state=self.root / "state",
            shared=self.root / "shared",
            claude_config=self.root / "claude",
            credentials=self.root / "credentials",
            timings=self.timings,
        )

    def start(self) -> None:
        """Start a harness."""
        control = Control()
        task = asyncio.create_task(run(self.settings, control=control, find=self.find))
        self.running.append((control, task))

    async def stop(self, grace: float = 0) -> None:
        """Stop it and wait for its end."""
        for control, task in self.running:
            control.stop(grace)
            async with asyncio.timeout(DEADLINE):
                await task
        self.running.clear()

    async def outcomes(self, count: int, seconds: float = DEADLINE) -> list[str]:
        """The first `count` outcomes."""
        await self.hive.until(lambda: len(self.hive.outcomes) >= count, seconds)
        return [request.outcome for request in self.hive.outcomes]

    def set(self, **changes: object) -> None:
        """Change what the hive says of the agent."""
        self.hive.me = self.hive.me.model_copy(update=changes)


@asynccontextmanager
async def held(root: Path) -> AsyncIterator[Held]:
    """A step that a turn stands at until the test says that it goes on."""
    os.mkfifo(root / "held")
    pipe = os.open(root / "held", os.O_RDWR)
    try:
        yield Held({"tool": "Bash", "input": {"command": f"head -n 1 {root}/held"}}, pipe)
    finally:
        os.close(pipe)


@dataclass(frozen=True)
class Held:
    """What the model plays there, and where the word is given."""

    step: dict[str, Any]
    pipe: int

    def goes_on(self) -> None:
        """Let it end."""
        os.write(self.pipe, b"go on\n")


@asynccontextmanager
async def place(root: Path, *rules: dict[str, Any], otherwise: list[Any] | None = None) -> AsyncIterator[Place]:
    """An agent `alice` whose model plays `rules`."""
    for name in ("state", "shared", "claude", "credentials"):
        (root / name).mkdir()
    script: dict[str, Any] = {"rules": list(rules), "otherwise": otherwise or ["Done."]}
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(ScriptedModel({"agents": {"alice": script}}, keep_bodies=True))
        me = wire.SelfInfo(
            name="alice",
            role="agent",
            hive="test",
            operator=wire.OperatorInfo(name="Sam", pronouns="they/them"),
            model="haiku",
            prompt="You look after the build.",
            environment={
                "ANTHROPIC_BASE_URL": model.base_url("alice"),
                "ANTHROPIC_API_KEY": "sk-made-up-key",
                "CLAUDE_CODE_MAX_RETRIES": "1",
                "HOME": str(root),
            },
        )
        hive = await stack.enter_async_context(StandInHive(root / "hive.sock", me))
        here = Place(root, hive, model)
        with only_drawn_transitions():
            try:
                yield here
            finally:
                await here.stop()


@contextmanager
def only_drawn_transitions() -> Iterator[None]:
    """Fail should a state follow another one that `docs/turn-loop.md` does not draw."""
    logger, said = logging.getLogger(reporter.__name__), list[str]()
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    assert said == []


def claude_children() -> list[processes.Running]:
    """The claude processes below this one."""
    found = processes.tree(os.getpid())[1:]
    return [one for one in found if b"--output-format" in command_line(one)]


def command_line(process: processes.Running) -> bytes:
    """How it was started; empty if it is gone."""
    try:
        return Path(f"/proc/{process.pid}/cmdline").read_bytes()
    except OSError:
        return b""
