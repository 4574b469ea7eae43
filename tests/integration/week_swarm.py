"""Whole harnesses on the fake session, as tasks of this process, and the book that is kept of what they were asked.

What goes wrong comes in turn, not by chance, so that a short run has every kind. What chance there is depends on the
message alone, so that it is the same in each run.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hive_process import NobodyRuntime
from warp import warped

from hyperhive import wire
from hyperhive.errors import HiveError
from hyperhive.harness.control import Control
from hyperhive.harness.hive import HiveClient as AgentClient
from hyperhive.harness.main import run as run_harness
from hyperhive.harness.settings import Settings, Timings
from hyperhive.runtime.base import AgentPlan, Exit
from hyperhive.testing.fake_session import Answer, FakeSession, Memory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

AGENTS = tuple(f"a{number}" for number in range(20))
HOUR = 3600.0
_LABEL = re.compile(r"#(\w+\.\d+)#")
_AGAIN = "You were given this message before"
#: Every so many turns something goes wrong; every so many messages of one sender there is one that never goes well.
_FAULT_EVERY, _CURSED_EVERY = 9, 40


@dataclass
class Book:
    """What is known of every message, by its label: who has it, how often it was asked for and done.

    Attributes:
        accepted: recipients of what the hive has taken.
        asked: prompts with it.
        done: turns that did what it says.
        again: those of `asked` that came after it was done, and said so.
        doubled: those that did not say so.
        faults: what went wrong, by kind.
        turns: all prompts.
        written: labels by sender.
    """

    accepted: dict[str, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    again: int = 0
    doubled: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    turns: int = 0
    written: Counter[str] = field(default_factory=Counter)

    def label(self, sender: str) -> str:
        """The label of another message."""
        self.written[sender] += 1
        return f"{sender}.{self.written[sender]}"

    def prompt(self, prompt: str) -> str | None:
        """Something is asked: the label of its message, if it has one."""
        self.turns += 1
        found = _LABEL.search(prompt.rsplit("Message from ", 1)[-1])
        if found is None:
            return None
        label = found[1]
        self.asked[label] += 1
        if self.done[label] and _AGAIN in prompt:
            self.again += 1
        elif self.done[label]:
            self.doubled.append(label)
        return label

    async def taken(self, label: str, to: str, send: Callable[[str], Awaitable[Any]]) -> None:
        """Send a body until it is taken, through restarts of the hive."""
        body = f"#{label}# for {to}"
        while True:
            try:
                await send(body)
            except HiveError as error:
                if error.code not in {"no_daemon", "shutting_down"}:
                    raise
                await asyncio.sleep(3)
            else:
                self.accepted[label] = to
                return


def is_cursed(label: str) -> bool:
    """Whether every turn of this message fails."""
    return int(label.partition(".")[2]) % _CURSED_EVERY == 0


class Swarm(NobodyRuntime):
    """A runtime whose harnesses are tasks here; they outlive the daemon."""

    def __init__(self, seed: int, book: Book) -> None:
        super().__init__(())
        self._seed, self._book = seed, book
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._controls: dict[str, Control] = {}
        self._memories = {name: Memory(window=60_000) for name in AGENTS}
        self._sockets: dict[str, Path] = {}
        #: When what was asked is done, and when the turn is over, of turns that go well.
        self._turns: dict[str, tuple[float, float]] = {}
        #: Whether nobody writes any more.
        self.silent = False
        self._end = False

    # --- the runtime

    async def found(self) -> frozenset[str]:
        return frozenset(self._tasks)

    async def start(self, plan: AgentPlan) -> None:
        await self.prepare(plan)
        name = plan.name
        if name in self._tasks:
            return
        self._sockets[name] = plan.socket_dir / "hive.sock"
        control = self._controls[name] = Control()
        settings = Settings(
            socket=self._sockets[name],
            state=plan.state,
            shared=plan.shared,
            claude_config=plan.claude,
            # Nobody signs in meanwhile, and every look is a request.
            timings=Timings(login_look=120),
        )
        session = FakeSession(lambda prompt: self._answer(name, prompt), self._memories[name])
        work = run_harness(
            settings, control=control, find=lambda _environment: "no-claude-here", make_session=lambda *_parts: session
        )
        self._running.add(name)
        task = self._tasks[name] = asyncio.create_task(work, name=f"harness of {name}")
        task.add_done_callback(lambda done: self._over(name, done))

    def _over(self, name: str, done: asyncio.Task[None]) -> None:
        del self._tasks[name]
        self._turns.pop(name, None)
        self._running.discard(name)
        if not self._end:
            self.on_exit(Exit(name, -9 if done.cancelled() else 0, expected=False, tail=("the last words",)))
        if not done.cancelled():
            done.result()

    async def stop(self, name: str) -> None:
        if task := self._tasks.get(name):
            self._controls[name].stop(5)
            await asyncio.wait({task})

    def kill(self, name: str) -> None:
        """A harness is gone in the middle of whatever it does."""
        if task := self._tasks.get(name):
            task.cancel()

    async def end_all(self) -> None:
        """The end of the world."""
        self._end = True
        await asyncio.gather(*(self.stop(name) for name in list(self._tasks)))

    # --- what the agents do

    def at_work(self, *, done: bool) -> list[str]:
        """Who is in the middle of a turn, and has done what was asked or has not."""
        now = warped().time()
        return [name for name, (acts, ends) in self._turns.items() if (acts <= now < ends if done else now < acts)]

    def _answer(self, name: str, prompt: str) -> Answer:
        label, now = self._book.prompt(prompt), warped().time()
        self._turns.pop(name, None)
        if label and is_cursed(label):
            self._book.faults["cursed"] += 1
            return Answer(text="API Error: 400 cursed", status=400, error="unknown", seconds=2)
        if self._book.turns % _FAULT_EVERY == 0:
            return self._fault()
        draw = random.Random(f"{self._seed} {name} {label or self._book.turns} {self._book.asked[label or '']}")  # noqa: S311
        seconds = draw.uniform(5, 300)
        self._turns[name] = now + seconds / 2, now + seconds

        async def act() -> None:
            if label:
                self._book.done[label] += 1
            await self._write(name, draw)

        return Answer(seconds=seconds, tokens=draw.randrange(500, 8000), act=act)

    def _fault(self) -> Answer:
        later = warped().now().timestamp() + 600
        kinds = {
            "429": Answer(text="limit", status=429, error="rate_limit", resets_at=later),
            "529": Answer(text="529 Overloaded", status=529, error="server_error", seconds=2),
            "401": Answer(text="401 no", status=401, error="authentication_failed"),
            "400": Answer(text="API Error: 400 no", status=400, error="unknown"),
            "died": Answer(dies=True, seconds=3),
            "too slow": Answer(seconds=2 * HOUR),
        }
        kind = list(kinds)[self._book.turns // _FAULT_EVERY % len(kinds)]
        self._book.faults[kind] += 1
        return kinds[kind]

    async def _write(self, name: str, draw: random.Random) -> None:
        """In the middle of a turn: sometimes a message to another, sometimes a reminder."""
        chance = draw.random()
        if chance >= 0.5 or self.silent:
            return
        async with AgentClient(self._sockets[name]) as hive:
            if chance < 0.4:
                to = draw.choice([other for other in AGENTS if other != name])
                label = self._book.label(name)
                await self._book.taken(
                    label, to, lambda body: hive.send(wire.SendRequest(to=to, body=body, idempotency_key=label))
                )
            else:
                with contextlib.suppress(HiveError):
                    await hive.remind(wire.RemindRequest(message="look", delay_seconds=draw.uniform(60, 12 * HOUR)))
