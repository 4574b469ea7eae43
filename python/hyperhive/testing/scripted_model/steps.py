"""The steps of a script: what the model says, calls, costs, and how it fails.

In JSON a step is a string (text) or an object with exactly one of the words in `KINDS`; the other keys belong to it.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, NonNegativeFloat, PositiveInt, Tag

#: What the API calls an error that comes with a status.
ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Step(BaseModel):
    """What all steps have in common: they are frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Spoken(Step):
    """Output that may come piece by piece: `chunk` characters at a time, `pace` seconds apart."""

    chunk: PositiveInt | None = None
    pace: NonNegativeFloat = 0.02


class Text(Spoken):
    """The model writes `text`."""

    text: str


class Thinking(Spoken):
    """The model thinks `thinking` aloud."""

    thinking: str


class Tool(Step):
    """The model calls a tool; the response ends here and the next step follows the tool's result.

    Consecutive tool steps that are all `parallel` go into one response.
    """

    tool: str = Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")
    input: dict[str, Any] = {}
    parallel: bool = False

    @property
    def full_name(self) -> str:
        """The name that `claude` knows: a small first letter means a tool of the MCP server `hyperhive`."""
        own = self.tool[:1].islower() and not self.tool.startswith("mcp__")
        return f"mcp__hyperhive__{self.tool}" if own else self.tool


class Delay(Step):
    """Nothing is sent for `delay` seconds."""

    delay: NonNegativeFloat


class Usage(Step):
    """The token numbers of this response, for example `{"input_tokens": 150000}`."""

    usage: dict[
        Literal["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"],
        Annotated[int, Field(ge=0)],
    ]


class Headers(Step):
    """More HTTP headers for this response, such as `anthropic-ratelimit-unified-status`."""

    headers: dict[str, str]


class Stop(Step):
    """The response ends here for another reason than being complete; what follows is for the next request."""

    stop: Literal["max_tokens", "refusal"]


class Fault(Step):
    """Something goes wrong at this point of the response, `times` times; then the script goes on behind it.

    Without `times`: once, or always where it is the last step, as nothing follows to go on with.
    """

    times: PositiveInt | None = None


class ErrorAnswer(BaseModel):
    """An error of the API."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: int = Field(ge=400, le=599)
    type: str = ""
    message: str = "scripted error"
    headers: dict[str, str] = {}

    @property
    def kind(self) -> str:
        """The error's type, by default the one that goes with its status."""
        fallback = "api_error" if self.status >= 500 else "invalid_request_error"  # noqa: PLR2004 - server errors
        return self.type or ERROR_TYPES.get(self.status, fallback)


class Error(Fault):
    """An HTTP error; after text of the same response, an `error` event in the stream."""

    error: ErrorAnswer


class Hang(Fault):
    """No further byte until the client goes away."""

    hang: Literal[True]


class Drop(Fault):
    """The connection closes: before the headers, or in mid-stream after text of the same response."""

    drop: Literal[True]


KINDS: Final = {
    model.__name__.lower(): model for model in (Text, Thinking, Tool, Delay, Usage, Headers, Stop, Error, Hang, Drop)
}


def _kind_of(value: object) -> str | None:
    """Which step `value` is; None unless exactly one of the words of `KINDS` is there."""
    if isinstance(value, Step):
        return type(value).__name__.lower()
    found = [kind for kind in KINDS if kind in value] if isinstance(value, dict) else []
    return found[0] if len(found) == 1 else None


def _from_string(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


AnyStep = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[Thinking, Tag("thinking")]
    | Annotated[Tool, Tag("tool")]
    | Annotated[Delay, Tag("delay")]
    | Annotated[Usage, Tag("usage")]
    | Annotated[Headers, Tag("headers")]
    | Annotated[Stop, Tag("stop")]
    | Annotated[Error, Tag("error")]
    | Annotated[Hang, Tag("hang")]
    | Annotated[Drop, Tag("drop")],
    Discriminator(
        _kind_of,
        custom_error_type="step_kind",
        custom_error_message=f"a step is a string or an object with exactly one of: {', '.join(KINDS)}",
    ),
    BeforeValidator(_from_string),
]
"""One step, with a bare string read as text."""
