"""The operator's token: made at the first start, or read from a file that the operator names."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from pathlib import Path

_SHORTEST: Final = 32


def operator_token(state_dir: Path, given: Path | None) -> str:
    """The token; 256 random bits in `<state_dir>/operator-token`, 0600, unless `given` names a file.

    Raises:
        HiveError: `bad_config`: the file cannot be read, or its token is shorter than 32 characters.
    """
    path = given or state_dir / "operator-token"
    if given is None and not path.exists():
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(fd)
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HiveError("bad_config", f"the operator's token cannot be read: {path}: {error}", "Correct it") from None
    if len(token) < _SHORTEST or not token.isprintable() or " " in token:
        raise HiveError(
            "bad_config",
            f"the operator's token in {path} is too short or no plain word; {_SHORTEST} characters at least",
            "Make one with: openssl rand -base64 32",
        )
    return token
