"""What `claude` says of a turn, made up: the messages of the SDK that a fake session speaks in."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Final

import claude_agent_sdk as sdk

from hyperhive.harness.meter import Tokens, Total

_TOTALS: Final = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
_USAGE: Final = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_NONE: Final = Tokens()


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks: in which conversation, as which model, with which window, and what was used so far."""

    session_id: str
    model: str
    window: int
    total: Total

    @property
    def full_name(self) -> str:
        """The model's full name."""
        return self.model if self.model.startswith("claude-") else f"claude-{self.model}-fake"


def began(voice: Voice) -> sdk.SystemMessage:
    """The first message of each turn."""
    about: dict[str, Any] = {"session_id": voice.session_id, "model": voice.full_name, "mcp_servers": []}
    return sdk.SystemMessage("init", about)


def said(voice: Voice, text: str, used: Tokens) -> sdk.AssistantMessage:
    """The model says something."""
    return _spoken(text, voice.full_name, used)


def refused(text: str, error: str | None) -> sdk.AssistantMessage:
    """The API refused, and `claude` says so in the model's place."""
    message = _spoken(text, "<synthetic>", Tokens())
    message.error = error  # type: ignore[assignment]
    return message


def _spoken(text: str, model: str, used: Tokens) -> sdk.AssistantMessage:
    usage = dict(zip(_USAGE, used, strict=True))
    return sdk.AssistantMessage([sdk.TextBlock(text)], model=model, usage=usage, message_id=uuid.uuid4().hex)


def limit(resets_at: float) -> sdk.RateLimitEvent:
    """A limit is used up."""
    info = sdk.RateLimitInfo(status="rejected", resets_at=int(resets_at), rate_limit_type="five_hour")
    return sdk.RateLimitEvent(rate_limit_info=info, uuid=uuid.uuid4().hex, session_id="")


def shortened(before: int, after: int) -> sdk.SystemMessage:
    """The conversation was shortened."""
    tokens = {"trigger": "manual", "pre_tokens": before, "post_tokens": after}
    return sdk.SystemMessage("compact_boundary", {"compact_metadata": tokens})


def result(
    voice: Voice,
    text: str,
    name: str | None = None,
    used: Tokens = _NONE,
    **how: Any,  # noqa: ANN401 - fields of the message
) -> sdk.ResultMessage:
    """The end of a turn; `how` it ended are further fields, by default well."""
    total = dict(zip(_TOTALS, voice.total.tokens or Tokens(), strict=True))
    end = sdk.ResultMessage(
        subtype="success",
        duration_ms=0,
        duration_api_ms=0,
        is_error="errors" in how,
        num_turns=1,
        session_id=voice.session_id,
        total_cost_usd=voice.total.cost,
        usage=dict(zip(_USAGE, used, strict=True)),
        result=text,
    )
    named = {"user_message_uuids": [name]} if name else {}
    window = {"contextWindow": voice.window}
    # Not all fields are there in older versions of the SDK.
    fields = {"terminal_reason": "completed", "model_usage": {voice.full_name: {**total, **window}}, **named, **how}
    for key, value in fields.items():
        setattr(end, key, value)
    return end
