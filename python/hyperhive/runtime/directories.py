"""The directories of one agent on the host, and the copies of its secrets.

Two kinds: the hive's own (parents, socket, credentials), where an agent cannot put anything, and the agent's (`claude`,
`state`), of which the hive touches only the directory itself, through a descriptor and never through a link: what an
agent wrote into them is never opened, chowned or followed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import stat
from typing import TYPE_CHECKING

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hyperhive.runtime.base import AgentPlan, Owner

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def _refused(path: Path, error: OSError) -> HiveError:
    msg = f"cannot make the directory '{path}': {error.strerror}"
    return HiveError("operation_failed", msg, "Look at the owner and mode of it and of the directories above it")


@contextlib.contextmanager
def _opened(path: Path, mode: int) -> Iterator[int]:
    """A descriptor of the directory `path`, made with `mode` if absent; a link in its place is refused."""
    parent = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path.name, mode, dir_fd=parent)
        descriptor = os.open(path.name, _DIRECTORY, dir_fd=parent)
    finally:
        os.close(parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def make_owned(path: Path, uid: int, gid: int, mode: int) -> None:
    """Make the directory `path`, or set owner and mode of the one that is there. Nothing in it is touched.

    Raises:
        HiveError: it cannot be made, or something else is in its place.
    """
    try:
        with _opened(path, 0o700) as descriptor:
            status = os.fstat(descriptor)
            if (status.st_uid, status.st_gid) != (uid, gid):
                os.fchown(descriptor, uid, gid)
            if stat.S_IMODE(status.st_mode) != mode:
                os.fchmod(descriptor, mode)
    except OSError as error:
        raise _refused(path, error) from error


def make_parents(path: Path, mode: int) -> None:
    """Make `path` and what is missing above it, each with `mode`; of what is there, only `path` gains missing bits."""
    try:
        missing = list(itertools.takewhile(lambda directory: not directory.exists(), path.parents))
        for directory in (*reversed(missing), path):
            with contextlib.suppress(FileExistsError):
                directory.mkdir()
                directory.chmod(mode)
        status = path.stat()
        if status.st_uid == os.geteuid() and status.st_mode & mode != mode:
            path.chmod(stat.S_IMODE(status.st_mode) | mode)
    except OSError as error:
        raise _refused(path, error) from error


def make_directories(plan: AgentPlan, owner: Owner, *, privileged: bool, parents: int) -> None:
    """Everything of `plan` that has to be there before a start.

    Args:
        plan: the agent.
        owner: who owns `claude` and `state`.
        privileged: whether the hive can give directories away.
        parents: mode of the directories above: 0o700, or 0o711 where the agent comes through them by itself.
    """
    run = plan.socket_dir.parent.parent
    above = [plan.claude.parent, plan.state.parent, plan.shared.parent, plan.socket_dir.parent, run]
    for directory in dict.fromkeys([*(path.parent for path in above[:2]), *above, plan.credentials_dir.parent]):
        make_parents(directory, parents)
    make_parents(plan.log.parent, 0o700)
    for directory in (plan.claude, plan.state):
        make_owned(directory, owner.uid, owner.gid, 0o700)
    uid = 0 if privileged else owner.uid
    make_owned(plan.shared, uid, owner.gid, 0o2770 if privileged else 0o700)
    # The agent passes through this one to its socket, and cannot take the socket away.
    make_owned(plan.socket_dir, uid, 0 if privileged else owner.gid, 0o711 if privileged else 0o700)


def place_credentials(plan: AgentPlan, owner: Owner, *, privileged: bool) -> None:
    """Copy the secrets of `plan` to where only this agent reads them.

    Raises:
        HiveError: `bad_config`, naming variable and path, where a secret cannot be read.
    """
    secrets = {variable: _read_secret(plan.name, variable, source) for variable, source in plan.credentials.items()}
    try:
        remove_credentials(plan)
        with _opened(plan.credentials_dir, 0o700) as descriptor:
            os.fchmod(descriptor, 0o755 if privileged else 0o700)
            for variable, secret in secrets.items():
                _write_secret(descriptor, variable, secret, owner)
    except OSError as error:
        with contextlib.suppress(OSError):
            remove_credentials(plan)
        raise _refused(plan.credentials_dir, error) from error


def check_credentials(plan: AgentPlan) -> None:
    """Read the secrets of `plan`, and leave everything as it is.

    Raises:
        HiveError: `bad_config`, as for `place_credentials`.
    """
    for variable, source in plan.credentials.items():
        _read_secret(plan.name, variable, source)


def _read_secret(name: str, variable: str, source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        msg = f"agents.{name}.credentials.{variable}: the file '{source}' cannot be read: {error.strerror}"
        refusal = HiveError("bad_config", msg, "Put the secret there, or correct the path", variable=variable)
        raise refusal from error


def _write_secret(directory: int, variable: str, secret: bytes, owner: Owner) -> None:
    descriptor = os.open(variable, _NEW_FILE, 0o400, dir_fd=directory)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        os.fchown(descriptor, owner.uid, owner.gid)
        os.fchmod(descriptor, 0o400)


def remove_credentials(plan: AgentPlan) -> None:
    """Remove the copies, also what an earlier hive left."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(plan.credentials_dir)
