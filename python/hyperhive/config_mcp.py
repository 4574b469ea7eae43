"""What can be set of an agent's own MCP servers."""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from hyperhive.config_words import VariableName, matching

_NAME: Final = re.compile(r"[A-Za-z0-9](?:_?[A-Za-z0-9-]){0,31}")
_TOOL: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_URL: Final = re.compile(r"https?://[^\s/]+\S*")
_HEADER: Final = re.compile(r"[A-Za-z0-9-]+")
#: The MCP server of the hive's own tools.
_OWN: Final = "hyperhive"


def _mcp_name(text: str) -> str:
    # Its tools are called mcp__<name>__<tool>, so two underscores in a row would be ambiguous.
    if text == _OWN:
        msg = f"'{_OWN}' is the hive's own MCP server; choose another name"
        raise ValueError(msg)
    if not _NAME.fullmatch(text):
        msg = f"{text!r} is no name of an MCP server: letters, digits, '-' and single '_', 32 at most; write 'tracker'"
        raise ValueError(msg)
    return text


McpName = Annotated[str, AfterValidator(_mcp_name)]
McpTool = Annotated[str, matching(_TOOL, "tool of an MCP server", "'list_issues'")]
McpUrl = Annotated[str, matching(_URL, "address of an MCP server", "'http://localhost:3000/mcp'")]
HeaderName = Annotated[str, matching(_HEADER, "name of a header", "'Authorization'")]


class McpServer(BaseModel):
    """An MCP server of the agent's own: a program, or an address. `${NAME}` is a variable of the agent's claude."""

    model_config = ConfigDict(extra="forbid")

    command: str | None = Field(None, min_length=1)
    args: list[str] = Field(default_factory=list)
    env: dict[VariableName, str] = Field(default_factory=dict)
    url: McpUrl | None = None
    headers: dict[HeaderName, str] = Field(default_factory=dict)
    allowed_tools: list[McpTool] | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.command is None) == (self.url is None):
            msg = "set either 'command', a program, or 'url', the address of a server that runs already"
            raise ValueError(msg)
        if self.url is not None and (self.args or self.env):
            msg = "'args' and 'env' are a program's; what a 'url' needs goes into 'headers'"
            raise ValueError(msg)
        if self.command is not None and self.headers:
            msg = "'headers' are sent to a 'url'; what a program needs goes into 'env'"
            raise ValueError(msg)
        return self
