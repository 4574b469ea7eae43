"""What a harness remembers of Claude's session over its own restarts: `hyperhive-session` in the state directory.

The agent owns that directory, so the content is a claim: each value is checked, and whatever is not right counts as
absent. The worst that a forged file does is to resume another of this agent's own conversations.
"""

from __future__ import annotations

import json
import math
import os
import stat
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "hyperhive-session"
_LARGEST: Final = 4096


@dataclass(frozen=True, slots=True)
class Remembered:
    """One session: its id, what it has cost so far, and the system prompt it began with (a digest)."""

    session_id: str
    cost: float | None = None
    prompt: str | None = None


def load(directory: Path) -> Remembered | None:
    """Read the file; None if there is none that makes sense."""
    try:
        # A FIFO or a link that the agent laid there must neither block nor lead elsewhere.
        descriptor = os.open(directory / FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        try:
            content = json.loads(file.read(_LARGEST))
        except (OSError, ValueError, RecursionError):
            return None
    return _checked(content) if isinstance(content, dict) else None


def save(directory: Path, remembered: Remembered) -> None:
    """Write the file so that it is never seen half.

    Raises:
        OSError: the directory cannot be written.
    """
    temporary = directory / f".{FILE}-{uuid.uuid4().hex}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(remembered), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(directory / FILE)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


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
    return Remembered(session_id, cost, prompt if isinstance(prompt, str) else None)
