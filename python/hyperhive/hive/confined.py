"""Running a program on what an agent wrote: as another user, in bounds of memory, time and output, and gone afterwards.

Every process of it is in one session of its own and is ended with it, gently first: `nix` ends the builds that it has
begun. What it prints goes into a `Log` that keeps its beginning and its end.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.programs import start_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_CHUNK: Final = 65536
#: Bytes of standard output that are kept: a path, or a comparison of two closures.
_ANSWER: Final = 256 * 1024
#: Seconds between asking a program to end and ending it.
_GRACE: Final = 5.0
#: How much rather than the hive the kernel ends it where memory is short.
_EXPENDABLE: Final = 900
#: What a terminal would obey.
_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[^\n\t\x20-\x7e\x80-\U0010ffff]|[\x80-\x9f]")


@dataclass(frozen=True, slots=True)
class User:
    """Who a program is run as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one program may use.

    Attributes:
        seconds: from its start to its end.
        memory_bytes: of address space, each of its processes.
        output_bytes: that it may print before it is ended; more than a log keeps.
    """

    seconds: float
    memory_bytes: int | None = None
    output_bytes: int = 64 * 1024 * 1024


class Log:
    """What was said: the first and the last part of it, as plain text.

    Args:
        head: bytes that are kept from the beginning.
        tail: bytes that are kept from the end, about.
    """

    def __init__(self, head: int = 192 * 1024, tail: int = 64 * 1024) -> None:
        self._most = head
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._most_tail = tail
        self._left_out = 0

    def feed(self, chunk: bytes) -> None:
        """Take what was said next."""
        room = self._most - len(self._head)
        self._head += chunk[:room]
        if rest := chunk[room:]:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
        while self._tail and self._tail_bytes - len(self._tail[0]) >= self._most_tail:
            gone = self._tail.popleft()
            self._tail_bytes -= len(gone)
            self._left_out += len(gone)

    def say(self, line: str) -> None:
        """Add a line of the hive's own."""
        self.feed(f"{line}\n".encode())

    @property
    def text(self) -> str:
        """All that was kept."""
        middle = f"\n[… {self._left_out:,} bytes are left out …]\n".encode() if self._left_out else b""
        said = bytes(self._head) + middle + b"".join(self._tail)
        return _CONTROL.sub("", said.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n"))


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that ended.

    Attributes:
        code: its exit status, negative for a signal.
        out: the beginning of its standard output.
        over: which bound it went over, as words for people; None where none.
    """

    code: int
    out: str
    over: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it ended well by itself."""
        return self.code == 0 and self.over is None


class Confined:
    """Runs programs within bounds.

    Args:
        user: who they are run as; None is the hive's own.
        environment: all of their environment.
        cwd: where they are run.
    """

    def __init__(self, user: User | None, environment: Mapping[str, str], cwd: Path) -> None:
        self._user = user
        self._environment = dict(environment)
        self._cwd = cwd

    async def run(self, command: Sequence[str], bounds: Bounds, log: Log) -> Ended:
        """Run a program to its end, or to a bound. Nothing of it is left, also where this is cancelled.

        Raises:
            HiveError: `operation_failed`: it cannot be run.
        """
        process = await self._start([*_bounded(bounds), *command])
        said = _Said(log, bounds.output_bytes)
        readers = [asyncio.create_task(said.out(process.stdout)), asyncio.create_task(said.err(process.stderr))]
        over = None
        try:
            over = await self._wait(process, readers, said, bounds)
        finally:
            await asyncio.shield(_end(process))
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
        code = process.returncode if process.returncode is not None else -signal.SIGKILL
        return Ended(code, said.answer.decode(errors="replace"), over)

    async def _start(self, command: Sequence[str]) -> asyncio.subprocess.Process:
        user = self._user
        try:
            return await start_program(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=self._cwd,
                env=self._environment,
                start_new_session=True,
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=() if user else None,
            )
        except OSError as error:
            msg = f"the program '{command[0]}' cannot be run for a build: {error.strerror}"
            raise HiveError("operation_failed", msg, "On NixOS the module puts it on the service's PATH") from error

    @staticmethod
    async def _wait(
        process: asyncio.subprocess.Process, readers: list[asyncio.Task[None]], said: _Said, bounds: Bounds
    ) -> str | None:
        ended = asyncio.create_task(process.wait())
        full = asyncio.create_task(said.full.wait())
        try:
            await asyncio.wait({ended, full}, timeout=bounds.seconds, return_when=asyncio.FIRST_COMPLETED)
            if said.full.is_set():
                return f"it printed more than {bounds.output_bytes:,} bytes"
            if not ended.done():
                return f"it took more than {bounds.seconds:g} s"
            # Its last words; whoever still holds the pipe is ended with the session.
            await asyncio.wait(readers, timeout=_GRACE)
            return None
        finally:
            ended.cancel()
            full.cancel()


class _Said:
    """Takes what a program prints."""

    def __init__(self, log: Log, most: int) -> None:
        self.answer = bytearray()
        self.full = asyncio.Event()
        self._log = log
        self._left = most

    async def out(self, stream: asyncio.StreamReader | None) -> None:
        while stream is not None and (chunk := await stream.read(_CHUNK)):
            self.answer += chunk[: _ANSWER - len(self.answer)]
            self._count(chunk)

    async def err(self, stream: asyncio.StreamReader | None) -> None:
        while stream is not None and (chunk := await stream.read(_CHUNK)):
            self._log.feed(chunk)
            self._count(chunk)

    def _count(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            self.full.set()


def _bounded(bounds: Bounds) -> list[str]:
    """Programs that set bounds and become the next one; not `preexec_fn`, which must not be used beside threads."""
    memory = [f"--as={bounds.memory_bytes}"] if bounds.memory_bytes else []
    return ["choom", "-n", str(_EXPENDABLE), "--", "prlimit", "--core=0", "--nofile=4096", *memory, "--"]


async def _end(process: asyncio.subprocess.Process) -> None:
    """End all of a program's session; asked first, because `nix` has children in sessions of their own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await process.wait()
