"""What an operator can do to an agent's Claude: sign it in, choose its model, shorten or end its conversation.

All of it is done by the agent's harness, on a command. A sign-in's steps are answered as soon as the harness has begun
them; how it goes on is told by the agent's row. The others are operations, in a line of their own: a compaction that
takes minutes keeps nobody from stopping the agent. The code of a sign-in passes through here and is written nowhere.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Literal

from hyperhive.errors import STATUS, HiveError
from hyperhive.models import checked_model
from hyperhive.names import OPERATOR
from hyperhive.store import audit
from hyperhive.store.audit import AuditEntry

if TYPE_CHECKING:
    from hyperhive.hive.hive import Hive
    from hyperhive.hive.roster import Agent
    from hyperhive.shapes import OperationRow
    from hyperhive.wire import CommandDone

#: Seconds within which a harness begins what it is asked for.
_PATIENCE: Final = 15.0
#: Characters of what a harness says about a refusal.
_SHOWN: Final = 1000

LoginStep = Literal["start", "code", "cancel"]


class Sessions:
    """The sessions of all agents, as far as an operator can reach them.

    Args:
        hive: the parts that they work with.
    """

    def __init__(self, hive: Hive) -> None:
        self._hive = hive

    async def login(self, name: str, step: LoginStep, **args: str) -> None:
        """Take one step of a sign-in; returns when the harness has begun it.

        Raises:
            HiveError: `unknown_agent`, `agent_not_running`, `wrong_state` with the reason, `malformed`,
                `operation_failed` where the harness does not answer.
        """
        self._running(name)
        await self._audit(f"login-{step}", name)
        reply = self._hive.commands.give(name, f"login-{step}", **args)
        await asyncio.wait([reply], timeout=_PATIENCE)
        if not reply.done():
            reply.cancel()
            problem = f"the harness of '{name}' does not answer"
            raise HiveError("operation_failed", problem, f"See: hyperhive show {name}")
        _conclude(name, reply.result())

    async def model(self, name: str, model: str) -> OperationRow:
        """Let an agent use another model from its next turn on.

        Raises:
            HiveError: like `login`; `malformed` names the models that there are.
        """
        checked_model(model, self._running(name).declared_model or "")
        return await self._operation(name, "model", model, model=model)

    async def compact(self, name: str) -> OperationRow:
        """Let Claude shorten an agent's conversation.

        Raises:
            HiveError: like `login`.
        """
        return await self._operation(name, "compact")

    async def new_session(self, name: str) -> OperationRow:
        """Give an agent's conversation up; its next turn begins another one.

        Raises:
            HiveError: like `login`.
        """
        return await self._operation(name, "new-session")

    async def _operation(self, name: str, kind: str, detail: str | None = None, **args: Any) -> OperationRow:  # noqa: ANN401
        self._running(name)

        async def work() -> None:
            agent = self._running(name)
            await self._audit(kind, name, detail)
            done = await self._hive.commands.give(name, kind, **args)
            _conclude(name, done)
            self._take(agent, done.result or {})

        return await self._hive.operations.run(name, kind, work, queue=f"{name} session")

    def _take(self, agent: Agent, result: dict[str, Any]) -> None:
        """Show at once what the harness's next report will say."""
        model = result.get("model")
        if isinstance(model, str) and model != agent.model:
            agent.model = model
            self._hive.roster.touch(agent)

    def _running(self, name: str) -> Agent:
        agent = self._hive.lifecycle.find(name)
        if name not in self._hive.runtime.running():
            raise HiveError("agent_not_running", f"'{name}' does not run", f"hyperhive start {name}")
        return agent

    async def _audit(self, action: str, name: str, detail: str | None = None) -> None:
        await self._hive.store.submit(audit.append, AuditEntry(self._hive.clock(), OPERATOR, action, name, detail))


def _conclude(name: str, done: CommandDone) -> None:
    """Raise what the harness refused, in its own words."""
    if done.ok:
        return
    said = done.result or {}
    code, message, hint = said.get("code"), said.get("message"), said.get("hint")
    if code not in STATUS or not isinstance(message, str) or not isinstance(hint, str):
        code, message, hint = "wrong_state", done.error or "the harness refused", f"See: hyperhive show {name}"
    raise HiveError(code, f"'{name}': {message[:_SHOWN]}", hint[:_SHOWN])
