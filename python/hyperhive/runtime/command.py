"""Runs programs of the host to their end: no shell, no standard input, a time limit, a bounded tail of what they said.

`run_program` is the real one; whatever needs a program takes a `Runner`, so that tests can record instead.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from hyperhive.errors import HiveError
from hyperhive.programs import start_program

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

#: Bytes of output that are kept, from the end.
_KEPT: Final = 1024 * 1024
_CHUNK: Final = 65536
#: Seconds in which output still comes after a program ended: somebody else may hold its pipe.
_LAST_WORDS: Final = 2
#: What programs for people would otherwise do to their output.
_PLAIN: Final = {"LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "", "PAGER": "cat"}


@dataclass(frozen=True)
class Done:
    """A program that ended; `code` is negative for a signal."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def ok(self) -> bool:
        """Only none and some: `nixos-container` exits with whatever number was left over."""
        return self.code == 0

    def tail(self, lines: int = 5) -> tuple[str, ...]:
        """The last lines of what it said, errors first looked for."""
        said = [line.strip() for line in (self.err.strip() or self.out.strip()).splitlines()]
        return tuple([line for line in said if line][-lines:])


class Runner(Protocol):
    """Runs one program to its end."""

    async def __call__(self, *command: str, seconds: float) -> Done:
        """Return how `command` ended.

        Raises:
            HiveError: `runtime_unavailable`: there is no such program; `operation_failed`: it took more than `seconds`.
        """
        ...


class Follower(Protocol):
    """Runs one program that goes on."""

    def __call__(self, *command: str) -> AsyncGenerator[list[str], None]:
        """Give what `command` says, line by line; it ends when the generator is closed.

        Raises:
            HiveError: `runtime_unavailable`: there is no such program.
        """
        ...


async def run_program(*command: str, seconds: float) -> Done:
    """The `Runner` that runs programs. Whatever it started is gone when it returns or is cancelled."""
    process = await _start(*command, stderr=asyncio.subprocess.PIPE)
    out, err = (asyncio.create_task(_last(stream)) for stream in (process.stdout, process.stderr))
    try:
        async with asyncio.timeout(seconds):
            code = await process.wait()
        await asyncio.wait({out, err}, timeout=_LAST_WORDS)
        return Done(code, *(task.result() if task.done() else "" for task in (out, err)))
    except TimeoutError:
        msg = f"'{' '.join(command[:3])}' did not end within {seconds:g} s"
        raise HiveError("operation_failed", msg, "Look at the journal, then try again") from None
    finally:
        _end(process)
        # Read on meanwhile: with more output than asyncio buffers, waiting would never end.
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await asyncio.shield(process.wait())
        out.cancel()
        err.cancel()


async def follow_program(*command: str) -> AsyncGenerator[list[str], None]:
    """Run a program that goes on, and give what it says line by line, as much at a time as there is.

    It is gone, with whatever it started, when the generator is closed; by itself it ends when the program does.

    Raises:
        HiveError: `runtime_unavailable`: there is no such program.
    """
    process = await _start(*command, stderr=asyncio.subprocess.DEVNULL)
    rest = b""
    try:
        while process.stdout is not None and (chunk := await process.stdout.read(_CHUNK)):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-_KEPT:]
            if lines:
                yield [line.decode(errors="replace") for line in lines]
    finally:
        _end(process)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                # To the end of its output: with more of it than asyncio buffers, waiting alone would never end.
                await asyncio.shield(process.communicate())


async def _start(*command: str, stderr: int) -> asyncio.subprocess.Process:
    try:
        return await start_program(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            # nixos-container leaves files in the current directory.
            cwd="/",
            env={**os.environ, **_PLAIN},
            start_new_session=True,
        )
    except OSError as error:
        msg = f"the program '{command[0]}' cannot be run: {error.strerror}"
        raise HiveError("runtime_unavailable", msg, "On NixOS the module puts it on the service's PATH") from error


def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


async def _last(stream: asyncio.StreamReader | None) -> str:
    kept: deque[bytes] = deque(maxlen=_KEPT // _CHUNK)
    while stream is not None and (chunk := await stream.read(_CHUNK)):
        kept.append(chunk)
    return b"".join(kept).decode(errors="replace")
