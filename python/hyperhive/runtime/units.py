"""Units of containers as `systemctl show` tells them: one call for any number, parsed into `Unit`s. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: The container of the agent `alice` is `h-alice`: nixos-container allows 11 characters, a name has 9.
PREFIX: Final = "h-"
PROPERTIES: Final = (
    *("Id", "LoadState", "ActiveState", "SubState", "Result"),
    *("NRestarts", "InvocationID", "ExecMainCode", "ExecMainStatus"),
)
_EXITED: Final = 1


def machine(name: str) -> str:
    """The container of an agent, as nixos-container and machined call it."""
    return f"{PREFIX}{name}"


def unit(name: str) -> str:
    """The unit of an agent's container."""
    return f"container@{PREFIX}{name}.service"


def agent_of(unit_id: str) -> str | None:
    """The agent whose container this unit is."""
    front, back = f"container@{PREFIX}", ".service"
    return unit_id[len(front) : -len(back)] if unit_id.startswith(front) and unit_id.endswith(back) else None


@dataclass(frozen=True)
class Unit:
    """What systemd says about one container.

    Attributes:
        load: `loaded`, or `not-found` where there is no `container@.service`.
        active: `active reloading inactive failed activating deactivating`.
        sub: the same in more words.
        restarts: how often systemd started it again by itself.
        invocation: another one for each run.
        code: how its nspawn ended, negative for a signal.
    """

    load: str = "loaded"
    active: str = "inactive"
    sub: str = "dead"
    result: str = "success"
    restarts: int = 0
    invocation: str = ""
    code: int = 0

    @property
    def is_up(self) -> bool:
        """Whether the container runs."""
        return self.active in {"active", "reloading", "refreshing"}

    @property
    def is_broken(self) -> bool:
        """Whether systemd gave up, or is about to try once more: stop and reset come before any start."""
        return self.active == "failed" or self.sub.startswith("auto-restart")

    @property
    def is_down(self) -> bool:
        """Whether nothing of it is there and nothing will come by itself."""
        return self.active in {"inactive", "failed"}


def parse_units(text: str) -> dict[str, Unit]:
    """The agents in an answer of `systemctl show`: blocks of KEY=VALUE with an empty line between them."""
    found: dict[str, Unit] = {}
    for block in text.split("\n\n"):
        fields = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        name = agent_of(fields.get("Id", ""))
        if name:
            found[name] = _unit(fields)
    return found


def _unit(fields: dict[str, str]) -> Unit:
    status = _number(fields.get("ExecMainStatus", ""))
    return Unit(
        load=fields.get("LoadState", ""),
        active=fields.get("ActiveState", ""),
        sub=fields.get("SubState", ""),
        result=fields.get("Result", ""),
        restarts=_number(fields.get("NRestarts", "")),
        invocation=fields.get("InvocationID", ""),
        code=status if _number(fields.get("ExecMainCode", "")) in {0, _EXITED} else -status,
    )


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
