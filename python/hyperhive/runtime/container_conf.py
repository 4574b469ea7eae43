"""The text of `/etc/nixos-containers/h-NAME.conf` and of the drop-in of its unit: pure functions of an `AgentPlan`.

The conf is an environment file whose EXTRA_NSPAWN_FLAGS the start script expands without quotes: a space ends a flag
and the next word is run as the command, `*` looks up files. So every word that goes in is checked here, and a word that
would not survive is refused with the setting that it came from. `nixos-container create` writes a conf for a private
network and none of the keys that matter here; nothing but the hive rewrites it afterwards.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hyperhive.runtime.base import AgentPlan
    from hyperhive.runtime.container import Container

#: Without these, root inside reads the loopback with raw sockets, looks into processes and makes device files.
DROPPED: Final = ("CAP_MKNOD", "CAP_NET_RAW", "CAP_SYS_PTRACE")
#: Where a cloud answers whoever asks with the machine's own keys: AWS, Azure, GCP and their like; ECS; Alibaba.
METADATA: Final = ("169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254")
#: After five changes of mounts systemd looks at no more of them for a second, and every boot waited for that.
_MOUNTS: Final = "SYSTEMD_DEFAULT_MOUNT_RATE_LIMIT_BURST=200"
#: Letters that a shell's word splitting, file name expansion or systemd's reading of the file would change.
_CHANGED: Final = re.compile(r"""[\s*?\[\]\\"'$`\x00-\x1f\x7f]""")
_CLEARED: Final = ("HOST_ADDRESS", "LOCAL_ADDRESS", "HOST_ADDRESS6", "LOCAL_ADDRESS6", "HOST_BRIDGE", "HOST_PORT")


def container_of(plan: AgentPlan) -> Container:
    """The plan's container.

    Raises:
        HiveError: `bad_config`: there is no NixOS system for it.
    """
    if plan.container is None or plan.container.system is None:
        own = f"agents.{plan.name}.system"
        msg = f"there is no NixOS system for '{plan.name}': neither {own} nor systems.default is set"
        raise HiveError("bad_config", msg, "The NixOS module writes it; build the configuration anew")
    return plan.container


def nspawn_flags(plan: AgentPlan) -> tuple[str, ...]:
    """What is added to nspawn's command line, one word each.

    Raises:
        HiveError: `bad_config`, naming the setting whose value cannot stand there.
    """
    return tuple(_word(flag, where) for where, flag in _flags(plan, container_of(plan)))


def _flags(plan: AgentPlan, container: Container) -> Iterator[tuple[str, str]]:
    # The directory of the socket is bound, never the socket, and read-only: connecting needs no more.
    yield "runtimeDir", f"--bind-ro={_path(plan.socket_dir, 'runtimeDir')}:/run/hive:idmap"
    for source, place in ((plan.claude, "/root/.claude"), (plan.state, "/state"), (plan.shared, "/shared")):
        yield "stateDir", f"--bind={_path(source, 'stateDir')}:{place}:idmap"
    if plan.repositories:
        # One bind for all agents, so that a new one restarts no manager.
        yield "stateDir", f"--bind={_path(plan.repositories.proposed, 'stateDir')}:/agents:idmap"
        yield "stateDir", f"--bind-ro={_path(plan.repositories.applied, 'stateDir')}:/applied:idmap"
    for bind in container.binds:
        where = f'agents.{plan.name}.bindMounts."{bind.place}"'
        option = "--bind-ro" if bind.read_only else "--bind"
        yield where, f"{option}={_path(bind.source, where)}:{_path(bind.place, where)}:idmap"
    for variable, source in sorted(plan.credentials.items()):
        yield f"agents.{plan.name}.credentials.{variable}", f"--load-credential={variable}:{source}"
    yield "nspawn", f"--drop-capability={','.join(DROPPED)}"
    yield "nspawn", f"--setenv={_MOUNTS}"
    for flag in container.extra_flags:
        yield f"agents.{plan.name}.extraNspawnFlags", flag


def _path(path: object, where: str) -> str:
    if ":" in str(path):
        raise HiveError("bad_config", f"{where}: '{path}' cannot be bound: it has a ':'", "Choose another directory")
    return str(path)


def _word(word: str, where: str) -> str:
    if _CHANGED.search(word):
        msg = f"{where}: {word!r} cannot stand on nspawn's command line, where nothing is quoted"
        raise HiveError("bad_config", msg, "Use a value without spaces, quotes and any of * ? [ ] \\ $ `")
    return word


def conf_text(plan: AgentPlan) -> str:
    """The whole conf: the host's network, users of its own, the hive's binds, the system to run.

    Raises:
        HiveError: as for `nspawn_flags`.
    """
    container = container_of(plan)
    lines = [
        "PRIVATE_NETWORK=0",
        # Any of them makes the start script add a virtual cable, and with it a network of its own.
        *(f"{key}=" for key in _CLEARED),
        "AUTO_START=0",
        f"SYSTEM_PATH={_word(str(container.system), 'systems')}",
        "PRIVATE_USERS=pick",
        f'EXTRA_NSPAWN_FLAGS="{" ".join(nspawn_flags(plan))}"',
    ]
    return "\n".join(lines) + "\n"


def without_system(conf: str) -> str:
    """A conf without the line that a reload can change; what is left takes a restart."""
    return "".join(line for line in conf.splitlines(keepends=True) if not line.startswith("SYSTEM_PATH="))


def drop_in_text(plan: AgentPlan) -> str:
    """What is added to the unit: limits, ports that belong to the hive, addresses that belong to nobody inside."""
    container = container_of(plan)
    limits = container.limits
    given = {"MemoryMax": limits.memory_max, "CPUQuota": limits.cpu_quota, "TasksMax": limits.tasks_max}
    lines = [f"{key}={value}" for key, value in given.items() if value is not None]
    # Nobody inside may sit on a port that an open browser tab trusts with the operator's token.
    lines += [f"SocketBindDeny=tcp:{port}" for port in dict.fromkeys(container.closed_ports) if port != "0"]
    lines += [f"IPAddressDeny={address}" for address in METADATA]
    return "\n".join(["# Written by hyperhive at every deploy.", "[Service]", *lines]) + "\n"
