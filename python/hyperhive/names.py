"""Names of agents and the ports that follow from them: pure functions, the same as in `modules/lib`.

Every name that comes from outside passes through `AgentName` before it touches a path, a command or a query.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Iterable

MANAGER: Final = "manager"
OPERATOR: Final = "operator"
SYSTEM: Final = "system"
REMINDER: Final = "reminder"
EVERYONE: Final = "*"
#: Senders of what the hive itself writes to an agent.
HIVES_OWN: Final = frozenset({SYSTEM, REMINDER})
#: Never an agent's name: they are addresses or senders with a meaning of their own.
RESERVED: Final = frozenset({OPERATOR, SYSTEM, MANAGER, REMINDER, "self", "all", EVERYONE})

MANAGER_PORT: Final = 8000
FIRST_AGENT_PORT: Final = 8100
AGENT_PORTS: Final = 900

_FORM: Final = re.compile(r"[a-z][a-z0-9-]{0,8}")


def check_agent_name(name: str) -> str:
    """Return `name` if it is one that an agent may have, the manager's included.

    Raises:
        ValueError: it has another form (at most 9 characters: the container is `h-<name>`, and nixos-container allows
            11) or is reserved.
    """
    if not _FORM.fullmatch(name):
        msg = (
            f"{name!r} cannot be an agent's name: 1 to 9 characters, small letters, digits and hyphens, "
            "the first a letter"
        )
        raise ValueError(msg)
    if name in RESERVED and name != MANAGER:
        msg = f"{name!r} is reserved; choose another name (reserved: {', '.join(sorted(RESERVED))})"
        raise ValueError(msg)
    return name


AgentName = Annotated[str, AfterValidator(check_agent_name)]
"""A validated agent name, for pydantic models and FastAPI parameters."""


def parse_agent_name(name: str) -> str:
    """Like `check_agent_name`, for code outside pydantic.

    Raises:
        HiveError: `bad_name` or `reserved_name`.
    """
    try:
        return check_agent_name(name)
    except ValueError as error:
        code = "reserved_name" if name in RESERVED else "bad_name"
        raise HiveError(code, str(error), "Choose a name like 'alice' or 'build-2'") from None


def fnv1a_32(text: str) -> int:
    """FNV-1a, 32 bits, of the UTF-8 bytes of `text` (RFC 9923)."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def web_port(name: str) -> int:
    """The TCP port of an agent's page: a pure function of the name, so nothing needs to be remembered or probed."""
    return MANAGER_PORT if name == MANAGER else FIRST_AGENT_PORT + fnv1a_32(name) % AGENT_PORTS


def port_collisions(names: Iterable[str]) -> list[tuple[int, list[str]]]:
    """Ports that more than one of `names` would get, each with those names in alphabetical order."""
    by_port: dict[int, list[str]] = {}
    for name in sorted(set(names)):
        by_port.setdefault(web_port(name), []).append(name)
    return sorted((port, group) for port, group in by_port.items() if len(group) > 1)


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The names of `known` that somebody who typed `name` may have meant, best first, at most three."""
    return get_close_matches(name, list(known), n=3, cutoff=0.5)
