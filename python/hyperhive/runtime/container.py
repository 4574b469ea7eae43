"""What a container of NixOS is made of, beside what every runtime is told: its system, its limits, its walls.

Pure data. `container_of` reads it out of the settings; the hive puts it into each `AgentPlan`, the runtime compares it
with what is there and makes it so. The embedded runtimes do not look at it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperhive.names import AGENT_PORTS, FIRST_AGENT_PORT, MANAGER_PORT

if TYPE_CHECKING:
    from hyperhive.config import HiveSettings, Limits

#: TCP ports of the hive's pages: the manager's, and the range in which every other agent's lies.
PAGE_PORTS: Final = (str(MANAGER_PORT), f"{FIRST_AGENT_PORT}-{FIRST_AGENT_PORT + AGENT_PORTS - 1}")


@dataclass(frozen=True)
class Bind:
    """A directory of the host in a container.

    Attributes:
        source: where it is on the host.
        place: where it is inside.
    """

    source: Path
    place: str
    read_only: bool = True


@dataclass(frozen=True)
class ContainerLimits:
    """What a container may use of the machine, in systemd's words; None is no limit."""

    memory_max: str | None = None
    cpu_quota: str | None = None
    tasks_max: int | None = None


@dataclass(frozen=True)
class Container:
    """The part of an `AgentPlan` that only `nixos-container` looks at.

    Attributes:
        system: store path of its NixOS system; without one it cannot be made.
        limits: what it may use.
        binds: directories beside the four of every agent.
        extra_flags: further arguments of nspawn, as the operator wrote them.
        closed_ports: TCP ports, or ranges of them, that nobody inside may listen on.
    """

    system: Path | None
    limits: ContainerLimits = field(default_factory=ContainerLimits)
    binds: tuple[Bind, ...] = ()
    extra_flags: tuple[str, ...] = ()
    closed_ports: tuple[str, ...] = PAGE_PORTS


def container_of(settings: HiveSettings, name: str, deployed: Path | None = None) -> Container:
    """The container of the agent `name`, declared or not, as the settings want it.

    Args:
        settings: the settings in force.
        name: the agent.
        deployed: the system that was approved for it last, which is a layer on the one of the settings.
    """
    own = settings.agents.get(name)
    binds = own.bind_mounts if own else {}
    return Container(
        system=deployed or (own.system if own else None) or settings.systems.default,
        limits=_limits(settings.defaults.limits, own.limits if own else None),
        binds=tuple(
            Bind(mount.host_path or Path(place), place, mount.is_read_only) for place, mount in sorted(binds.items())
        ),
        extra_flags=tuple(own.extra_nspawn_flags) if own else (),
        closed_ports=(str(settings.dashboard.port), *PAGE_PORTS),
    )


def _limits(defaults: Limits, own: Limits | None) -> ContainerLimits:
    chosen = {**defaults.model_dump(exclude_none=True), **(own.model_dump(exclude_none=True) if own else {})}
    return ContainerLimits(**chosen)
