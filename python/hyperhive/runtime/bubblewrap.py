"""Agents in sandboxes of bubblewrap: a file system of their own, processes of their own, the host's network.

What an agent sees is built by `sandbox` (the arguments), `host_view` (the host's files) and `surroundings` (the Python
that runs the harness); this module puts the three together, and knows whether bwrap works here at all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.runtime.host_view import host_files
from hyperhive.runtime.owners import drop_to, this_hive
from hyperhive.runtime.processes import ProcessTrees
from hyperhive.runtime.readable import check_readable
from hyperhive.runtime.run import Launch
from hyperhive.runtime.sandbox import OPTIONAL, Sandbox, arguments
from hyperhive.runtime.surroundings import outermost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hyperhive.runtime.base import AgentPlan, Owner
    from hyperhive.runtime.owners import Hive
    from hyperhive.runtime.surroundings import Surroundings

_PROBE_SECONDS: Final = 20
_HINT: Final = "Make the directory readable for everybody, or install hyperhive where it is, for example below /opt"
#: bwrap of root has no power over files left when it would change into the agent's 0700 directory.
_INTO_STATE: Final = ("/bin/sh", "-c", 'cd /state && unset OLDPWD && exec "$0" "$@"')
#: A child of bwrap that a signal ended makes bwrap exit with this and the signal's number.
_SIGNALS_FROM: Final = 128


@dataclass(frozen=True)
class Tools:
    """Programs that work here, and what this bwrap knows."""

    bwrap: str
    setpriv: str
    features: frozenset[str]


def _unavailable(why: str, hint: str) -> HiveError:
    return HiveError("runtime_unavailable", f"bubblewrap does not work here: {why}", hint)


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if not found:
        why = f"there is no program '{name}'"
        raise _unavailable(why, f"Install {package}, or set runtime to 'process'")
    return os.path.realpath(found)


def _ask(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unavailable(str(error), "Set runtime to 'process'") from error


def probe(hive: Hive) -> Tools:
    """Run one sandbox with everything that an agent's needs, in some ten milliseconds.

    Raises:
        HiveError: `runtime_unavailable` with what bwrap said.
    """
    bwrap = _program("bwrap", "bubblewrap")
    setpriv = _program("setpriv", "util-linux") if hive.privileged else ""
    known = _ask([bwrap, "--help"]).stdout
    features = frozenset(flag for flag in OPTIONAL if flag in known)
    shown, links = host_files()
    said = ""
    # A kernel may refuse what the program offers.
    for choice in dict.fromkeys((features, features - {"--disable-userns"})):
        front = drop_to(setpriv, hive.owner("probe")) if hive.privileged else ()
        command = (*front, "/bin/sh", "-c", "exit 0")
        own = {Path("/state"): Path("/usr")}
        trial = Sandbox(bwrap, choice, hive.privileged, "probe", {**shown, **own}, links, command)
        answer = _ask(arguments(trial))
        if answer.returncode == 0:
            return Tools(bwrap, setpriv, choice)
        said = answer.stderr.strip() or f"it ended with {answer.returncode}"
    hint = "Let bwrap make namespaces here, or set runtime to 'process' (docs/runtimes.md: what that does not isolate)"
    raise _unavailable(said, hint)


def _memory_file(name: str, text: str) -> int:
    descriptor = os.memfd_create(name)
    os.write(descriptor, text.encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


class BubblewrapRuntime(ProcessTrees):
    """Runs each harness in a sandbox of bwrap.

    Args:
        hive: the user that the hive runs as; found out by default.
        command: how a harness is started, seen from inside.
        environment: more for the environment of each harness.
        surroundings: what of the host it needs; found out by default.

    Raises:
        HiveError: `runtime_unavailable` where bwrap does not work.
    """

    name = "bubblewrap"
    warnings: tuple[str, ...] = (
        "agents share the host's network: they reach every port on localhost and every abstract socket",
        "limits of memory, processor and processes are not enforced",
    )

    def __init__(
        self,
        hive: Hive | None = None,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        super().__init__(hive or this_hive(), command, environment, surroundings)
        self._tools = probe(self._hive)
        self._shown, self._links = host_files()

    def _roots(self) -> dict[Path, Path]:
        return {**self._shown, **{root: root for root in self._surroundings.roots}}

    def _check(self, plan: AgentPlan) -> None:
        """Inside, the directories above a root are made anew; what is in a root keeps its modes."""
        if self._hive.privileged:
            surroundings = self._surroundings
            wanted = (*surroundings.roots, *surroundings.files)
            check_readable(wanted, self.owner(plan.name), "the Python environment", _HINT, within=self._roots())

    def _hidden(self, plan: AgentPlan) -> tuple[Path, ...]:
        """The hive's directories, where they lie in something that is shown."""
        hive = {plan.shared.parent, plan.state.parent.parent, plan.socket_dir.parent.parent}
        roots = list(self._roots())
        return outermost(path for path in hive if any(path.is_relative_to(root) for root in roots))

    def _sandbox(self, plan: AgentPlan, owner: Owner) -> Sandbox:
        front = (*drop_to(self._tools.setpriv, owner), *_INTO_STATE) if self._hive.privileged else ()
        links = {path: str(target) for path, target in self._surroundings.links}
        read_only = {Path("/run/hive"): plan.socket_dir, Path("/run/credentials"): plan.credentials_dir}
        writable = {Path("/root/.claude"): plan.claude, Path("/state"): plan.state, Path("/shared"): plan.shared}
        if plan.repositories:
            read_only[Path("/applied")] = plan.repositories.applied
            writable[Path("/agents")] = plan.repositories.proposed
        return Sandbox(
            bwrap=self._tools.bwrap,
            features=self._tools.features,
            privileged=self._hive.privileged,
            hostname=plan.name,
            read_only={**self._roots(), **read_only},
            links={**self._links, **links},
            command=(*front, *self._command),
            hidden=self._hidden(plan),
            writable=writable,
            data={
                Path("/etc/passwd"): _memory_file(
                    "passwd",
                    f"root:x:0:0:root:/nonexistent:/bin/false\n{plan.name}:x:{owner.uid}:{owner.gid}::/root:/bin/sh\n",
                ),
                Path("/etc/group"): _memory_file("group", f"root:x:0:\nagents:x:{owner.gid}:\n"),
            },
        )

    def _launch(self, plan: AgentPlan) -> Launch:
        sandbox = self._sandbox(plan, self.owner(plan.name))
        repositories = {"HIVE_PROPOSED": "/agents", "HIVE_APPLIED": "/applied"} if plan.repositories else {}
        return Launch(
            command=tuple(arguments(sandbox)),
            environment={
                "HIVE_SOCKET": "/run/hive/hive.sock",
                "HIVE_STATE": "/state",
                "HIVE_SHARED": "/shared",
                "CLAUDE_CONFIG_DIR": "/root/.claude",
                "CREDENTIALS_DIRECTORY": "/run/credentials",
                **repositories,
                "HOME": "/root",
                **self._environment,
            },
            directory=Path("/"),
            umask=self._hive.umask,
            privileges="keep-privs",
            descriptors=tuple(sandbox.data.values()),
            signals_from=_SIGNALS_FROM,
        )
