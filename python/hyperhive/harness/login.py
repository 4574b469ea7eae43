"""Whether Claude has a login, and whether it changed: from the environment, a credential file, or `claude auth login`.

Only presence is looked at. Whether a login works, the API says; then the turn ends with 401 and the harness waits here
for a change. Values pass through to Claude's environment and nowhere else.
"""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hyperhive.harness.settings import Settings

#: Any of these in Claude's environment is a login, the first of them the one that it uses.
LOGIN_VARIABLES: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Bytes of one credential; more is no token.
_LARGEST: Final = 64 * 1024


def read_credentials(directory: Path | None) -> dict[str, str]:
    """The secrets of the credentials directory, by the name of the variable that each becomes.

    Files whose names are no variable names, and such as cannot be read, are left out.
    """
    found: dict[str, str] = {}
    for path in _files(directory):
        try:
            with path.open("rb") as file:
                value = file.read(_LARGEST).decode().strip()
        except (OSError, UnicodeDecodeError):
            continue
        if value and "\0" not in value:
            found[path.name] = value
    return found


def login_source(environment: Mapping[str, str], settings: Settings) -> Literal["environment", "file"] | None:
    """Where a login would come from; `environment` is the one that Claude will get."""
    if any(environment.get(name) for name in LOGIN_VARIABLES):
        return "environment"
    return "file" if _mark(stored_login(settings)) else None


def stored_login(settings: Settings) -> Path:
    """The file in which `claude auth login` keeps its tokens."""
    return settings.claude_config / ".credentials.json"


def stored_mark(settings: Settings) -> tuple[int, ...] | None:
    """Something that differs after each change of the stored login; None without one."""
    return _mark(stored_login(settings))


def login_marks(settings: Settings) -> tuple[object, ...]:
    """Something that differs after every change of a login file."""
    paths = [stored_login(settings), *_files(settings.credentials)]
    return tuple((path.name, _mark(path)) for path in paths)


def _files(directory: Path | None) -> list[Path]:
    if directory is None:
        return []
    try:
        return sorted(path for path in directory.iterdir() if _VARIABLE.fullmatch(path.name) and _mark(path))
    except OSError:
        return []


def _mark(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)
