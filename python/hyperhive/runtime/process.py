"""Agents as plain processes, for machines where nothing better works. It separates little and says so.

Started by root, each agent has a uid of its own: the files of others are closed to it, and where root may mount, a way
is opened to what it needs in directories that are closed to it (`opened`). Started by a user, all agents are that user.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.runtime.opened import Opened, plan_opening, why_not
from hyperhive.runtime.owners import drop_to, this_hive
from hyperhive.runtime.processes import ProcessTrees
from hyperhive.runtime.readable import check_readable
from hyperhive.runtime.run import Launch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hyperhive.runtime.base import AgentPlan
    from hyperhive.runtime.owners import Hive
    from hyperhive.runtime.surroundings import Surroundings

_MODES: Final = "Let everybody read it (chmod -R go+rX), or put it elsewhere"
#: Without the first of these bubblewrap does not work for root either.
_WAYS_OUT: Final = (
    "Let root mount (CAP_SYS_ADMIN), or put hyperhive, its Python and its state where everybody can pass, for example "
    "below /opt, or start the hive as an ordinary user"
)

_NO_WALLS: Final = (
    "agents see the host's file system and its processes, and share its network",
    "an agent has no paths of its own: /root/.claude, /state and /shared are host directories, named by variables",
    "limits of memory, processor and processes are not enforced",
)
_SAME_USER: Final = (
    "agents are the user who started the hive: each reads and changes all files of that user and of the hive",
    "an agent can end any process of that user, and leave processes behind by ending the one that watches it",
)


def _setpriv() -> str:
    found = shutil.which("setpriv")
    if not found:
        msg = "there is no program 'setpriv', and agents must not run as root"
        raise HiveError("runtime_unavailable", msg, "Install util-linux, or start the hive as an ordinary user")
    return found


class ProcessRuntime(ProcessTrees):
    """Runs each harness as a plain process.

    Args:
        hive: the user that the hive runs as; found out by default.
        command: how a harness is started.
        environment: more for the environment of each harness.
        surroundings: what of the host it needs; found out by default.

    Raises:
        HiveError: `runtime_unavailable` where root cannot give up its powers.
    """

    name = "process"

    def __init__(
        self,
        hive: Hive | None = None,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        super().__init__(hive or this_hive(), command, environment, surroundings)
        privileged = self._hive.privileged
        self.warnings = _NO_WALLS if privileged else (*_SAME_USER, *_NO_WALLS)
        # Agents come to their directories through those above, by themselves.
        self.parents = 0o711 if privileged else 0o700
        self._setpriv, self._no_mounts = "", ""
        if privileged:
            self._setpriv = _setpriv()
            self._no_mounts = why_not(drop_to(self._setpriv, self.owner("probe")))

    def _opened(self, plan: AgentPlan) -> Opened:
        """The agent's view of the host, where root may make one; the directories of the other agents are not in it."""
        if self._no_mounts:
            return Opened({}, {})
        programs = (*dict(self._surroundings.links), Path(self._setpriv))
        manages = plan.repositories
        hive = plan.shared.parent
        return plan_opening(
            self.owner(plan.name),
            read_only=(
                *(*self._surroundings.roots, *programs, plan.socket_dir, plan.credentials_dir),
                *((manages.applied,) if manages else ()),
            ),
            writable=(plan.claude, plan.state, plan.shared, *((manages.proposed,) if manages else ())),
            hidden={path.parent.parent for path in (plan.claude, plan.state)}
            | {path.parent for path in (plan.socket_dir, plan.credentials_dir)}
            | ({path for path in (hive / "proposed", hive / "applied") if path.is_dir()} if not manages else set()),
        )

    def _check(self, plan: AgentPlan) -> None:
        if not self._hive.privileged:
            return
        owner, look = self.owner(plan.name), self._opened(plan).look
        hint = f"{_WAYS_OUT}; what the kernel said: {self._no_mounts}" if self._no_mounts else _MODES
        surroundings = self._surroundings
        environment = (*surroundings.roots, *surroundings.files)
        check_readable(environment, owner, "the Python environment", hint, look=look)
        own = (plan.claude, plan.state, plan.shared)
        check_readable(own, owner, "the agent's directory", hint, look=look)
        ways = (plan.socket_dir, plan.credentials_dir.parent)
        check_readable(ways, owner, "the way to the agent's socket and secrets", hint, passing=True, look=look)

    def _launch(self, plan: AgentPlan) -> Launch:
        privileged = self._hive.privileged
        front: tuple[str, ...] = ()
        where = plan.repositories
        repositories = {"HIVE_PROPOSED": str(where.proposed), "HIVE_APPLIED": str(where.applied)} if where else {}
        if privileged:
            drop = drop_to(self._setpriv, self.owner(plan.name), pdeathsig=True)
            front = (*self._opened(plan).front(plan.state), *drop)
        return Launch(
            command=(*front, *self._command),
            environment={
                "HIVE_SOCKET": str(plan.socket_dir / "hive.sock"),
                "HIVE_STATE": str(plan.state),
                "HIVE_SHARED": str(plan.shared),
                "CLAUDE_CONFIG_DIR": str(plan.claude),
                "CREDENTIALS_DIRECTORY": str(plan.credentials_dir),
                **repositories,
                # Never the operator's, whose login and settings claude would find there.
                "HOME": str(plan.state),
                **self._environment,
            },
            directory=plan.state,
            umask=self._hive.umask,
            privileges="keep-privs" if privileged else "no-new-privs",
        )
