"""Small JSON files that the harness keeps in the agent's state directory.

The agent owns that directory, so whatever is read there is a claim: the caller checks each value, and a file that is
not right counts as absent.
"""

from __future__ import annotations

import json
import os
import stat
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST: Final = 4096


def read(path: Path, largest: int = _LARGEST) -> dict[str, Any] | None:
    """The object in the file; None if there is none, or if it has more than `largest` bytes."""
    try:
        # A FIFO or a link that the agent laid there must neither block nor lead elsewhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            return None
        content = json.loads(os.read(descriptor, min(about.st_size, largest)))
    except (OSError, ValueError, RecursionError):
        return None
    finally:
        os.close(descriptor)
    return content if isinstance(content, dict) else None


def write(path: Path, content: dict[str, Any]) -> None:
    """Write the file so that it is never seen half.

    Raises:
        OSError: the directory cannot be written.
    """
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def remove(path: Path) -> None:
    """Take the file away.

    Raises:
        OSError: it is still there.
    """
    path.unlink(missing_ok=True)
