"""The argument list of bwrap: a pure function from what an agent shall see. It looks at no file and starts nothing.

Started by root, bwrap is no boundary by its namespaces alone (what belongs to real root under `/proc/sys` stays
writable): it makes the mounts as root with all but three capabilities cut, and its command is `setpriv` to the agent's
uid. Started by a user, a user namespace with that user's own uid is the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Flags that older bwraps lack and that are left out there.
OPTIONAL: Final = ("--size", "--disable-userns")
_TMPFS_BYTES: Final = 1 << 30
#: What each agent has for itself and loses with its run.
_FRESH: Final = ((Path("/tmp"), "1777"), (Path("/root"), "1777"), (Path("/var"), "0755"), (Path("/run"), "0755"))  # noqa: S108 - inside
_NAMESPACES: Final = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
#: What bwrap needs of root's powers: to let `setpriv` become somebody else.
_CAPABILITIES: Final = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")


@dataclass(frozen=True)
class Sandbox:
    """What one agent sees and as whom its command runs.

    Attributes:
        bwrap: path of the program.
        features: the flags of `OPTIONAL` that it knows.
        privileged: whether root starts it and `command` gives the uid up.
        hostname: what the agent takes for the machine's name.
        read_only: paths inside, and what of the host is seen there.
        links: symbolic links inside, and their targets.
        hidden: directories that would be seen through `read_only` and must not be.
        writable: directories inside, and the agent's own on the host.
        data: files inside, each from an open file descriptor.
        command: what to run, seen from inside; where `privileged`, it finds itself in `/`, else in `/state`.
    """

    bwrap: str
    features: frozenset[str]
    privileged: bool
    hostname: str
    read_only: Mapping[Path, Path]
    links: Mapping[Path, str]
    command: tuple[str, ...]
    hidden: tuple[Path, ...] = ()
    writable: Mapping[Path, Path] = field(default_factory=dict)
    data: Mapping[Path, int] = field(default_factory=dict)


class _Mounts:
    """Collects arguments and makes the parents that bwrap would make 0700, out of reach once the uid is given up."""

    def __init__(self) -> None:
        self.arguments: list[str] = []
        self._there: set[Path] = {Path("/")}
        self._roots: list[Path] = []

    def _parents(self, path: Path) -> None:
        for parent in reversed(path.parents):
            if parent not in self._there and not self._is_seen(parent):
                self.arguments += ["--perms", "0755", "--dir", str(parent)]
                self._there.add(parent)

    def _is_seen(self, path: Path) -> bool:
        return any(path.is_relative_to(root) for root in self._roots)

    def add(self, path: Path, *words: str) -> None:
        """Something at `path`, by the arguments `words`."""
        self._parents(path)
        self.arguments += words
        self._there.add(path)

    def bind(self, kind: str, path: Path, source: Path) -> None:
        """A directory or file of the host at `path`; what is below it comes with it."""
        if kind == "--ro-bind" and path == source and self._is_seen(path):
            return
        self.add(path, kind, str(source), str(path))
        if path == source:
            self._roots.append(path)

    def link(self, path: Path, target: str) -> None:
        """A symbolic link, unless the host's own is seen there."""
        if not self._is_seen(path):
            self.add(path, "--symlink", target, str(path))


def _boundary(sandbox: Sandbox) -> Iterator[str]:
    yield from ("--die-with-parent", "--new-session", *_NAMESPACES, "--hostname", sandbox.hostname)
    yield from ("--cap-drop", "ALL")
    if sandbox.privileged:
        for capability in _CAPABILITIES:
            yield from ("--cap-add", capability)
        return
    yield "--unshare-user"
    if "--disable-userns" in sandbox.features:
        yield "--disable-userns"


def _fresh(mounts: _Mounts, path: Path, mode: str, features: Iterable[str]) -> None:
    size = ("--size", str(_TMPFS_BYTES)) if "--size" in features else ()
    mounts.add(path, "--perms", mode, *size, "--tmpfs", str(path))


def arguments(sandbox: Sandbox) -> list[str]:
    """The whole command line, `bwrap` included. The environment is the one bwrap is started with."""
    mounts = _Mounts()
    for path, mode in _FRESH:
        _fresh(mounts, path, mode, sandbox.features)
    mounts.add(Path("/var/tmp"), "--perms", "1777", "--dir", "/var/tmp")  # noqa: S108 - inside
    mounts.add(Path("/proc"), "--proc", "/proc")
    mounts.add(Path("/dev"), "--dev", "/dev")
    _fresh(mounts, Path("/dev/shm"), "1777", sandbox.features)  # noqa: S108 - inside
    for path, source in sandbox.read_only.items():
        mounts.bind("--ro-bind", path, source)
    for path, target in sandbox.links.items():
        mounts.link(path, target)
    for path in sandbox.hidden:
        _fresh(mounts, path, "0755", sandbox.features)
    for path, descriptor in sandbox.data.items():
        mounts.add(path, "--perms", "0444", "--ro-bind-data", str(descriptor), str(path))
    for path, source in sandbox.writable.items():
        mounts.bind("--bind", path, source)
    return [
        sandbox.bwrap,
        *_boundary(sandbox),
        *mounts.arguments,
        # In a user namespace the empty root directory is the agent's own.
        *("--remount-ro", "/"),
        *("--chdir", "/" if sandbox.privileged else "/state"),
        "--",
        *sandbox.command,
    ]
