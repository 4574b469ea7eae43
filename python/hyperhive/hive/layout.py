"""Where everything of a hive lies on the host: paths, and the directories that are the hive's own.

The directories of an agent are made by the runtime, which knows their owner.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.names import MANAGER
from hyperhive.runtime.base import AgentPlan, Repositories

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hyperhive.config import HiveSettings

#: Bytes that the runtime directory's path may have, so that every socket below it stays under 107.
_LONGEST: Final = 60


@dataclass(frozen=True)
class Layout:
    """The paths of one hive; all absolute."""

    state: Path
    run: Path

    @classmethod
    def of(cls, settings: HiveSettings) -> Layout:
        """The layout that the settings ask for; makes nothing."""
        state = settings.state_dir.expanduser().absolute()
        return cls(state, (settings.runtime_dir or state / "run").expanduser().absolute())

    def make(self) -> Layout:
        """Make the hive's own directories; returns the layout with the runtime directory that is really used.

        Raises:
            HiveError: `bad_config`: they cannot be made.
        """
        try:
            for path in (self.state, self.state / "agents", self.state / "logs"):
                path.mkdir(mode=0o700, parents=path == self.state, exist_ok=True)
            for path in (self.applied_root, self.proposed_root):
                path.mkdir(exist_ok=True)
                # The manager sees them, and in some runtimes with a uid of its own.
                path.chmod(0o755)
            used = Layout(self.state, self._run_directory())
            (used.run / "agents").mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise HiveError(
                "bad_config",
                f"the directories of the hive cannot be made: {error}",
                "Choose a state directory that you may write to (stateDir, --state-dir)",
            ) from None
        return used

    def _run_directory(self) -> Path:
        if len(os.fsencode(self.run)) <= _LONGEST:
            if self.run.is_symlink():
                self.run.unlink()
            self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self.run
        if self.run != self.state / "run":
            raise HiveError(
                "path_too_long",
                f"runtimeDir {self.run} has more than {_LONGEST} bytes, too many for the sockets below it",
                "Choose a shorter one",
            )
        if self.run.is_symlink():
            before = self.run.readlink()
            if _is_ours(before):
                return before
            self.run.unlink()
        base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        short = Path(tempfile.mkdtemp(prefix="hyperhive-", dir=base))
        self.run.symlink_to(short)
        return short

    def clean(self) -> None:
        """Take away a short runtime directory; the next start makes another one."""
        link = self.state / "run"
        if link.is_symlink() and link.readlink() == self.run:
            link.unlink()
            shutil.rmtree(self.run, ignore_errors=True)

    @property
    def host_socket(self) -> Path:
        """The operator's socket."""
        return self.run / "host.sock"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.state / "hive.sqlite"

    @property
    def builds(self) -> Path:
        """Whole logs of the builds of proposals; made with the first of them."""
        return self.state / "builds"

    def agent_socket(self, name: str) -> Path:
        """An agent's socket; its directory is what the runtime binds."""
        return self.run / "agents" / name / "hive.sock"

    def log(self, name: str) -> Path:
        """What an agent's harness printed."""
        return self.state / "logs" / f"{name}.log"

    def logs(self, name: str) -> tuple[Path, Path]:
        """The same, and what it was before it grew too long."""
        log = self.log(name)
        return log, log.with_name(f"{log.name}.1")

    def of_agent(self, name: str) -> Path:
        """What is kept of an agent, its login and its notes; in it, everything is the agent's."""
        return self.state / "agents" / name

    @property
    def applied_root(self) -> Path:
        """The repositories that are the hive's own; the manager reads them."""
        return self.state / "applied"

    @property
    def proposed_root(self) -> Path:
        """The directories in which the manager works on changes; what is in one is the manager's."""
        return self.state / "proposed"

    def applied(self, name: str) -> Path:
        """The bare repository with an agent's configuration."""
        return self.applied_root / f"{name}.git"

    def proposed(self, name: str) -> Path:
        """Where the manager works on changes of an agent; the hive makes it, and never looks into it."""
        return self.proposed_root / name

    @property
    def uploads(self) -> Path:
        """Bundles that are coming in."""
        return self.state / "uploads"

    def told(self, way: str) -> Path:
        """What an operator who was not looking was told already, one way."""
        return self.state / f"told-{way}.json"

    @property
    def trash(self) -> Path:
        """What is being wiped."""
        return self.state / "trash"

    def plan(self, name: str, credentials: Mapping[str, Path]) -> AgentPlan:
        """What the runtime needs to run an agent."""
        own = self.of_agent(name)
        return AgentPlan(
            name=name,
            claude=own / "claude",
            state=own / "state",
            shared=self.state / "shared",
            socket_dir=self.agent_socket(name).parent,
            log=self.log(name),
            credentials=credentials,
            repositories=Repositories(self.proposed_root, self.applied_root) if name == MANAGER else None,
        )


def _is_ours(path: Path) -> bool:
    """Whether a directory that a link names is one that nobody else could have made or can enter."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
