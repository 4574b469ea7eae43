"""What the harness needs of a session: the real one drives `claude`, the one of `hyperhive.testing` plays a part.

Both do what `hyperhive.testing.contracts.session` numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    import claude_agent_sdk as sdk

    from hyperhive.harness.launch import Launch
    from hyperhive.harness.meter import Spent, Tokens


class AnySession(Protocol):
    """One agent's conversation, and the process that holds it while it is warm; `Session` says what each part does."""

    listener: Callable[[object], None]
    stderr: deque[str]

    @property
    def session_id(self) -> str | None:
        """The conversation's id, once there is one."""

    @property
    def warm(self) -> bool:
        """Whether a process is there to be kept."""

    @property
    def news(self) -> str | None:
        """Why the conversation began anew, until Claude has heard it."""

    async def prepare(self, launch: Launch) -> str | None:
        """See to a process that was started like `launch`; returns why the conversation begins anew, if it does."""

    async def ask(self, prompt: str, name: str, *, command: bool = False) -> None:
        """Write a prompt; what comes back goes to `listener`."""

    def begun(self, session_id: object) -> None:
        """Claude said which conversation it is in."""

    def heard(self) -> None:
        """Claude has answered a prompt that said the news."""

    def spent(self, end: sdk.ResultMessage) -> Spent:
        """What was used since the last result."""

    def estimate(self, tokens: Tokens) -> Spent:
        """What a turn without a result has cost."""

    async def forget(self, reason: str) -> None:
        """Give the conversation up."""

    async def interrupt(self) -> None:
        """Ask Claude to end the running turn."""

    async def mcp_status(self) -> list[dict[str, Any]]:
        """What Claude says of its MCP servers."""

    async def close(self) -> None:
        """End the process gently; the conversation stays."""

    async def kill(self) -> None:
        """End the process, whatever it is doing."""
