"""A place in a scenario, and how it travels inside the id of a tool call.

`claude` returns the id of each tool call with its result. With the place in the id, a request itself says where its
script goes on: after a compaction that lost the prompt, after a resume, after a restart of this server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

_FORM: Final = re.compile(r"toolu_(own|any)_(o|[0-9]+)_([0-9]+)_[0-9a-f]+")


@dataclass(frozen=True)
class Track:
    """A list of steps: a rule of the agent's own script (`own`) or of `*` (`any`), or `otherwise` there (None)."""

    scope: Literal["own", "any"]
    rule: int | None


@dataclass(frozen=True)
class Place:
    """One step of a track."""

    track: Track
    step: int

    def tool_id(self, unique: str) -> str:
        """The id of the tool call at this place; `unique` is hexadecimal and differs for each call."""
        rule = "o" if self.track.rule is None else self.track.rule
        return f"toolu_{self.track.scope}_{rule}_{self.step}_{unique}"

    @classmethod
    def of_tool_id(cls, tool_id: str) -> Place | None:
        """The place in `tool_id`, or None if this server did not make it."""
        found = _FORM.fullmatch(tool_id)
        if not found:
            return None
        rule = None if found[2] == "o" else int(found[2])
        return cls(Track("own" if found[1] == "own" else "any", rule), int(found[3]))
