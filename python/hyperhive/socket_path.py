"""Which socket is meant when somebody says `hyperhive list`: pure but for a look whether a file is there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SYSTEM_SOCKET: Final = Path("/run/hyperhive/host.sock")
_BELOW_STATE: Final = Path("run", "host.sock")
#: Bytes that the kernel takes for the path of a Unix socket, its final NUL left out.
_LONGEST_PATH: Final = 107


def find_socket(given: Path | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """The socket of the hive that is meant: the one given, the one of the environment, the one here, the system's.

    Args:
        given: what the user named, if anything; taken as it is.
        environ: the environment, by default this process's.
    """
    environ = os.environ if environ is None else environ
    if given is not None:
        return given
    if named := environ.get("HYPERHIVE_SOCKET"):
        return Path(named)
    if state_dir := environ.get("HYPERHIVE_STATE_DIR"):
        return Path(state_dir) / _BELOW_STATE
    here = Path(".hyperhive") / _BELOW_STATE
    return here if here.exists() else _SYSTEM_SOCKET


def short_enough(path: Path) -> str:
    """A spelling of `path` that the kernel takes: `<stateDir>/run` may be a link to a shorter place.

    Raises:
        HiveError: `path_too_long`.
    """
    for spelling in (path, path.resolve(), Path(os.path.relpath(path))):
        if len(os.fsencode(spelling)) <= _LONGEST_PATH:
            return str(spelling)
    hint = "Change into its directory, or name a shorter path with --socket"
    raise HiveError("path_too_long", f"the path of the socket is too long for Linux: {path}", hint)
