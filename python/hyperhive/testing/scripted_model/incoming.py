"""A request of claude, read: whose it is and where its turn stands."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from hyperhive.names import EVERYONE
from hyperhive.testing.scripted_model.conversation import Turn, read_turn
from hyperhive.testing.scripted_model.player import Who
from hyperhive.testing.scripted_model.record import Kind, RecordedRequest

if TYPE_CHECKING:
    from hyperhive.testing.scripted_model.connection import Request

_NAMED: Final = re.compile(r'You are "([a-z][a-z0-9-]{0,8})"')


@dataclass(frozen=True)
class Incoming:
    """One request that has the form of the Messages API."""

    request: Request
    body: dict[str, Any]
    who: Who
    turn: Turn
    system: str

    @classmethod
    def read(cls, named: str | None, request: Request) -> Incoming | None:
        """Read `request`, whose URL named an agent or not; None if its body has another form."""
        body = _body(request.body)
        if body is None:
            return None
        system = _system(body)
        found = _NAMED.search(system)
        session = request.headers.get("x-claude-code-session-id") or _session(body)
        subagent = request.headers.get("x-claude-code-agent-id", "")
        who = Who(named or (found[1] if found else EVERYONE), session, subagent)
        return cls(request, body, who, read_turn(body["messages"]), system)

    def record(self, kind: Kind, played: str, prompt: str, *, keep_body: bool) -> RecordedRequest:
        """What the log keeps of it."""
        tools = self.body.get("tools")
        return RecordedRequest(
            agent=self.who.agent,
            arrived=self.request.arrived,
            kind=kind,
            model=str(self.body.get("model", "")),
            prompt=prompt,
            played=played,
            session=self.who.session,
            subagent=self.who.subagent,
            auth=_auth(self.request.headers),
            tools=tuple(str(tool.get("name")) for tool in tools) if isinstance(tools, list) else (),
            messages=len(self.body["messages"]),
            stream=bool(self.body.get("stream")),
            system=self.system,
            body=self.body if keep_body else None,
        )


def _auth(headers: dict[str, str]) -> Literal["api-key", "bearer", "none"]:
    if "x-api-key" in headers:
        return "api-key"
    return "bearer" if "authorization" in headers else "none"


def _body(data: bytes) -> dict[str, Any] | None:
    """A request's body, or None if it has not the form of one."""
    try:
        body = json.loads(data)
    except ValueError:
        return None
    listed = body.get("messages") if isinstance(body, dict) else None
    return body if isinstance(listed, list) and all(isinstance(one, dict) for one in listed) else None


def _system(body: dict[str, Any]) -> str:
    system = body.get("system", "")
    if isinstance(system, list):
        return "\n".join(str(block.get("text", "")) for block in system if isinstance(block, dict))
    return str(system)


def _session(body: dict[str, Any]) -> str:
    """The session in `metadata.user_id`, where the header is missing."""
    try:
        return str(json.loads(body["metadata"]["user_id"])["session_id"])
    except (KeyError, TypeError, ValueError):
        return ""
