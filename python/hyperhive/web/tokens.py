"""The tokens: the operator's and a monitor's, made at the first start or read from a file, and those of single pages.

A page's token follows from a key that never leaves the hive, so that none has to be kept, and one page's says nothing
about another's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from pathlib import Path

_SHORTEST: Final = 32
#: Bytes of the key that the pages' tokens follow from.
_KEY: Final = 32


def operator_token(state_dir: Path, given: Path | None) -> str:
    """The token; 256 random bits in `<state_dir>/operator-token`, 0600, unless `given` names a file.

    Raises:
        HiveError: `bad_config`: the file cannot be read, or its token is shorter than 32 characters.
    """
    return _token("the operator's token", state_dir / "operator-token", given)


def metrics_token_file(state_dir: Path, given: Path | None) -> Path:
    """Where the token is that opens /metrics and nothing else."""
    return given or state_dir / "metrics-token"


def metrics_token(state_dir: Path, given: Path | None) -> str:
    """That token; like the operator's, 256 random bits in a file of its own, unless `given` names another.

    Raises:
        HiveError: as for the operator's.
    """
    return _token("the token of /metrics", metrics_token_file(state_dir, None), given)


def _token(what: str, own: Path, given: Path | None) -> str:
    path = given or own
    if given is None and not path.exists():
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(fd)
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HiveError("bad_config", f"{what} cannot be read: {path}: {error}", "Correct it") from None
    if len(token) < _SHORTEST or not token.isprintable() or " " in token:
        raise HiveError(
            "bad_config",
            f"{what} in {path} is too short or no plain word; {_SHORTEST} characters at least",
            "Make one with: openssl rand -base64 32",
        )
    return token


def page_key(state_dir: Path) -> bytes:
    """The key that the tokens of agents' pages follow from; `<state_dir>/page-key`, made at the first start.

    Raises:
        HiveError: `bad_config`: it is no file of ours with 32 bytes that nobody else may read.
    """
    path = state_dir / "page-key"
    try:
        return _read_key(path)
    except FileNotFoundError:
        _make_key(path)
        return _read_key(path)


def page_token(key: bytes, name: str) -> str:
    """The token that opens the page of one agent, on its own port, and nothing else."""
    made = hmac.digest(key, name.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def _read_key(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _bad_key(path, f"it cannot be opened as a plain file: {error.strerror}") from None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise _bad_key(path, "it is no file of the hive's own user")
        if found.st_mode & 0o077:
            raise _bad_key(path, f"others may use it, its mode is {found.st_mode & 0o777:04o}")
        key = os.read(fd, _KEY + 1)
    finally:
        os.close(fd)
    if len(key) != _KEY:
        raise _bad_key(path, f"it has not {_KEY} bytes")
    return key


def _make_key(path: Path) -> None:
    """Written beside its place and moved there: a crash leaves no half of one."""
    half = path.with_name("page-key.new")
    half.unlink(missing_ok=True)
    fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(secrets.token_bytes(_KEY))
        file.flush()
        os.fsync(fd)
    half.rename(path)


def _bad_key(path: Path, why: str) -> HiveError:
    hint = "Remove it and start again: a new one is made, and the links to agents' pages change"
    return HiveError("bad_config", f"the key of the agents' pages, {path}, is not used: {why}", hint)
