"""Signing an agent's Claude in, from afar: the commands of a sign-in, and what the hive is told of it.

The program prints a link and waits for the code that the page behind it shows. The link goes to the operator with a
report, the code comes back with a command. One attempt at a time, and none outlives the harness; `sign_in_attempt`
drives its process.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from hyperhive.clock import utc_now
from hyperhive.errors import HiveError
from hyperhive.harness.login import LOGIN_VARIABLES
from hyperhive.harness.sign_in_attempt import Attempt
from hyperhive.wire import LoginReport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from hyperhive.clock import Clock
    from hyperhive.harness.settings import Settings
    from hyperhive.wire import LoginPhase

#: Characters of a code.
_LONGEST_CODE: Final = 2000


class SignIn:
    """The sign-in of one agent.

    Args:
        settings: where things are and how long to wait.
        tell: takes each change.
        surroundings: gives the program and what its environment gets beside ours.
        clock: the time.
    """

    def __init__(
        self,
        settings: Settings,
        tell: Callable[[LoginReport], None],
        surroundings: Callable[[], Awaitable[tuple[str, Mapping[str, str]]]],
        clock: Clock = utc_now,
    ) -> None:
        self._settings, self._tell, self._surroundings, self._clock = settings, tell, surroundings, clock
        self._attempt: Attempt | None = None
        self._lock = asyncio.Lock()

    async def start(self, _args: dict[str, Any]) -> None:
        """Begin an attempt; one that is under way is ended first.

        Raises:
            HiveError: `wrong_state` where the environment brings a login, `claude_not_found`.
        """
        async with self._lock:
            program, environment = await self._surroundings()
            if given := [name for name in LOGIN_VARIABLES if environment.get(name)]:
                problem = f"its login is {given[0]} from its environment or credentials, which goes before a sign-in"
                raise HiveError("wrong_state", problem, "Change that, or take it out of the settings")
            await self._end(replaced=True)
            self._attempt = Attempt(self._settings, self._told, program, environment)

    async def code(self, args: dict[str, Any]) -> None:
        """Give the code to the program that waits for it.

        Raises:
            HiveError: `wrong_state` where none waits, `malformed` for what is no code.
        """
        code = args.get("code")
        if not isinstance(code, str) or not 0 < len(code.strip()) <= _LONGEST_CODE or not code.strip().isprintable():
            raise HiveError("malformed", "that is no code", "Copy all of it from the page, and nothing else")
        if self._attempt is None:
            raise HiveError("wrong_state", "no sign-in waits for a code", "Start one first")
        await self._attempt.give(code.strip())

    async def cancel(self, _args: dict[str, Any]) -> None:
        """End the attempt; its process is gone when this returns.

        Raises:
            HiveError: `wrong_state`, there is none.
        """
        async with self._lock:
            if self._attempt is None or self._attempt.over:
                raise HiveError("wrong_state", "no sign-in is under way", "There is nothing to cancel")
            await self._end()

    async def close(self) -> None:
        """The harness ends, and an attempt with it."""
        async with self._lock:
            await self._end()

    async def _end(self, *, replaced: bool = False) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt:
            await attempt.cancel(silent=replaced)

    def _told(self, phase: LoginPhase, url: str | None, error: str | None) -> None:
        self._tell(LoginReport(phase=phase, since=self._clock(), url=url, error=error))
