"""One process of `claude auth login`, from its start to its end.

It prints a link, reads a code, and ends; half a code it asks for again. Whether it worked says the login file, not its
words or its exit code. It has a time limit, and nothing of it is left at its end. The code goes to its standard input
and nowhere else; of what it prints only the link is told, and of a failure the last line, without code and tokens.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.harness import processes
from hyperhive.harness.login import stored_mark
from hyperhive.harness.sign_in_words import Heard
from hyperhive.programs import start_program
from hyperhive.sign_in_link import checked_link

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hyperhive.harness.settings import Settings
    from hyperhive.wire import LoginPhase

#: Seconds that the program gets to end by itself.
_TERMINATE: Final = 2.0
_log = logging.getLogger(__name__)


class Attempt:
    """Begins with its making, as a task of its own.

    Args:
        settings: where things are and how long to wait.
        tell: takes each phase, with its link and its error.
        program: `claude`.
        environment: what its environment gets beside ours.
    """

    def __init__(
        self,
        settings: Settings,
        tell: Callable[[LoginPhase, str | None, str | None], None],
        program: str,
        environment: Mapping[str, str],
    ) -> None:
        self._settings, self._timings, self._tell = settings, settings.timings, tell
        self._program = program
        # It would open a browser where it runs, and that is nobody's.
        self._environment = {**os.environ, **environment, "BROWSER": "true"}
        self._before = stored_mark(settings)
        self._heard = Heard()
        self._phase: LoginPhase = "starting"
        self._url: str | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._silent = False
        self._enter("starting")
        self._task = asyncio.create_task(self._run(), name="sign-in")

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._phase not in {"starting", "link", "checking"}

    async def give(self, code: str) -> None:
        """Write the code to the program.

        Raises:
            HiveError: `wrong_state`, it does not wait for one.
        """
        if self._phase != "link" or self._process is None or self._process.stdin is None:
            what = {"starting": "the sign-in has no link yet", "checking": "a code is being checked already"}
            raise HiveError("wrong_state", what.get(self._phase, "no sign-in waits for a code"))
        self._heard.code(code)
        self._enter("checking")
        with suppress(ConnectionError):
            self._process.stdin.write(code.encode() + b"\n")
            await self._process.stdin.drain()

    async def cancel(self, *, silent: bool) -> None:
        """End it, and wait for that; `silent` where what follows is told instead."""
        self._silent = silent
        self._task.cancel()
        await asyncio.wait([self._task])
        # Should the cancel have come in the middle of another end.
        await self._kill()
        if not self.over:
            self._enter("cancelled")

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(self._timings.sign_in):
                await self._follow()
        except TimeoutError:
            await self._break_off("expired", "it was not finished in time")
        except asyncio.CancelledError:
            await self._break_off("cancelled", None)
        except OSError as error:
            await self._conclude("failed", f"claude cannot be started: {error.strerror}")
        except ValueError as error:
            await self._conclude("failed", str(error))
        except Exception:  # noqa: BLE001 - the top of a task
            _log.exception("a sign-in failed for a reason of the harness")
            await self._conclude("failed", "the harness made a mistake; see its log")

    async def _follow(self) -> None:
        pipe, merged = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
        self._process = await start_program(
            self._program, "auth", "login", stdin=pipe, stdout=pipe, stderr=merged,
            env=self._environment, cwd=self._settings.state,
        )  # fmt: skip
        while await self._hear():
            if self._phase == "starting" and (link := self._heard.link()):
                self._url = checked_link(link)
                self._enter("link")
        await self._process.wait()
        if self._signed_in():
            await self._conclude("done", None)
        else:
            await self._conclude("failed", self._heard.last() or "claude ended without a word")

    async def _hear(self) -> bool:
        """Take in what the program says next; False at its end."""
        output = self._process.stdout if self._process else None
        if output is None:
            return False
        # After a code it ends, or says what is wrong with it and goes on waiting for another one.
        said = self._phase == "checking" and self._heard.last()
        try:
            async with asyncio.timeout(self._timings.sign_in_silence if said else None):
                chunk = await output.read(4096)
        except TimeoutError:
            if not self._signed_in():
                self._enter("link", said or None)
            return True
        self._heard.add(chunk)
        return bool(chunk)

    async def _break_off(self, phase: LoginPhase, error: str | None) -> None:
        """End early, unless it had just worked."""
        if self._signed_in():
            await self._conclude("done", None)
        else:
            await self._conclude(phase, error)

    async def _conclude(self, phase: LoginPhase, error: str | None) -> None:
        await self._kill()
        self._url = None
        self._enter(phase, error)

    async def _kill(self) -> None:
        process = self._process
        if process is None:
            return
        found = await asyncio.to_thread(processes.tree, process.pid) if process.returncode is None else []
        processes.terminate(found)
        with suppress(TimeoutError):
            async with asyncio.timeout(_TERMINATE):
                await process.wait()
        processes.kill(found)
        # To the end of its output: with more of it than asyncio buffers, waiting alone would never end.
        await process.communicate()

    def _signed_in(self) -> bool:
        return stored_mark(self._settings) not in {None, self._before}

    def _enter(self, phase: LoginPhase, error: str | None = None) -> None:
        self._phase = phase
        if not self._silent:
            self._tell(phase, self._url, error)
