"""What a harness remembers of Claude's session over its own restarts: `hyperhive-session` in the state directory.

The agent owns that directory, so the content is a claim: each value is checked, and whatever is not right counts as
absent. The worst that a forged file does is to resume another of this agent's own conversations.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from hyperhive.harness import state_files
from hyperhive.harness.meter import Tokens, Total

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "hyperhive-session"
_MOST: Final = 2**53


@dataclass(frozen=True, slots=True)
class Remembered:
    """One session: its id, what it has cost so far, the prompt it began with (a digest), and the tokens it used."""

    session_id: str
    cost: float | None = None
    prompt: str | None = None
    tokens: Tokens | None = None

    @property
    def total(self) -> Total:
        """What it has used so far."""
        return Total(self.cost, self.tokens)


def load(directory: Path) -> Remembered | None:
    """Read the file; None if there is none that makes sense."""
    content = state_files.read(directory / FILE)
    return _checked(content) if content is not None else None


def save(directory: Path, remembered: Remembered) -> None:
    """Write the file so that it is never seen half.

    Raises:
        OSError: the directory cannot be written.
    """
    state_files.write(directory / FILE, asdict(remembered))


def remove(directory: Path) -> None:
    """Take the file away.

    Raises:
        OSError: it is still there.
    """
    state_files.remove(directory / FILE)


def valid_id(value: object) -> str | None:
    """`value` in the one form that a session id has, or None."""
    if not isinstance(value, str):
        return None
    try:
        form = str(uuid.UUID(value))
    except ValueError:
        return None
    return form if form == value.lower() else None


def _checked(content: dict[str, Any]) -> Remembered | None:
    session_id = valid_id(content.get("session_id"))
    cost, prompt = content.get("cost"), content.get("prompt")
    if session_id is None:
        return None
    if not isinstance(cost, (int, float)) or isinstance(cost, bool) or not math.isfinite(cost) or cost < 0:
        cost = None
    return Remembered(session_id, cost, prompt if isinstance(prompt, str) else None, _tokens(content.get("tokens")))


def _tokens(value: object) -> Tokens | None:
    if not isinstance(value, list) or len(value) != len(Tokens()):
        return None
    right = all(isinstance(count, int) and not isinstance(count, bool) and 0 <= count < _MOST for count in value)
    return Tokens(*value) if right else None
