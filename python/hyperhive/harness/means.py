"""What a turn needs beside its message: what the hive says of the agent, its model, its login, the program.

Everything that starts `claude` asks here: the turn loop, what the operator asks for between turns, a sign-in. What the
hive said last is kept, so that a turn can run while it is away.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal

from hyperhive.errors import HiveError
from hyperhive.harness.account import account_digest, login_expiry
from hyperhive.harness.launch import claude_environment, plan
from hyperhive.harness.login import LOGIN_VARIABLES, login_marks, login_source, read_credentials
from hyperhive.harness.mcp_servers import secrets_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from hyperhive.harness.hive import HiveClient
    from hyperhive.harness.launch import Launch
    from hyperhive.harness.model_choice import ModelChoice
    from hyperhive.harness.redact import Redactor
    from hyperhive.harness.reporter import Reporter
    from hyperhive.harness.settings import Settings
    from hyperhive.wire import SelfInfo

#: Minutes of a turn before the hive ever said how many.
_MINUTES: Final = 60.0


async def nothing_to_prepare() -> None:
    """What most agents need to have prepared."""


class Means:
    """The means of one agent.

    Args:
        settings: where things are.
        hive: says what the agent is.
        reporter: told which model comes next.
        redactor: told which secrets there are.
        models: knows what the operator chose.
        find_claude: finds the program in an environment, or raises `HiveError`.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - that is what it takes
        self,
        settings: Settings,
        hive: HiveClient,
        reporter: Reporter,
        redactor: Redactor,
        models: ModelChoice,
        find_claude: Callable[[Mapping[str, str]], str],
    ) -> None:
        self._settings, self._hive, self._reporter, self._redactor = settings, hive, reporter, redactor
        self._models, self._find_claude = models, find_claude
        self._credentials: dict[str, str] = {}
        self._told: tuple[str, str] | None = None
        self._told_login: tuple[object, ...] | None = None
        self.prepare: Callable[[], Awaitable[None]] = nothing_to_prepare
        """Called before each start of `claude` and each turn, for what has to be in its place by then."""
        self.me: SelfInfo | None = None
        """What the hive said last."""

    async def ask(self) -> SelfInfo:
        """What the hive says of this agent now.

        Raises:
            HiveError: it is away, or refuses.
        """
        self.me = await self._hive.about_me()
        self._tell(self.me)
        return self.me

    async def about_me(self) -> SelfInfo:
        """What the hive says of this agent now, or, while it is away, what it said last."""
        try:
            return await self.ask()
        except HiveError:
            if self.me is None:
                raise
            return self.me

    def role(self) -> str:
        """What the hive says that this agent is."""
        return self.me.role if self.me else "agent"

    def model(self, me: SelfInfo) -> str:
        """The model of the next turn."""
        return self._models.now(me.model)

    @property
    def minutes(self) -> float:
        """How long a turn may take."""
        return self.me.max_turn_minutes if self.me else _MINUTES

    async def choose_model(self, model: str) -> str:
        """Use another model from the next turn on.

        Raises:
            HiveError: there is no such model, or it cannot be kept.
        """
        me = await self.about_me()
        self._models.choose(model, me.model)
        self._tell(me)
        return self.model(me)

    async def look(self) -> None:
        """Read the credentials again, and let the hive know whose they are."""
        seen = await asyncio.to_thread(self._read)
        if self.me and seen != self._told_login:
            self._told_login = seen
            account, expiry = await asyncio.to_thread(self._account, self.me)
            self._reporter.tell(account=account, login_expires_at=expiry)

    def _read(self) -> tuple[object, ...]:
        """Take the credentials in; returns what differs after any change of the login."""
        self._credentials = read_credentials(self._settings.credentials)
        servers = secrets_of(self.me.mcp_servers) if self.me else {}
        self._redactor.know({**self._credentials, **servers})
        environment = self.environment(self.me) if self.me else {}
        return (login_marks(self._settings), *(environment.get(name) for name in LOGIN_VARIABLES))

    def _account(self, me: SelfInfo) -> tuple[str | None, datetime | None]:
        expiry = login_expiry(self._settings) if self.login(me) == "file" else None
        return account_digest(self.environment(me), self._settings), expiry

    async def launch(self) -> Launch:
        """How `claude` has to be started for what comes next.

        Raises:
            HiveError: there is no program, or the hive never said what the agent is.
        """
        me = await self.about_me()
        await self.look()
        await self.prepare()
        program = self._find_claude(self.environment(me))
        chosen = me.model_copy(update={"model": self.model(me)})
        return plan(chosen, self._settings, self._credentials, program)

    async def for_sign_in(self) -> tuple[str, dict[str, str]]:
        """The program, and what its environment gets.

        Raises:
            HiveError: there is no program, or the hive never said what the agent is.
        """
        me = await self.about_me()
        await self.look()
        environment = self.environment(me)
        return self._find_claude(environment), environment

    def environment(self, me: SelfInfo) -> dict[str, str]:
        """What the environment of `claude` gets."""
        return claude_environment(me, self._settings, self._credentials)

    def login(self, me: SelfInfo) -> Literal["environment", "file"] | None:
        """Where a login comes from."""
        return login_source(self.environment(me), self._settings)

    def facts(self) -> tuple[object, ...]:
        """What differs after a change of the login or of the model, as far as it is known here."""
        me = self.me
        declared = (dict(me.environment), self.model(me)) if me else ()
        return (login_marks(self._settings), declared)

    def _tell(self, me: SelfInfo) -> None:
        """Let the hive know which model comes next."""
        if (self.model(me), me.model) != self._told:
            self._told = (self.model(me), me.model)
            self._reporter.tell(model=self.model(me), declared_model=me.model)
