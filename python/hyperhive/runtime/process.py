"""Agents as plain processes, for machines where nothing better works. It separates little and says so.

Started by root, each agent has a uid of its own: the files of others are closed to it. Started by a user, all
agents are that user.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.runtime.owners import drop_to, this_hive
from hyperhive.runtime.processes import ProcessTrees
from hyperhive.runtime.readable import check_readable
from hyperhive.runtime.run import Launch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hyperhive.runtime.base import AgentPlan
    from hyperhive.runtime.owners import Hive
    from hyperhive.runtime.surroundings import Surroundings

_INSTALL: Final = "Install hyperhive and its Python where everybody can read, for example below /opt, or use bubblewrap"
_MOVE: Final = "Put stateDir and runtimeDir where everybody can pass, for example below /var/lib, or use bubblewrap"

_NO_WALLS: Final = (
    "agents see the host's file system and its processes, and share its network",
    "an agent has no paths of its own: /root/.claude, /state and /shared are host directories, named by variables",
    "limits of memory, processor and processes are not enforced",
)
_SAME_USER: Final = (
    "agents are the user who started the hive: each reads and changes all files of that user and of the hive",
    "an agent can end any process of that user, and leave processes behind by ending the one that watches it",
)


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
        self._setpriv = shutil.which("setpriv") or ""
        if privileged and not self._setpriv:
            msg = "there is no program 'setpriv', and agents must not run as root"
            missing = HiveError("runtime_unavailable", msg, "Install util-linux, or start the hive as an ordinary user")
            raise missing

    def _check(self, plan: AgentPlan) -> None:
        if not self._hive.privileged:
            return
        owner = self.owner(plan.name)
        surroundings = self._surroundings
        check_readable((*surroundings.roots, *surroundings.files), owner, "the Python environment", _INSTALL)
        own = (plan.claude, plan.state, plan.shared)
        check_readable(own, owner, "the agent's directory", _MOVE)
        ways = (plan.socket_dir, plan.credentials_dir.parent)
        check_readable(ways, owner, "the way to the agent's socket and secrets", _MOVE, passing=True)

    def _launch(self, plan: AgentPlan) -> Launch:
        privileged = self._hive.privileged
        front = drop_to(self._setpriv, self.owner(plan.name), pdeathsig=True) if privileged else ()
        return Launch(
            command=(*front, *self._command),
            environment={
                "HIVE_SOCKET": str(plan.socket_dir / "hive.sock"),
                "HIVE_STATE": str(plan.state),
                "HIVE_SHARED": str(plan.shared),
                "CLAUDE_CONFIG_DIR": str(plan.claude),
                "CREDENTIALS_DIRECTORY": str(plan.credentials_dir),
                # Never the operator's, whose login and settings claude would find there.
                "HOME": str(plan.state),
                **self._environment,
            },
            directory=plan.state,
            umask=self._hive.umask,
            privileges="keep-privs" if privileged else "no-new-privs",
        )
