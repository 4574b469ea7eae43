"""The hive's tools, as Claude sees them: an MCP server called `hyperhive` inside this process.

Each tool is one or two calls of the agent API. While the hive is away a tool tries again for about a minute, and its
result says so; a refusal comes back as text with what is wrong and what to do.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

import claude_agent_sdk as sdk

from hyperhive import wire
from hyperhive.errors import HiveError
from hyperhive.harness.asking import ANSWER, ASK, ASK_OPERATOR, ask_request, asked_text
from hyperhive.harness.hive import is_passing
from hyperhive.harness.manager_tools import ManagerTools
from hyperhive.harness.mcp_servers import SERVER
from hyperhive.harness.open_ends import OpenEndTools
from hyperhive.harness.prompts import inbox_text
from hyperhive.harness.proposal import Configurations
from hyperhive.harness.proposing import ProposalTools
from hyperhive.harness.tool import make_tool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hyperhive.harness.control import Control
    from hyperhive.harness.hive import HiveClient
    from hyperhive.harness.reporter import Reporter
    from hyperhive.harness.settings import Settings

_T = TypeVar("_T")

_STATUS: Final = 500


class HiveTools:
    """The tools of one agent.

    Args:
        hive: is called.
        control: knows the running turn, which taken messages join.
        reporter: told of the status line.
        settings: directories and waits.
        model: the model in use, given the declared one.
        role: what the hive says that the agent is, asked whenever a process is started.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - that is what it takes
        self,
        hive: HiveClient,
        control: Control,
        reporter: Reporter,
        settings: Settings,
        model: Callable[[str], str] = lambda declared: declared,
        role: Callable[[], str] = lambda: "agent",
    ) -> None:
        self._hive, self._control, self._reporter, self._settings = hive, control, reporter, settings
        self._model, self._role = model, role
        self.configurations = Configurations(settings)
        """The repositories in which the manager prepares changes."""

    def server(self) -> Any:  # noqa: ANN401 - the SDK's own dictionary
        """A new MCP server with all tools; each claude process gets one of its own."""
        tools = [
            make_tool(self._send, "send", "Send a message to an agent, to operator, or to * (everyone).", _SEND),
            make_tool(self._recv, "recv", "Take further messages that wait for you; they join this turn.", _RECV),
            make_tool(self._ask, "ask", "Ask an agent, or operator; the answer comes later, as a message.", ASK),
            make_tool(
                self._ask, "ask_operator", "Ask the operator; the answer comes later, as a message.", ASK_OPERATOR
            ),
            make_tool(self._answer, "answer", "Answer a question that you were asked, by its number.", ANSWER),
            make_tool(self._list_agents, "list_agents", "Who else is here, and what they are doing.", {}),
            make_tool(self._whoami, "whoami", "Your name, role, model and directories.", {}),
            make_tool(
                self._set_status, "set_status", "Say in one line what you are at; shown to the operator.", _SET_STATUS
            ),
            *OpenEndTools(self._hive, self._patiently).tools(),
            *ProposalTools(self._hive, self._patiently, self.configurations).tools(),
        ]
        if self._role() == "manager":
            tools += ManagerTools(self._hive, self._patiently).tools()
        # Loaded up front by programs that would otherwise hide tools until the model looks for them.
        return {**sdk.create_sdk_mcp_server(SERVER, tools=tools), "alwaysLoad": True}

    async def _send(self, arguments: dict[str, Any]) -> str:
        request = wire.SendRequest(
            to=arguments["to"],
            body=arguments["body"],
            in_reply_to=arguments.get("in_reply_to"),
            # One key for all tries of this call: what the hive took before it went away is not sent twice.
            idempotency_key=secrets.token_hex(16),
        )
        answer, note = await self._patiently(lambda: self._hive.send(request))
        to = ", ".join(answer.recipients) or "nobody: there is no other agent"
        return f"Sent to {to} as message {answer.id}.{note}"

    async def _recv(self, arguments: dict[str, Any]) -> str:
        turn = self._control.turn
        if turn is None:
            raise HiveError(
                "wrong_state", "there is no turn that messages could join", "End your turn; they will wake you"
            )
        if not turn.takes_messages:
            raise HiveError("wrong_state", "this turn is for your notes; what waits for you stays", "End your turn")
        wait = min(max(float(arguments.get("wait_seconds") or 0), 0), wire.MAX_WAIT)
        most = min(max(int(arguments.get("max") or 1), 1), wire.MAX_BATCH)

        def receive() -> Awaitable[wire.RecvAnswer]:
            return self._hive.recv(
                wire.RecvRequest(
                    wait_seconds=wait, max=most, holding=list(turn.holding), instance=self._settings.instance
                )
            )

        self._control.loose = True
        answer, note = await self._patiently(receive)
        self._control.loose = False
        turn.holding.extend(delivery.id for delivery in answer.deliveries if delivery.id not in turn.holding)
        return inbox_text(answer.deliveries, answer.unread) + note

    async def _ask(self, arguments: dict[str, Any]) -> str:
        # As for a message: one key for all tries.
        request = ask_request(arguments, secrets.token_hex(16))
        asked, note = await self._patiently(lambda: self._hive.ask(request))
        return asked_text(asked, request) + note

    async def _answer(self, arguments: dict[str, Any]) -> str:
        number, request = int(arguments["id"]), wire.AnswerRequest(text=arguments["text"])
        done, note = await self._patiently(lambda: self._hive.answer(number, request))
        return f"Question {done.id} is answered; {done.asker} gets your answer as a message.{note}"

    async def _list_agents(self, _arguments: dict[str, Any]) -> str:
        answer, note = await self._patiently(self._hive.peers)
        lines = [
            f"{peer.name} ({peer.role}): {peer.state}" + (f", {peer.status_text}" if peer.status_text else "")
            for peer in answer.peers
        ]
        return ("\n".join(lines) or "Nobody else is here.") + note

    async def _whoami(self, _arguments: dict[str, Any]) -> str:
        me, note = await self._patiently(self._hive.about_me)
        return (
            f'You are "{me.name}" ({me.role}) of the hive "{me.hive}". Model: {self._model(me.model)}. '
            f"Operator: {me.operator.name}. Your directory: {self._settings.state}, "
            f"shared with all agents: {self._settings.shared}.{note}"
        )

    async def _set_status(self, arguments: dict[str, Any]) -> str:
        text = str(arguments["text"]).strip()[:_STATUS]
        self._reporter.tell(status_text=text or None)
        return "Your status is shown." if text else "Your status was cleared."

    async def _patiently(self, call: Callable[[], Awaitable[_T]]) -> tuple[_T, str]:
        """Call the hive, through a restart of it if need be; the second part says how long that took."""
        began, tries = time.monotonic(), 1
        for pause in (*self._settings.timings.tool_retries, None):
            try:
                answer = await call()
            except HiveError as error:
                if pause is None or not is_passing(error):
                    raise
                await asyncio.sleep(pause)
                tries += 1
            else:
                seconds = round(time.monotonic() - began)
                return answer, f"\n(The hive was away: this took {tries} tries and {seconds} s.)" if tries > 1 else ""
        raise AssertionError


_SEND: Final = {
    "to": {"type": "string", "minLength": 1, "maxLength": 64, "description": "a name, operator, or *"},
    "body": {"type": "string", "minLength": 1, "description": "the text, at most 64 KiB"},
    "in_reply_to": {"type": "integer", "description": "the number of the message that this answers"},
}
_RECV: Final = {
    "wait_seconds": {"type": "number", "minimum": 0, "maximum": wire.MAX_WAIT, "description": "0 or none: do not wait"},
    "max": {"type": "integer", "minimum": 1, "maximum": wire.MAX_BATCH, "description": "how many at most; 1 if absent"},
}
_SET_STATUS: Final = {"text": {"type": "string", "minLength": 0, "maxLength": _STATUS}}
