"""Who an agent is on the host: pure functions from its name.

A hive of root gives each agent a uid of its own, far above what any system hands out, and all of them one group, which
owns `/shared`. A hive of an ordinary user, and a root that is none outside its own namespace, has one uid for
everything.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hyperhive.names import web_port
from hyperhive.runtime.base import Owner

#: An agent's uid is this and its web port: one each, the same after every restart, nothing to remember.
FIRST_UID: Final = 1_900_000_000
#: The one group of all agents of a hive that root started.
GROUP: Final = 1_900_000_000


@dataclass(frozen=True)
class Hive:
    """The user that the hive runs as.

    Attributes:
        privileged: whether it can give uids to its agents.
    """

    uid: int
    gid: int
    privileged: bool

    def owner(self, name: str) -> Owner:
        """Who owns what belongs to the agent `name`, and with which uid it connects."""
        if not self.privileged:
            return Owner(self.uid, self.gid, self.uid)
        uid = FIRST_UID + web_port(name)
        return Owner(uid, GROUP, uid)

    @property
    def umask(self) -> int:
        """Agents that share a group shall be able to change each other's files in `/shared`."""
        return 0o002 if self.privileged else 0o022


def is_mapped(id_map: str, number: int) -> bool:
    """Whether `number` means anything in a user namespace with this `/proc/…/uid_map`."""
    ranges = [[int(field) for field in line.split()] for line in id_map.splitlines()]
    return any(first <= number < first + count for first, _, count in ranges)


def this_hive() -> Hive:
    """The user that this process runs as."""
    uid = os.geteuid()
    # Root of a rootless container has no such uids to give: it is an ordinary user with another name.
    maps = [Path("/proc/self/uid_map"), Path("/proc/self/gid_map")]
    privileged = uid == 0 and all(is_mapped(path.read_text(), FIRST_UID + 9999) for path in maps)
    return Hive(uid, os.getegid(), privileged)


def drop_to(setpriv: str, owner: Owner, *, pdeathsig: bool = False) -> tuple[str, ...]:
    """The front of a command that becomes `owner` and can never be more: `setpriv` of util-linux does it all in one."""
    return (
        setpriv,
        *("--reuid", str(owner.uid)),
        *("--regid", str(owner.gid)),
        "--clear-groups",
        "--no-new-privs",
        "--inh-caps=-all",
        "--ambient-caps=-all",
        "--bounding-set=-all",
        *(("--pdeathsig", "KILL") if pdeathsig else ()),
        "--",
    )
